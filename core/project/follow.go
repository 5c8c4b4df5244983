package project

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// One follower works per installation, on the node that has the lease.
const (
	leaseName  = "project"
	leaseTTL   = 15 * time.Second
	leaseRenew = 5 * time.Second
)

const (
	// atOnce is how many events are applied in one transaction at most. The transaction keeps other
	// writers waiting, on PostgreSQL for as many round trips as Apply makes, so that one that takes longer
	// than holdMost makes the next ones smaller, down to one event; those that take less than a quarter of
	// it make them larger again.
	atOnce   = 256
	holdMost = 40 * time.Millisecond
	// gather is the pause after which what came meanwhile is applied together: one flush for all of it.
	gather = 250 * time.Millisecond
	// retryPause is the pause after the store refused something.
	retryPause = time.Second
	// lookAgain is the pause before an event that could not be applied, or tables that a newer version
	// has made, are tried again.
	lookAgain = 10 * time.Second
	// idle is how long events are waited for before the position is read again: somebody may have asked
	// for the projection to be made anew.
	idle = 2 * time.Second
)

// Run follows the log, on this node while it has the lease, until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	var end func()
	var heldUntil time.Time
	var epoch int64 // of the lease
	tick := time.NewTicker(leaseRenew)
	defer tick.Stop()
	for ctx.Err() == nil {
		asked := time.Now()
		now, mine, err := f.log.AcquireLease(ctx, leaseName, f.node, leaseTTL)
		switch {
		case err == nil && mine:
			epoch, heldUntil = now, asked.Add(leaseTTL)
			if end == nil {
				end = f.lead(ctx)
			}
		case end != nil && (err == nil || time.Now().After(heldUntil)):
			end()
			end = nil
		}
		if err != nil && ctx.Err() == nil {
			f.logger.WarnContext(ctx, "cannot renew the lease of the projections", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	if end == nil {
		return
	}
	end()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // so that another node need not wait for the lease's end
	defer cancel()
	if err := f.log.ReleaseLease(last, leaseName, f.node, epoch); err != nil {
		f.logger.WarnContext(last, "lease of the projections not released", "err", err)
	}
}

// lead follows the log with all projections until end is called, which waits for their goroutines.
func (f *Follower) lead(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, p := range f.all {
		p.setLeads(true)
		wg.Go(func() {
			defer p.setLeads(false)
			for ctx.Err() == nil {
				f.pause(ctx, f.step(ctx, p))
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

func (f *Follower) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// step applies the next events, or waits until there are some, and returns how long to pause before the
// next step.
func (f *Follower) step(ctx context.Context, p *followed) time.Duration {
	from, err := f.cursorOf(ctx, p)
	var recs []eventlog.Record
	if err == nil {
		recs, err = f.log.Tail(ctx, from.position, p.size())
	}
	if err == nil {
		err = f.look(ctx, p, from, recs)
	}
	if err == nil && len(recs) == 0 {
		if err = f.wait(ctx, from.position); err == nil {
			return 0
		}
	}
	began := time.Now()
	n, full := len(recs), len(recs) == p.size()
	if err == nil {
		n, err = f.applyAll(ctx, p, from, recs)
		p.took(time.Since(began), full)
	}
	switch bad := (*EventError)(nil); {
	case ctx.Err() != nil:
		return 0
	case errors.As(err, &bad):
		f.stopped(ctx, p, from, bad.Error())
		return lookAgain
	case errors.Is(err, ErrNewer):
		f.stopped(ctx, p, from, err.Error())
		return lookAgain
	case errors.Is(err, errMoved):
		return 0
	case err != nil:
		f.logger.WarnContext(ctx, "projection not brought up to the log", "projection", p.Name, "err", err)
		return retryPause
	}
	p.applied(recs[n-1].Pos)
	f.metrics.applied.WithLabelValues(p.Name).Add(float64(n))
	if !full {
		return gather
	}
	return time.Since(began) // a projection that catches up leaves half of the time to other writers
}

// size is how many events are applied in one transaction at present.
func (p *followed) size() int { return max(1, atOnce>>p.smaller) }

// took adapts size to how long a transaction took.
func (p *followed) took(d time.Duration, full bool) {
	switch {
	case d > holdMost && p.size() > 1:
		p.smaller++
	case d < holdMost/4 && full && p.smaller > 0:
		p.smaller--
	}
}

// wait returns when there is an event after pos, or after a while.
func (f *Follower) wait(ctx context.Context, pos int64) error {
	some, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	err := f.log.Wait(some, pos)
	if some.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// applyAll applies recs, or those before the first that cannot be applied, and returns how many.
func (f *Follower) applyAll(ctx context.Context, p *followed, from cursor, recs []eventlog.Record) (int, error) {
	err := f.apply(ctx, p, from, recs)
	var bad *EventError
	if !errors.As(err, &bad) {
		return len(recs), err
	}
	n := 0
	for n < len(recs) && recs[n].Pos < bad.Pos {
		n++
	}
	if n == 0 || n == len(recs) {
		return 0, err
	}
	return n, f.apply(ctx, p, from, recs[:n])
}

// look notes how far a projection is behind the log.
func (f *Follower) look(ctx context.Context, p *followed, at cursor, recs []eventlog.Record) error {
	head, err := f.log.Position(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.position, p.head, p.oldest = at.position, head, time.Time{}
	if len(recs) > 0 {
		p.oldest = recs[0].At
	}
	return nil
}

func (p *followed) applied(pos int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.position, p.problem = pos, ""
	if pos >= p.head {
		p.oldest = time.Time{}
	}
}

// stopped makes known that a projection does not go on; it is logged once.
func (f *Follower) stopped(ctx context.Context, p *followed, at cursor, problem string) {
	p.mu.Lock()
	known := p.problem == problem && (at.problem == problem || at.version != p.Version)
	p.problem = problem
	p.mu.Unlock()
	if known {
		return
	}
	f.logger.ErrorContext(ctx, "projection stopped", "projection", p.Name, "reason", problem)
	if err := f.stop(ctx, p, problem); err != nil && ctx.Err() == nil {
		f.logger.WarnContext(ctx, "the reason is not recorded", "projection", p.Name, "err", err)
	}
}

func (p *followed) setLeads(leads bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leads = leads
}
