package sdk

import (
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

const (
	// maxUnacked bounds what EmitAsync may leave unacknowledged: four windows,
	// so that a short pause of the host is not felt by customers.
	maxUnacked = 4 * contract.EventWindow
	// maxEventBytes leaves room for the frame around the largest event.
	maxEventBytes = contract.MaxMessageSize - 64<<10
	// maxSignals is the queue of signals; the oldest are dropped first.
	maxSignals = 1024

	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
)

// pending is an event between its emission and its acknowledgement.
type pending struct {
	wire  *pluginv1.Event
	size  int
	order uint64 // of emission, from 1; also tells a sent event's age after a reconnect
	free  bool   // results and receipts never wait for credit

	// One of the two is set. ch belongs to a waiting Emit and has room for one.
	ch   chan emitted
	done func(Ack, error)

	abandoned bool // nobody waits any more
}

type emitted struct {
	ack Ack
	err error
}

// outbox holds everything on its way to the host. Events in it outlive a
// Session: under the next one they are sent again, oldest first, under new
// numbers. All else belongs to one Session and goes with it.
type outbox struct {
	guard func(func())  // contains a callback's panic
	wake  chan struct{} // room for one; read by the attached session's writer

	mu      sync.Mutex
	session *session // attached; nil = none
	closed  bool

	urgent  fifo[*pluginv1.PluginFrame] // pong, begin: overtake everything
	control fifo[*pluginv1.PluginFrame] // subscriptions and their credit, in order
	hooks   fifo[*pluginv1.HookResult]
	signals fifo[*pluginv1.Signal]
	dropped uint64 // signals

	statuses map[AccountID]*pluginv1.AccountStatus
	dirty    map[AccountID]struct{} // statuses not sent in this session

	free, metered fifo[*pending] // waiting to be sent
	inflight      fifo[*pending] // by seq, from firstSeq; nil = acknowledged
	firstSeq      uint64
	order         uint64
	unacked       int

	window, windowBytes int // granted
	used, usedBytes     int // of it

	pausedUntil time.Time // the host could not store; nothing is sent before
	backoff     time.Duration
	resume      *time.Timer

	empty []chan struct{} // closed when nothing is unacknowledged

	turn    int           // whose turn it is among hooks, events, signals, statuses
	acked   []*pending    // reused by settle
	answers []emitted     // beside acked
	frame   pluginFrameRe // reused by the writer
}

// pluginFrameRe holds the messages that the writer fills again and again: a
// frame is encoded before Send returns.
type pluginFrameRe struct {
	frame   pluginv1.PluginFrame
	events  pluginv1.PluginFrame_Events
	hooks   pluginv1.PluginFrame_HookResults
	signals pluginv1.PluginFrame_Signals
}

func newOutbox(guard func(func())) *outbox {
	o := &outbox{
		guard: guard, wake: make(chan struct{}, 1),
		statuses: map[AccountID]*pluginv1.AccountStatus{}, dirty: map[AccountID]struct{}{},
	}
	o.frame.events.Events = &pluginv1.Events{}
	o.frame.hooks.HookResults = &pluginv1.HookResults{}
	o.frame.signals.Signals = &pluginv1.Signals{}
	return o
}

func (o *outbox) notify() {
	select {
	case o.wake <- struct{}{}:
	default: // the writer has been told
	}
}

// put queues an event. limited refuses it when too much is unacknowledged.
func (o *outbox) put(p *pending, limited bool) error {
	p.size = proto.Size(p.wire)
	if p.size > maxEventBytes {
		return ErrTooLarge
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrStopped
	}
	if limited && o.unacked >= maxUnacked {
		return ErrOverload
	}
	o.order++
	p.order = o.order
	o.unacked++
	if p.free {
		o.free.push(p)
	} else {
		o.metered.push(p)
	}
	o.notify()
	return nil
}

// abandon tells that nobody waits for p any more. It reports false when the
// answer is already in p.ch.
func (o *outbox) abandon(p *pending) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(p.ch) > 0 {
		return false
	}
	p.abandoned = true
	return true
}

// pushUrgent, pushControl and pushHook drop what belongs to another session.
func (o *outbox) pushUrgent(s *session, f *pluginv1.PluginFrame) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.session != s || s == nil {
		return false
	}
	o.urgent.push(f)
	o.notify()
	return true
}

func (o *outbox) pushControl(f *pluginv1.PluginFrame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.session == nil {
		return
	}
	o.control.push(f)
	o.notify()
}

func (o *outbox) pushHook(s *session, r *pluginv1.HookResult) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.session != s {
		return
	}
	o.hooks.push(r)
	o.notify()
}

func (o *outbox) pushSignal(s *pluginv1.Signal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.session == nil {
		o.dropped++
		return
	}
	if o.signals.len() >= maxSignals {
		o.signals.pop()
		o.dropped++
	}
	o.signals.push(s)
	o.notify()
}

func (o *outbox) setStatus(id AccountID, st *pluginv1.AccountStatus) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.statuses[id] = st
	o.dirty[id] = struct{}{}
	o.notify()
}

// forgetStatuses drops those of accounts that are no longer configured.
func (o *outbox) forgetStatuses(keep func(AccountID) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range o.statuses {
		if !keep(id) {
			delete(o.statuses, id)
			delete(o.dirty, id)
		}
	}
}

// attach makes s the session that everything goes to. The former session's
// writer must have ended.
func (o *outbox) attach(s *session, window, windowBytes int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.detachLocked()
	o.session = s
	o.window, o.windowBytes = window, windowBytes
	o.used, o.usedBytes = 0, 0
	o.pausedUntil, o.backoff = time.Time{}, 0

	again := make([]*pending, 0, o.inflight.len())
	for i := range o.inflight.len() {
		if p := *o.inflight.at(i); p != nil {
			again = append(again, p)
		}
	}
	o.inflight.reset()
	o.firstSeq = 1
	o.putBack(again)
	for id := range o.statuses {
		o.dirty[id] = struct{}{}
	}
	o.urgent.push(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Hello{
		Hello: &pluginv1.PluginHello{Minor: min(s.hello.GetMinor(), contract.Minor)},
	}})
	o.notify()
}

// detach ends what belongs to s, if it is still attached.
func (o *outbox) detach(s *session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.session == s {
		o.detachLocked()
	}
}

func (o *outbox) detachLocked() {
	o.session = nil
	o.urgent.reset()
	o.control.reset()
	o.hooks.reset()
	o.signals.reset()
}

// putBack queues events again before all later ones.
func (o *outbox) putBack(again []*pending) {
	if len(again) == 0 {
		return
	}
	for i := range o.free.len() {
		again = append(again, *o.free.at(i))
	}
	for i := range o.metered.len() {
		again = append(again, *o.metered.at(i))
	}
	slices.SortFunc(again, func(a, b *pending) int { return int(int64(a.order) - int64(b.order)) })
	o.free.reset()
	o.metered.reset()
	for _, p := range again {
		if p.free {
			o.free.push(p)
		} else {
			o.metered.push(p)
		}
	}
}
