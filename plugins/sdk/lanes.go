package sdk

import "sync"

// lane runs jobs one after another, in the order in which they were queued. It has a goroutine only
// while there is work.
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

// latest queues job as do does. If limit jobs wait already it drops the oldest of them, and reports
// that it did.
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

// threadLanes runs the jobs of each (account, thread), and of each call, one after another: a job that
// hangs holds up its own thread only. The host's windows bound how many threads have work.
type threadLanes struct {
	mu    sync.Mutex
	lanes map[laneKey]*fifo[func()] // jobs that wait behind the running one
}

// laneKey is a thread of an account, or a call of it.
type laneKey struct{ account, thread, call string }

func newThreadLanes() *threadLanes { return &threadLanes{lanes: map[laneKey]*fifo[func()]{}} }

// do queues job after the others of its thread or call. Jobs must not panic.
func (ls *threadLanes) do(wg *sync.WaitGroup, k laneKey, job func()) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.lanes[k]; l != nil {
		l.push(job)
		return
	}
	ls.lanes[k] = &fifo[func()]{}
	wg.Go(func() { ls.run(k, job) })
}

func (ls *threadLanes) run(k laneKey, job func()) {
	for {
		job()
		ls.mu.Lock()
		l := ls.lanes[k]
		if l.len() == 0 {
			delete(ls.lanes, k)
			ls.mu.Unlock()
			return
		}
		job = l.pop()
		ls.mu.Unlock()
	}
}

// pool runs jobs in any order, at most limit at a time; up to queue more may wait.
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
