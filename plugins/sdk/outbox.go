package sdk

import (
	"context"
	"runtime"
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

// next waits for something to write and returns it. The frame is valid until
// the next call. It returns nil when ctx has ended or s is not attached.
func (o *outbox) next(ctx context.Context, s *session) *pluginv1.PluginFrame {
	for {
		o.mu.Lock()
		if o.session != s {
			o.mu.Unlock()
			return nil
		}
		f := o.take()
		o.mu.Unlock()
		if f != nil {
			return f
		}
		select {
		case <-o.wake:
			// Let those that an acknowledgement has just woken add theirs: a
			// frame of many costs little more than a frame of one.
			runtime.Gosched()
		case <-ctx.Done():
			return nil
		}
	}
}

func (o *outbox) take() *pluginv1.PluginFrame {
	if o.urgent.len() > 0 {
		return o.urgent.pop()
	}
	if o.control.len() > 0 {
		return o.control.pop()
	}
	// Everybody else in turn, so that a flood of one does not hold up another.
	for range 4 {
		o.turn = (o.turn + 1) % 4
		var f *pluginv1.PluginFrame
		switch o.turn {
		case 0:
			f = o.takeHooks()
		case 1:
			f = o.takeEvents()
		case 2:
			f = o.takeSignals()
		case 3:
			f = o.takeStatuses()
		}
		if f != nil {
			return f
		}
	}
	return nil
}

func (o *outbox) takeHooks() *pluginv1.PluginFrame {
	if o.hooks.len() == 0 {
		return nil
	}
	list := o.frame.hooks.HookResults
	list.Results = list.Results[:0]
	for bytes := 0; o.hooks.len() > 0 && len(list.Results) < contract.MaxFrameItems; {
		size := proto.Size(o.hooks.peek())
		if len(list.Results) > 0 && bytes+size > contract.MaxFrameBytes {
			break
		}
		bytes += size
		list.Results = append(list.Results, o.hooks.pop())
	}
	o.frame.frame.Frame = &o.frame.hooks
	return &o.frame.frame
}

func (o *outbox) takeSignals() *pluginv1.PluginFrame {
	if o.signals.len() == 0 {
		return nil
	}
	list := o.frame.signals.Signals
	list.Signals = list.Signals[:0]
	for o.signals.len() > 0 && len(list.Signals) < contract.MaxFrameItems {
		list.Signals = append(list.Signals, o.signals.pop())
	}
	o.frame.frame.Frame = &o.frame.signals
	return &o.frame.frame
}

func (o *outbox) takeStatuses() *pluginv1.PluginFrame {
	if len(o.dirty) == 0 {
		return nil
	}
	list := &pluginv1.AccountStatuses{}
	for id := range o.dirty {
		list.Statuses = append(list.Statuses, o.statuses[id])
		delete(o.dirty, id)
		if len(list.Statuses) == contract.MaxFrameItems {
			break
		}
	}
	return &pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_AccountStatuses{AccountStatuses: list}}
}

// takeEvents fills a frame with what waits, as far as credit goes.
func (o *outbox) takeEvents() *pluginv1.PluginFrame {
	if o.free.len()+o.metered.len() == 0 {
		return nil
	}
	if !o.pausedUntil.IsZero() {
		if time.Now().Before(o.pausedUntil) {
			return nil
		}
		o.pausedUntil = time.Time{}
	}
	list := o.frame.events.Events
	list.Events = list.Events[:0]
	bytes := 0
	for len(list.Events) < contract.MaxFrameItems {
		queue := &o.free
		if queue.len() == 0 {
			queue = &o.metered
		}
		if queue.len() == 0 {
			break
		}
		p := queue.peek()
		if p.abandoned {
			queue.pop()
			o.settledOne()
			continue
		}
		if len(list.Events) > 0 && bytes+p.size > contract.MaxFrameBytes {
			break
		}
		if !p.free {
			// An event larger than the window may go when it is alone.
			if o.used >= o.window || (o.used > 0 && o.usedBytes+p.size > o.windowBytes) {
				break
			}
			o.used++
			o.usedBytes += p.size
		}
		queue.pop()
		p.wire.Seq = o.firstSeq + uint64(o.inflight.len())
		o.inflight.push(p)
		bytes += p.size
		list.Events = append(list.Events, p.wire)
	}
	if len(list.Events) == 0 {
		return nil
	}
	o.frame.frame.Frame = &o.frame.events
	return &o.frame.frame
}

