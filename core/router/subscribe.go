package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// subscription reads one thread for a connected channel: the conversation
// that the customer has part of, then the open one, then whatever opens later.
type subscription struct {
	r        *Router
	th       *thread
	audience conversation.Audience
	sink     plugin.Sink

	mu     sync.Mutex // guards the fields below; not held while the sink runs
	queue  []*subConv // the first one is being read
	credit int
	busy   bool // a pump is scheduled or runs
	again  bool // something came since the pump looked
	closed bool
	failed bool // the sink was told that it is over
	seen   []conversation.ConversationID
	told   bool // the sink was told that it is up to date

	sinkMu sync.Mutex // one sink method at a time; Close waits for it
}

type subConv struct {
	l      *live
	cursor uint64
}

// Subscribe opens a reader of a thread (plugin.Core). The conversation
// named by After must belong to the thread.
func (r *Router) Subscribe(ctx context.Context, spec plugin.SubscriptionSpec, sink plugin.Sink) (plugin.Reader, error) {
	acc, ok := r.account(spec.Account)
	if !ok || acc.plugin != spec.Plugin {
		return nil, refusedSubscription(ErrUnknownAccount)
	}
	th := r.hold(spec.Account, spec.Thread)
	defer th.release()
	audience := spec.Audience
	if audience == 0 {
		audience = conversation.AudienceCustomer
	}
	s := &subscription{r: r, th: th, audience: audience, sink: sink, credit: spec.Credit}
	open, err := th.resolve(ctx) // first: a resumed conversation may be the open one
	if err != nil {
		return nil, err
	}
	if !spec.After.IsZero() && (open == nil || open.id != spec.After) {
		l := r.live(spec.After)
		mine := false
		_, err := l.do(ctx, &task{read: func(st *conversation.State) {
			for _, e := range st.Endpoints {
				mine = mine || e.Account == spec.Account && e.Thread == th.hex
			}
		}})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if !mine {
			return nil, refusedSubscription(ErrNotFound)
		}
		s.attach(l, spec.AfterSeq)
	}
	th.mu.Lock()
	th.subs = append(th.subs, s)
	if th.open != nil {
		after := uint64(0)
		if th.open.id == spec.After {
			after = spec.AfterSeq
		}
		s.attach(th.open, after)
	}
	th.mu.Unlock()
	s.schedule()
	return s, nil
}

// refusedSubscription carries the published code to the plugin.
func refusedSubscription(err error) error {
	return fmt.Errorf("router: subscribe: %w: %w", err, &plugin.SubscribeError{Code: Code(err)})
}

// attach appends a conversation to what is read, unless it was there before.
func (s *subscription) attach(l *live, after uint64) {
	s.mu.Lock()
	if s.closed || slices.Contains(s.seen, l.id) {
		s.mu.Unlock()
		return
	}
	s.seen = append(s.seen, l.id)
	s.queue = append(s.queue, &subConv{l: l, cursor: after})
	s.told = false
	l.watch(s) // under s.mu: Close finds it watched, or attach finds it closed
	s.mu.Unlock()
	s.r.refreshIfUnknown(l)
	s.r.dispatch.TellAgain()
	s.schedule()
}

func (s *subscription) hint(*live) { s.schedule() }

func (s *subscription) signal(l *live, sig Signal) {
	if sig.Who.Kind == conversation.Customer {
		return
	}
	s.deliver(func() {
		s.sink.Signal(plugin.AgentSignal{Conversation: l.id, Kind: sig.Kind, On: sig.On, Name: sig.Name})
	})
}

func (s *subscription) queueSignal(id conversation.ConversationID, position int, waited time.Duration) {
	s.deliver(func() {
		s.sink.Signal(plugin.AgentSignal{Conversation: id, Kind: plugin.SignalQueue, On: position > 0, Position: position, Waited: waited})
	})
}

func (s *subscription) deliver(f func()) {
	s.sinkMu.Lock()
	defer s.sinkMu.Unlock()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if !closed {
		f()
	}
}

// Credit implements plugin.Reader.
func (s *subscription) Credit(n int) {
	s.mu.Lock()
	s.credit += n
	s.mu.Unlock()
	s.schedule()
}

