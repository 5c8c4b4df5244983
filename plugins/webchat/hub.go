package webchat

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// Times by which sockets are checked.
const (
	tick         = time.Second
	slots        = 10               // each socket is checked every 10 s
	helloTimeout = 10 * time.Second // for the client's first frame
	pingAfter    = 25 * time.Second // of silence, before a ping is sent
	deadAfter    = 75 * time.Second // of silence, before the socket is closed
	stuckAfter   = 15 * time.Second // of one write, before the socket is closed
	proofTimeout = 10 * time.Second // for the pong that a held start waits for
	// complainEvery is how many ticks pass between two log lines about refusals.
	complainEvery = 60
)

// hub knows every socket and every visitor of this process. One goroutine ticks for all of them, so
// sockets have no timers of their own.
type hub struct {
	host  sdk.Host
	ctx   context.Context //nolint:containedctx // the plugin's life, which every subscription shares
	start time.Time
	seed  maphash.Seed
	work  sync.WaitGroup // goroutines that read from and write to sockets
	// buffers are for writing: each writer has one while it runs.
	buffers sync.Pool

	mu       sync.Mutex
	draining bool
	slots    [slots][]*socket
	next     int
	visitors map[visitorKey]*visitor
	lonely   map[*visitor]struct{} // visitors without a socket who do not count as gone yet

	siteStarts map[sdk.AccountID]*bucket
	addresses  *addresses
	quotas     *quotas

	count  counters
	memory memory
}

func newHub(ctx context.Context, host sdk.Host) *hub {
	return &hub{
		host: host, ctx: ctx, start: time.Now(), seed: maphash.MakeSeed(),
		visitors: map[visitorKey]*visitor{}, lonely: map[*visitor]struct{}{},
		siteStarts: map[sdk.AccountID]*bucket{}, addresses: newAddresses(), quotas: newQuotas(),
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
}

// now is a monotonic clock in milliseconds, above 0.
func (h *hub) now() int64 { return time.Since(h.start).Milliseconds() + 1 }

// add registers a socket before its first frame; false while the plugin is draining.
func (h *hub) add(s *socket) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return false
	}
	s.slot = h.next
	h.next = (h.next + 1) % slots
	s.place = len(h.slots[s.slot])
	h.slots[s.slot] = append(h.slots[s.slot], s)
	h.count.sockets.Add(1)
	return true
}

// remove forgets a socket. If it was the visitor's last one, the time begins after which the
// customer counts as gone (SPEC Q3).
func (h *hub) remove(s *socket) {
	h.mu.Lock()
	slot := h.slots[s.slot]
	last := len(slot) - 1
	slot[s.place] = slot[last]
	slot[s.place].place = s.place
	slot[last] = nil
	h.slots[s.slot] = slot[:last]
	h.count.sockets.Add(-1)
	v := s.visitor()
	gone := false
	if v != nil {
		gone = h.part(v, s)
	}
	h.mu.Unlock()
	if gone && v.opened() != "" {
		h.presence(v, false)
	}
}

// part removes s from its visitor; true: it was the last one. The caller holds mu.
func (h *hub) part(v *visitor, s *socket) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	i := slices.Index(v.sockets, s)
	if i < 0 {
		return false
	}
	v.sockets = slices.Delete(v.sockets, i, i+1)
	if len(v.sockets) > 0 {
		return false
	}
	v.sockets, v.typingAt = nil, 0
	if h.draining || v.open == "" && v.starting == 0 {
		delete(h.visitors, v.visitorKey)
		return true
	}
	v.leaveAt = h.now() + v.site.unresponsiveAfter().Milliseconds()
	h.lonely[v] = struct{}{}
	return true
}

// join adds s to its visitor, who is created if new.
func (h *hub) join(s *socket, at *site, thread sdk.ThreadID) *visitor {
	key := visitorKey{account: at.account, thread: thread}
	h.mu.Lock()
	v := h.visitors[key]
	if v == nil {
		v = &visitor{visitorKey: key}
		h.visitors[key] = v
	}
	delete(h.lonely, v)
	v.mu.Lock()
	first := len(v.sockets) == 0
	v.sockets = append(v.sockets, s)
	v.site, v.leaveAt = at, 0
	open := v.open
	v.mu.Unlock()
	h.mu.Unlock()
	if first && open != "" {
		h.presence(v, true)
	}
	return v
}

// allowSiteStart counts one conversation against the site's limit, and reports whether it is
// allowed.
func (h *hub) allowSiteStart(at *site) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.siteStarts[at.account]
	if b == nil {
		b = &bucket{}
		h.siteStarts[at.account] = b
	}
	return b.take(h.now(), 1, float32(at.StartsPerSecond), float32(at.StartBurst))
}

func (h *hub) find(account sdk.AccountID, thread sdk.ThreadID) *visitor {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.visitors[visitorKey{account, thread}]
}

// presence tells the gateway whether the customer is connected.
func (h *hub) presence(v *visitor, on bool) {
	h.host.Signal(sdk.Signal{Account: v.account, Thread: v.thread, Conversation: v.opened(), Kind: sdk.SignalPresence, On: on})
}

// run ticks until ctx ends.
func (h *hub) run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	var scratch []*socket
	told := complaints{told: map[string]uint64{}}
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		h.mu.Lock()
		scratch = append(scratch[:0], h.slots[turn%slots]...)
		h.mu.Unlock()
		now := h.now()
		for i, s := range scratch {
			s.check(now)
			scratch[i] = nil
		}
		for _, v := range h.gone(now) {
			h.left(v)
		}
		if turn%complainEvery == complainEvery-1 {
			told.tell(h.host.Logger(), h.count.refusals())
			h.addresses.prune(now)
		}
		h.memory.tune(turn, h.count.sockets.Load(), h.count.frames.Load())
	}
}

// gone removes and returns the visitors who have been without a socket for too long.
func (h *hub) gone(now int64) []*visitor {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*visitor
	for v := range h.lonely {
		v.mu.Lock()
		if v.leaveAt <= now {
			out = append(out, v)
			delete(h.lonely, v)
			delete(h.visitors, v.visitorKey)
		}
		v.mu.Unlock()
	}
	return out
}

// left tells the gateway that a customer is gone without having ended the conversation.
func (h *hub) left(v *visitor) {
	if v.opened() == "" {
		return
	}
	err := h.host.EmitAsync(sdk.Event{
		Account: v.account, Thread: v.thread, DedupeKey: string(v.thread) + ":left:" + uuid.NewString(),
		ReceivedTime: time.Now(), Body: sdk.Left{Reason: "unresponsive"},
	}, func(sdk.Ack, error) {})
	if err == nil {
		return
	}
	h.mu.Lock() // the queue is full: try again at the next tick, unless the customer is back by then
	defer h.mu.Unlock()
	if h.visitors[v.visitorKey] == nil && !h.draining {
		h.visitors[v.visitorKey] = v
		h.lonely[v] = struct{}{}
	}
}

// all returns every socket.
func (h *hub) all() []*socket {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*socket
	for _, slot := range h.slots {
		out = append(out, slot...)
	}
	return out
}

// drain refuses new sockets, tells the present ones to connect again, and waits for them until ctx
// ends. Their clients connect to the next generation spread over spread milliseconds, not all at
// once.
func (h *hub) drain(ctx context.Context) {
	const spread = 1500
	h.mu.Lock()
	h.draining = true
	h.mu.Unlock()
	all := h.all()
	for i, s := range all {
		s.bye("restart", closeRestart, 100+int64(i*spread/len(all)))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.work.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		for _, s := range h.all() {
			s.kill()
		}
		<-done
	}
}
