package sdk

import (
	"hash/maphash"
	"sync"
)

// lanesPerAccount is how many threads of one account are served at a time.
// Accounts do not share lanes, so a vendor that hangs holds up its own.
const lanesPerAccount = 16

// lane runs jobs one after another, in the order given. A goroutine exists
// only while there is work.
type lane struct {
	mu   sync.Mutex
	jobs fifo[func()]
	busy bool
}

// do queues job. Jobs must not panic.
func (l *lane) do(wg *sync.WaitGroup, job func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs.push(job)
	if !l.busy {
		l.busy = true
		wg.Go(l.run)
	}
}

// latest queues job like do, and drops the oldest one that waits when there
// are limit of them. It reports whether it did.
func (l *lane) latest(wg *sync.WaitGroup, limit int, job func()) (dropped bool) {
	l.mu.Lock()
	if l.jobs.len() >= limit {
		l.jobs.pop()
		dropped = true
	}
	l.mu.Unlock()
	l.do(wg, job)
	return dropped
}

func (l *lane) run() {
	for {
		l.mu.Lock()
		if l.jobs.len() == 0 {
			l.busy = false
			l.mu.Unlock()
			return
		}
		job := l.jobs.pop()
		l.mu.Unlock()
		job()
	}
}

// lanes finds the lane of an (account, thread). Used by one goroutine.
type lanes struct {
	seed     maphash.Seed
	accounts map[string]*[lanesPerAccount]lane
}

func newLanes() *lanes {
	return &lanes{seed: maphash.MakeSeed(), accounts: map[string]*[lanesPerAccount]lane{}}
}

func (ls *lanes) of(account, thread string) *lane {
	set := ls.accounts[account]
	if set == nil {
		set = new([lanesPerAccount]lane)
		ls.accounts[account] = set
	}
	return &set[maphash.String(ls.seed, thread)%lanesPerAccount]
}

// pool runs jobs in any order, at most limit at a time; queue more may wait.
type pool struct {
	limit, queue int

	mu      sync.Mutex
	waiting fifo[func()]
	running int
	idle    []chan struct{}
}

// do queues job, or reports false when the queue is full.
func (p *pool) do(wg *sync.WaitGroup, job func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting.len() >= p.queue {
		return false
	}
	p.waiting.push(job)
	if p.running < p.limit {
		p.running++
		wg.Go(p.run)
	}
	return true
}

func (p *pool) run() {
	for {
		p.mu.Lock()
		if p.waiting.len() == 0 {
			p.running--
			if p.running == 0 {
				for _, ch := range p.idle {
					close(ch)
				}
				p.idle = nil
			}
			p.mu.Unlock()
			return
		}
		job := p.waiting.pop()
		p.mu.Unlock()
		job()
	}
}

// done returns a channel which is closed when nothing runs or waits.
func (p *pool) done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch := make(chan struct{})
	if p.running == 0 {
		close(ch)
		return ch
	}
	p.idle = append(p.idle, ch)
	return ch
}