// Close implements plugin.Reader.
func (s *subscription) Close() {
	s.mu.Lock()
	queue := s.queue
	s.queue, s.closed = nil, true
	for _, c := range queue {
		c.l.unwatch(s)
	}
	s.mu.Unlock()
	s.th.used.Store(s.r.now().UnixNano()) // word that the customer has gone may follow
	s.th.mu.Lock()
	kept := make([]*subscription, 0, len(s.th.subs))
	for _, x := range s.th.subs {
		if x != s {
			kept = append(kept, x)
		}
	}
	s.th.subs = kept
	s.th.mu.Unlock()
	s.sinkMu.Lock()   // whoever runs in the sink has left it
	s.sinkMu.Unlock() //nolint:staticcheck // waiting is the point
}

// schedule lets the router's pump look at the subscription.
func (s *subscription) schedule() {
	s.mu.Lock()
	if s.busy {
		s.again = true
		s.mu.Unlock()
		return
	}
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.busy = true
	s.mu.Unlock()
	s.r.pump.add(s)
}

// run delivers what credit allows.
func (s *subscription) run(ctx context.Context) {
	for s.step(ctx) {
		continue
	}
}

// most is how many events a subscription takes from the log at a time.
const most = 64

// step reads once. False: there is nothing to do until somebody schedules again,
// which is possible from the moment on that busy is off.
func (s *subscription) step(ctx context.Context) bool {
	s.mu.Lock()
	s.again = false
	if s.closed || s.failed || len(s.queue) > 0 && s.credit <= 0 {
		s.busy = false
		s.mu.Unlock()
		return false
	}
	if len(s.queue) == 0 {
		return s.rest()
	}
	c, limit, last := s.queue[0], min(s.credit, most), len(s.queue) == 1
	cursor := c.cursor
	s.mu.Unlock()
	recs, reached, err := s.read(ctx, c, limit, last)
	if err != nil {
		if ctx.Err() == nil {
			s.r.logger.Warn("subscription cannot read the log", "conversation_id", c.l.id, "err", err)
			s.deliver(func() { s.sink.End("unavailable") })
		}
		s.mu.Lock()
		s.busy, s.failed = false, true
		s.mu.Unlock()
		return false
	}
	s.mu.Lock()
	if s.closed {
		s.busy = false
		s.mu.Unlock()
		return false
	}
	c.cursor = reached
	s.credit -= len(recs)
	if reached == cursor {
		if last && len(s.queue) == 1 {
			return s.rest()
		}
		if !last { // read to its end: the next one has taken its place
			s.queue = s.queue[1:]
			c.l.unwatch(s)
		}
	}
	s.mu.Unlock()
	if len(recs) > 0 {
		s.deliver(func() { s.sink.Records(recs, false) })
	}
	return true
}

// read reads a conversation. One that another has followed is over, but how it
// ended may have been decided on another node: then only the log can say.
func (s *subscription) read(ctx context.Context, c *subConv, limit int, last bool) ([]Record, uint64, error) {
	if !last && !c.l.isOver() {
		return s.r.readLog(ctx, c.l.id, s.audience, c.cursor, limit)
	}
	return c.l.read(ctx, s.audience, c.cursor, limit)
}

// rest is the end of what there is. It is called with s.mu held and lets it go.
func (s *subscription) rest() bool {
	switch {
	case s.again:
		s.mu.Unlock()
		return true
	case !s.told:
		s.told = true
		s.mu.Unlock()
		s.deliver(func() { s.sink.Records(nil, true) })
		return true // look again: busy was on meanwhile
	}
	s.busy = false
	s.mu.Unlock()
	return false
}

// pump runs subscriptions that have work on a few goroutines.
type pump struct {
	mu    sync.Mutex
	ready []*subscription
	wake  chan struct{}
}

func newPump() *pump { return &pump{wake: make(chan struct{}, 1)} }

func (p *pump) add(s *subscription) {
	p.mu.Lock()
	p.ready = append(p.ready, s)
	p.mu.Unlock()
	p.poke()
}

func (p *pump) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pump) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
		for {
			p.mu.Lock()
			batch := p.ready
			if len(batch) > 32 {
				batch, p.ready = batch[:32:32], batch[32:]
				p.poke() // let another pump take the rest
			} else {
				p.ready = nil
			}
			p.mu.Unlock()
			if len(batch) == 0 {
				break
			}
			for _, s := range batch {
				s.run(ctx)
			}
		}
	}
}

// refreshIfUnknown makes sure that a conversation's head is known, so that
// readers get what is in the log.
func (r *Router) refreshIfUnknown(l *live) {
	l.mu.Lock()
	known := l.head != 0
	l.mu.Unlock()
	if !known {
		l.submit(&task{done: func(outcome, error) {}})
	}
}

var _ plugin.Reader = (*subscription)(nil)