// settle takes acknowledgements. Callbacks run here, on the reader.
func (o *outbox) settle(s *session, acks []*pluginv1.EventAck) {
	var again []*pending
	o.mu.Lock()
	if o.session != s {
		o.mu.Unlock()
		return
	}
	for _, a := range acks {
		i := a.GetSeq() - o.firstSeq
		if a.GetSeq() < o.firstSeq || i >= uint64(o.inflight.len()) {
			continue
		}
		slot := o.inflight.at(int(i))
		p := *slot
		if p == nil {
			continue
		}
		*slot = nil
		if !p.free {
			o.used--
			o.usedBytes -= p.size
		}
		switch a.GetStatus() {
		case pluginv1.AckStatus_ACK_STATUS_COMMITTED, pluginv1.AckStatus_ACK_STATUS_DUPLICATE:
			o.backoff = 0
			o.finish(p, emitted{ack: Ack{
				Duplicate:    a.GetStatus() == pluginv1.AckStatus_ACK_STATUS_DUPLICATE,
				Conversation: ConversationID(a.GetConversationId()), Seq: a.GetLogSeq(),
			}})
		case pluginv1.AckStatus_ACK_STATUS_REFUSED:
			o.finish(p, emitted{err: &RefusedError{Code: a.GetCode()}})
		default: // RETRY, or an answer from the future: durable is only what is said to be
			again = append(again, p)
		}
	}
	for o.inflight.len() > 0 && o.inflight.peek() == nil {
		o.inflight.pop()
		o.firstSeq++
	}
	if len(again) > 0 {
		o.putBack(again)
		o.pause()
	}
	o.notify()
	acked, answers := o.acked, o.answers
	o.acked, o.answers = nil, nil
	o.mu.Unlock()

	o.callBack(acked, answers)
	clear(acked)
	clear(answers)
	o.mu.Lock()
	o.acked, o.answers = acked[:0], answers[:0]
	o.mu.Unlock()
}

// finish answers p; callbacks are left for after the lock.
func (o *outbox) finish(p *pending, e emitted) {
	switch {
	case p.abandoned:
	case p.ch != nil:
		p.ch <- e // room for one, and the only answer
	case p.done != nil:
		o.acked = append(o.acked, p)
		o.answers = append(o.answers, e)
	}
	o.settledOne()
}

func (o *outbox) settledOne() {
	o.unacked--
	if o.unacked == 0 {
		for _, ch := range o.empty {
			close(ch)
		}
		o.empty = nil
	}
}

// pause holds all events back, since the host's log takes none.
func (o *outbox) pause() {
	o.backoff = min(max(2*o.backoff, retryFirst), retryMost)
	o.pausedUntil = time.Now().Add(o.backoff)
	if o.resume == nil {
		o.resume = time.AfterFunc(o.backoff, o.notify)
		return
	}
	o.resume.Reset(o.backoff)
}

// drained returns a channel which is closed when nothing is unacknowledged.
func (o *outbox) drained() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	ch := make(chan struct{})
	if o.unacked == 0 {
		close(ch)
		return ch
	}
	o.empty = append(o.empty, ch)
	return ch
}

// close answers everything unacknowledged with ErrStopped.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	if o.resume != nil {
		o.resume.Stop()
	}
	o.detachLocked()
	left := make([]*pending, 0, o.unacked)
	for i := range o.inflight.len() {
		if p := *o.inflight.at(i); p != nil {
			left = append(left, p)
		}
	}
	o.inflight.reset()
	o.putBack(left)
	for _, q := range []*fifo[*pending]{&o.free, &o.metered} {
		for q.len() > 0 {
			o.finish(q.pop(), emitted{err: ErrStopped})
		}
	}
	acked, answers := o.acked, o.answers
	o.acked, o.answers = nil, nil
	o.mu.Unlock()
	o.callBack(acked, answers)
}

// callBack runs the callbacks of EmitAsync; one that panics costs no other.
func (o *outbox) callBack(acked []*pending, answers []emitted) {
	for next := 0; next < len(acked); {
		o.guard(func() {
			for next < len(acked) {
				next++
				acked[next-1].done(answers[next-1].ack, answers[next-1].err)
			}
		})
	}
}

// counts returns figures for the SDK's own metrics.
func (o *outbox) counts() (unacked int, droppedSignals uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.unacked, o.dropped
}
