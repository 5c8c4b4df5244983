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
	// maxUnacked bounds how many events EmitAsync may leave unacknowledged: four windows, so that
	// customers do not notice a short pause of the host.
	maxUnacked = 4 * contract.EventWindow
	// maxEventBytes leaves room for the frame around the largest event.
	maxEventBytes = contract.MaxMessageSize - 64<<10
	// maxSignals is how many signals may wait; when there are more the oldest are dropped.
	maxSignals = 1024

	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
)

// pending is an event that was emitted and is not acknowledged.
type pending struct {
	wire  *pluginv1.Event
	size  int
	order uint64 // order of emission, from 1; after a reconnect it also tells how old a sent event is
	free  bool   // results and receipts never wait for credit

	// One of the two is set. ch is the channel of a waiting Emit and has room for one answer.
	ch   chan emitted
	done func(Ack, error)

	abandoned bool // the caller of Emit no longer waits
}

type emitted struct {
	ack Ack
	err error
}

// outbox holds everything on its way to the host. Its events survive a Session: in the next one
// they are sent again, oldest first, with new numbers. All else belongs to one Session and is
// dropped with it.
type outbox struct {
	guard func(func())  // runs a callback and contains its panic
	wake  chan struct{} // room for one; read by the writer of the attached session

	mu      sync.Mutex
	session *session // the attached session; nil = none
	closed  bool

	urgent  fifo[*pluginv1.PluginFrame] // pong and begin frames, which go before everything else
	control fifo[*pluginv1.PluginFrame] // subscriptions and their credit, in order
	hooks   fifo[*pluginv1.HookResult]
	signals fifo[*pluginv1.Signal]
	dropped uint64 // how many signals were dropped

	statuses map[AccountID]*pluginv1.AccountStatus
	dirty    map[AccountID]struct{} // accounts whose status was not sent in this session

	templates map[AccountID]*pluginv1.TemplateList
	unlisted  map[AccountID]struct{} // accounts whose templates were not sent in this session

	free, metered fifo[*pending] // events that wait to be sent: those that need no credit, and those that do
	inflight      fifo[*pending] // sent events by seq, from firstSeq; nil = acknowledged
	firstSeq      uint64
	order         uint64
	unacked       int

	minor uint32 // of the contract, in this session or the one before; contract.Minor before the first

	window, windowBytes int // credit granted by the host
	used, usedBytes     int // how much of it is used

	pausedUntil time.Time // no event is sent before then, because the host could not store one
	backoff     time.Duration
	resume      *time.Timer

	empty []chan struct{} // closed when nothing is unacknowledged

	turn    int           // which of hooks, events, signals and statuses is next
	acked   []*pending    // reused by settle
	answers []emitted     // the answers to acked
	frame   pluginFrameRe // reused by the writer
}

// pluginFrameRe holds messages that the writer fills again for each frame, which is possible
// because Send encodes the frame before it returns.
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
		templates: map[AccountID]*pluginv1.TemplateList{}, unlisted: map[AccountID]struct{}{},
		minor: contract.Minor,
	}
	o.frame.events.Events = &pluginv1.Events{}
	o.frame.hooks.HookResults = &pluginv1.HookResults{}
	o.frame.signals.Signals = &pluginv1.Signals{}
	return o
}

func (o *outbox) notify() {
	select {
	case o.wake <- struct{}{}:
	default: // the writer has been woken already
	}
}

// put queues an event. With limited it refuses the event when too many are unacknowledged.
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
	if !p.strip(o.minor) {
		return ErrHostTooOld
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

// strip takes out of an event what the host does not know, and reports whether enough is left. The
// event may have been sent before, so it changes a copy.
func (p *pending) strip(minor uint32) (complete bool) {
	if minor >= contract.Minor {
		return true
	}
	p.wire = proto.CloneOf(p.wire)
	complete = contract.Strip(p.wire, minor)
	p.size = proto.Size(p.wire)
	return complete
}

// hostMinor is the minor version of the contract in the present session.
func (o *outbox) hostMinor() uint32 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.minor
}

// abandon records that the caller no longer waits for p. It reports false when the answer is
// already in p.ch.
func (o *outbox) abandon(p *pending) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(p.ch) > 0 {
		return false
	}
	p.abandoned = true
	return true
}

// pushUrgent, pushControl and pushHook drop a frame of a session that is no longer attached.
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

// setTemplates queues an account's templates.
func (o *outbox) setTemplates(id AccountID, list *pluginv1.TemplateList) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.minor < 1 {
		return ErrHostTooOld
	}
	o.templates[id] = list
	o.unlisted[id] = struct{}{}
	o.notify()
	return nil
}

// forgetStatuses drops statuses and templates of accounts that are no longer configured.
func (o *outbox) forgetStatuses(keep func(AccountID) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range o.statuses {
		if !keep(id) {
			delete(o.statuses, id)
			delete(o.dirty, id)
		}
	}
	for id := range o.templates {
		if !keep(id) {
			delete(o.templates, id)
			delete(o.unlisted, id)
		}
	}
}

// attach makes s the session to which everything is sent. The former session's writer must have
// ended. Events that the new session's host does not know end with ErrHostTooOld: the caller runs
// callBack for them when it holds no lock.
func (o *outbox) attach(s *session, window, windowBytes int) (callBack func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.detachLocked()
	o.session = s
	o.minor = min(s.hello.GetMinor(), contract.Minor)
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
	o.dropTooNew()
	for id := range o.statuses {
		o.dirty[id] = struct{}{}
	}
	for id := range o.templates {
		o.unlisted[id] = struct{}{}
	}
	o.urgent.push(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Hello{
		Hello: &pluginv1.PluginHello{Minor: o.minor},
	}})
	o.notify()
	acked, answers := o.acked, o.answers
	o.acked, o.answers = nil, nil
	return func() { o.callBack(acked, answers) }
}

// dropTooNew ends the waiting events that the host does not know.
func (o *outbox) dropTooNew() {
	if o.minor >= contract.Minor {
		return
	}
	for _, q := range []*fifo[*pending]{&o.free, &o.metered} {
		for range q.len() {
			if p := q.pop(); p.strip(o.minor) {
				q.push(p)
			} else {
				o.finish(p, emitted{err: ErrHostTooOld})
			}
		}
	}
}

// detach drops all that belongs to s, if s is still attached.
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

// putBack queues events to be sent again, before all that were emitted later.
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
