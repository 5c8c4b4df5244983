package sdk

import (
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// This file has the reader's side of the outbox: what acknowledgements do.

// settle handles acknowledgements. It runs the callbacks, on the reader's goroutine.
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
		default: // RETRY, or a status of a newer host: an event is durable only if the host says so
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

// finish records the answer to p; the caller runs callbacks after it has released the lock.
func (o *outbox) finish(p *pending, e emitted) {
	switch {
	case p.abandoned:
	case p.ch != nil:
		p.ch <- e // never blocks: there is room for one, and no other answer
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

// pause holds all events back, because the host's log takes none now.
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

// close ends everything unacknowledged with ErrStopped.
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

// callBack runs the callbacks of EmitAsync; if one panics the others still run.
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
