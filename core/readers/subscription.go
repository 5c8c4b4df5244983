package readers

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// Subscription reads one thread for a connected channel: first the conversation of which the
// customer has seen a part, then the open one, then each one that opens later.
type Subscription struct {
	r        *Readers
	th       Thread
	audience conversation.Audience
	sink     plugin.Sink

	mu     sync.Mutex // guards the fields below; not held while the sink runs
	queue  []*subConv // conversations to read; the first one is being read
	credit int
	busy   bool // the pump has the subscription in its queue or runs it
	again  bool // schedule was called after the pump last looked
	closed bool
	failed bool // the sink was told that the subscription has failed
	seen   []conversation.ConversationID
	told   bool   // the sink was told that it has every event so far
	upTo   uint64 // with code: the last sequence to deliver
	code   string // not "": the subscription ends with this code after upTo

	sinkMu sync.Mutex // only one method of the sink runs at a time; Close waits for it
}

type subConv struct {
	tail   *Tail
	cursor uint64
}

// Thread is what a subscription reads. It calls Attach with each conversation that the subscription
// must read next.
type Thread interface {
	// Left says that the subscription was closed.
	Left(s *Subscription)
}

// NewSubscription opens a reader of a thread. It delivers nothing before Start.
func (r *Readers) NewSubscription(th Thread, audience conversation.Audience, credit int, sink plugin.Sink) *Subscription {
	if audience == 0 {
		audience = conversation.AudienceCustomer
	}
	return &Subscription{r: r, th: th, audience: audience, sink: sink, credit: credit}
}

// Start begins the delivery, once the thread's first conversations are attached.
func (s *Subscription) Start() { s.schedule() }

// Attach appends a conversation, to be read after a sequence, to those that are read. A
// conversation that was attached before is ignored.
func (s *Subscription) Attach(t *Tail, after uint64) {
	s.mu.Lock()
	if s.closed || slices.Contains(s.seen, t.id) {
		s.mu.Unlock()
		return
	}
	s.seen = append(s.seen, t.id)
	s.queue = append(s.queue, &subConv{tail: t, cursor: after})
	s.told = false
	t.watch(s) // under s.mu, so that a concurrent Close either unwatches it or makes Attach return
	s.mu.Unlock()
	t.catchUp()
	s.schedule()
}

func (s *Subscription) hint(*Tail) { s.schedule() }

// Finish makes the subscription deliver the events up to a sequence, and then end with a code. A
// subscription that is to finish reads one conversation only.
func (s *Subscription) Finish(upTo uint64, code string) {
	s.mu.Lock()
	if s.code == "" {
		s.upTo, s.code = upTo, code
	}
	s.mu.Unlock()
	s.schedule()
}

func (s *Subscription) signal(sig Signal) {
	if sig.Who.Kind == conversation.Customer || sig.Who.Kind == conversation.Bot && s.audience == conversation.AudienceBot {
		return
	}
	s.deliver(func() {
		s.sink.Signal(plugin.AgentSignal{Conversation: sig.Conversation, Kind: sig.Kind, On: sig.On, Name: sig.Name})
	})
}

func (s *Subscription) place(id conversation.ConversationID, position int, waited time.Duration) {
	if s.audience != conversation.AudienceCustomer {
		return
	}
	s.deliver(func() {
		s.sink.Signal(plugin.AgentSignal{Conversation: id, Kind: plugin.SignalQueue, On: position > 0, Position: position, Waited: waited})
	})
}

func (s *Subscription) deliver(f func()) {
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
func (s *Subscription) Credit(n int) {
	s.mu.Lock()
	s.credit += n
	s.mu.Unlock()
	s.schedule()
}

// Close implements plugin.Reader.
func (s *Subscription) Close() {
	s.mu.Lock()
	queue := s.queue
	s.queue, s.closed = nil, true
	for _, c := range queue {
		c.tail.unwatch(s)
	}
	s.mu.Unlock()
	s.th.Left(s)
	s.sinkMu.Lock()   // waits until no goroutine runs in the sink
	s.sinkMu.Unlock() //nolint:staticcheck // waiting is the point
}

// schedule makes the pump look at the subscription.
func (s *Subscription) schedule() {
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

// run delivers as many events as the credit allows.
func (s *Subscription) run(ctx context.Context) {
	for s.step(ctx) {
		continue
	}
}

// most is how many events a subscription takes from the log at a time.
const most = 64

// step reads once. False: there is nothing to do until schedule is called again. Once busy is
// false, schedule can be called at any time.
func (s *Subscription) step(ctx context.Context) bool {
	s.mu.Lock()
	s.again = false
	if s.closed || s.failed || len(s.queue) > 0 && s.credit <= 0 && !s.finished() {
		s.busy = false
		s.mu.Unlock()
		return false
	}
	if len(s.queue) == 0 {
		return s.rest()
	}
	c, limit, last := s.queue[0], min(s.credit, most), len(s.queue) == 1
	cursor := c.cursor
	if s.finished() {
		code := s.code
		s.busy, s.failed = false, true
		s.mu.Unlock()
		s.deliver(func() { s.sink.End(code) })
		return false
	}
	s.mu.Unlock()
	recs, reached, err := s.read(ctx, c, limit, last)
	if err != nil {
		if ctx.Err() == nil {
			s.r.logger.Warn("subscription cannot read the log", "conversation_id", c.tail.id, "err", err)
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
	if s.code != "" { // Finish may have been called while the records were read
		for len(recs) > 0 && recs[len(recs)-1].Seq > s.upTo {
			recs = recs[:len(recs)-1]
		}
	}
	c.cursor = reached
	s.credit -= len(recs)
	if reached == cursor {
		if last && len(s.queue) == 1 {
			return s.rest()
		}
		if !last { // it was read to its end, and the next conversation has taken its place
			s.queue = s.queue[1:]
			c.tail.unwatch(s)
		}
	}
	s.mu.Unlock()
	if len(recs) > 0 {
		s.deliver(func() { s.sink.Records(recs, false) })
	}
	return true
}

// finished reports whether everything up to where the subscription is to end was delivered. It
// needs s.mu.
func (s *Subscription) finished() bool {
	return s.code != "" && len(s.queue) > 0 && s.queue[0].cursor >= s.upTo
}

// read reads a conversation. If another one has followed it, it is over, but its end may have been
// decided on another node: then only the log has all its events.
func (s *Subscription) read(ctx context.Context, c *subConv, limit int, last bool) ([]Record, uint64, error) {
	if !last && !c.tail.isOver() {
		return s.r.readLog(ctx, c.tail.id, s.audience, c.cursor, limit)
	}
	return c.tail.Read(ctx, s.audience, c.cursor, limit)
}

// rest ends a step that found nothing more to read. It is called with s.mu held and unlocks it.
func (s *Subscription) rest() bool {
	switch {
	case s.again:
		s.mu.Unlock()
		return true
	case !s.told:
		s.told = true
		s.mu.Unlock()
		s.deliver(func() { s.sink.Records(nil, true) })
		return true // look again, since schedule did not add the subscription to the pump while busy was set
	}
	s.busy = false
	s.mu.Unlock()
	return false
}

var _ plugin.Reader = (*Subscription)(nil)
