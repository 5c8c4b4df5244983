package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/ingest"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/sessionwork"
)

// take routes an arrival, behind those that wait on the thread.
func (th *thread) take(a arrival) {
	th.mu.Lock()
	th.arrived++
	a.n = th.arrived
	if th.open != nil && len(th.waiting) == 0 && !th.resolving && !th.returning {
		th.pass(th.open, a) // called under th.mu, which keeps the order in which take was called
	} else {
		th.waiting = append(th.waiting, a)
		th.start()
	}
	th.mu.Unlock()
}

// start lets drain route the waiting arrivals, unless it runs already or arrivals may come back.
// The caller holds th.mu.
func (th *thread) start() {
	if th.resolving || th.returning {
		return
	}
	th.resolving = true
	if !th.r.spawn(th.drain) {
		th.resolving = false
		waiting := th.waiting
		th.waiting = nil
		for _, a := range waiting {
			a.done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
		}
	}
}

// drain routes the waiting arrivals once the thread's conversation is known.
func (th *thread) drain() {
	for {
		_, err := th.resolve(th.r.ctx)
		th.mu.Lock()
		if len(th.waiting) == 0 || th.returning {
			th.resolving = false // take or answered starts drain again
			th.mu.Unlock()
			return
		}
		a := th.waiting[0]
		th.waiting = th.waiting[1:]
		if err != nil {
			th.mu.Unlock()
			th.r.logger.Warn("thread cannot be resolved", "channel", a.in.Plugin, "err", err)
			th.r.note(&a.from, err)
			a.done(plugin.Ack{Status: plugin.Retry, Code: "unavailable"})
			continue
		}
		if th.open != nil {
			th.pass(th.open, a)
			th.mu.Unlock()
			continue
		}
		th.mu.Unlock()
		th.begin(a)
	}
}

// maxAttempts is how often an arrival is routed anew.
const maxAttempts = 3

// answered is called when a conversation has decided on an arrival. It answers the arrival, or
// routes it anew when the conversation turned out to be over or another node's. An arrival that is
// routed anew gets its old place, so that later ones wait behind it. The caller must not hold
// th.mu, except with ErrStopped.
func (th *thread) answered(l *live, a arrival, o outcome, err error) {
	if errors.Is(err, ErrStopped) {
		a.done(th.r.ack(l.id, o, err))
		return
	}
	back := elsewhere(err)
	th.mu.Lock()
	th.out--
	if back {
		if th.open == l {
			th.setOpen(nil)
		}
		if a.attempts++; a.attempts <= maxAttempts {
			at, _ := slices.BinarySearchFunc(th.waiting, a.n, func(w arrival, n uint64) int { return cmp.Compare(w.n, n) })
			th.waiting = slices.Insert(th.waiting, at, a)
		}
	}
	if th.out == 0 {
		th.returning = false
	}
	if len(th.waiting) > 0 {
		th.start()
	}
	th.mu.Unlock()
	switch {
	case !back && err == nil && o.duplicate:
		th.ackLogged(a, th.r.ingest.Repeat(a.in, eventlog.StreamID(o.conversation), o.first))
	case !back && refusalCode(err) != "":
		// A refusal by the rules is final, unless a repeat is refused of what was done before. The
		// conversation's worker does not wait for the log, neither to look nor for the record.
		if !th.r.spawn(func() {
			if !th.repeated(a) {
				th.refuse(a, refusalCode(err))
			}
		}) {
			a.done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
		}
	case !back:
		a.done(th.r.ack(l.id, o, err))
	case a.attempts > maxAttempts:
		th.r.order.Refused(&a.from)
		a.done(plugin.Ack{Status: plugin.Retry, Code: "conflict"})
		if errors.Is(err, conversation.ErrEnded) {
			th.closeInLog(l)
		}
	}
}

// closeInLog takes the thread from l, a conversation that has ended and yet holds the thread in the
// log, so that the next arrival finds the thread free. Earlier versions left such entries when a
// conversation began and ended in one append.
func (th *thread) closeInLog(l *live) {
	th.r.spawn(func() {
		_, err := th.r.log.Append(th.r.ctx, &eventlog.Batch{CloseThreads: []eventlog.Thread{
			{Account: eventlog.StreamID(th.id.account), Key: th.key, Conversation: eventlog.StreamID(l.id)}}})
		if err != nil && th.r.ctx.Err() == nil {
			th.r.logger.Warn("thread of an ended conversation could not be freed", "conversation_id", l.id, "err", err)
		}
	})
}

// pass hands an arrival to an open conversation. The caller holds th.mu; pass does not block.
func (th *thread) pass(l *live, a arrival) {
	r, in := th.r, a.in
	t := &task{from: a.from, account: in.Account, cameOn: th.key, external: r.ingest.Keys(in)}
	if in.Receipt != nil && in.Receipt.Conversation != l.id && !in.Receipt.Conversation.IsZero() {
		a.done(plugin.Ack{Status: plugin.Refused, Code: "ended", Conversation: in.Receipt.Conversation})
		return
	}
	if st, after, ok := r.sessions.Arrival(&in); ok {
		th.passSession(l, t, a, st, after)
		return
	}
	cmd, err := r.ingest.Command(&in)
	switch {
	case err != nil:
		a.done(plugin.Ack{Status: plugin.Refused, Code: "invalid"})
		return
	case cmd == nil:
		th.passSecondStart(l, t, a)
		return
	}
	t.cmd = cmd
	if _, ok := cmd.(*conversation.Post); ok {
		t.prepare = r.prepareCustomerPost
		if w := ingest.Wrote(&in); messages.NamesByProvider(&w) {
			t.wrote = &w
		}
	}
	if _, ok := cmd.(conversation.SetReplyWindow); ok {
		t.prepare = prepareWindow
	}
	t.done = func(o outcome, err error) {
		a.from = t.from // the item keeps its place when the arrival is routed anew
		th.answered(l, a, o, err)
	}
	th.out++
	l.submit(t)
}

// passSession hands on an arrival that concerns a call or a tool. The caller holds th.mu; passSession does not
// block.
func (th *thread) passSession(l *live, t *task, a arrival, st sessionwork.Step, after sessionwork.After) {
	t.prepare = th.r.planFrom(st.Decide)
	t.done = func(o outcome, err error) {
		a.from = t.from
		if (err != nil || o.duplicate) && st.Dropped != nil {
			st.Dropped()
		}
		if recorded, ok := errors.AsType[*sessionwork.RecordedError](err); ok {
			o, err = outcome{conversation: recorded.Conversation, first: recorded.Seq, duplicate: true}, nil
		}
		if a.in.Call != nil && errors.Is(err, conversation.ErrNoSuchSession) {
			th.notHere(l, a, o, st)
			return
		}
		if errors.Is(err, sessionwork.ErrUnavailable) {
			th.notNow(l, a, o)
			return
		}
		if done := a.done; err == nil && !o.duplicate && after != nil {
			a.done = func(ack plugin.Ack) { after(l.id, ack, done) }
		}
		th.answered(l, a, o, err)
	}
	th.out++
	l.submit(t)
}

// notNow refuses a customer's event whose tool cannot be reached. That is not recorded, so that the event may come
// again. It is no plugin.Retry, with which the channel would hold back everything that it has to say.
func (th *thread) notNow(l *live, a arrival, o outcome) {
	done := a.done
	a.done = func(plugin.Ack) {
		done(plugin.Ack{Status: plugin.Refused, Code: sessionwork.CodeUnavailable, Conversation: l.id})
	}
	th.answered(l, a, o, nil)
}

// notHere answers what a plugin says of a call that the thread's open conversation does not have: it has ended, or
// it was an earlier conversation's.
func (th *thread) notHere(l *live, a arrival, o outcome, st sessionwork.Step) {
	done := a.done
	st.Account, st.Keys = a.in.Account, th.r.ingest.Keys(a.in)
	a.done = func(plugin.Ack) {
		if !th.r.spawn(func() { th.r.sessions.BySession(a.in, a.in.Call.Session, st, done) }) {
			done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
		}
	}
	th.answered(l, a, o, nil)
}

// passSecondStart answers a start without a message on a thread whose conversation l is open. The
// start goes through l's mailbox, since the events that began the conversation, or end it, may
// still be on their way to the disk. A start that is a repeat is answered with the record of the
// first one. The caller holds th.mu; passSecondStart does not block.
func (th *thread) passSecondStart(l *live, t *task, a arrival) {
	t.external = nil // the task has no event to which the ids could be bound
	t.prepare = func(_ *task, s *conversation.State) error {
		if s.Phase != conversation.PhaseOpen {
			return conversation.ErrEnded
		}
		return nil
	}
	t.done = func(o outcome, err error) {
		a.from = t.from
		if err != nil {
			th.answered(l, a, o, err)
			return
		}
		// The conversation's worker does not wait for the log, which firstOf reads.
		if !th.r.spawn(func() {
			o, err := th.r.firstOf(a.in, l.id)
			th.r.note(&a.from, err)
			th.answered(l, a, o, err)
		}) {
			th.answered(l, a, o, ErrStopped)
		}
	}
	th.out++
	l.submit(t)
}

// firstOf finds the event that in repeats, by in's external ids. When the log knows none of them,
// in is answered as a repeat in conv that has no record.
func (r *Router) firstOf(in plugin.Inbound, conv conversation.ConversationID) (outcome, error) {
	first, found, err := r.known(r.ctx, in.Account, r.ingest.Keys(in))
	if err == nil && !found {
		first = outcome{conversation: conv, duplicate: true}
	}
	return first, err
}

// known finds the event to which one of an account's, or an agent's, external ids is bound: what a task
// with the same ids did before.
func (r *Router) known(ctx context.Context, account conversation.AccountID, keys []eventlog.Key) (first outcome, found bool, err error) {
	for _, k := range keys {
		stream, seq, err := r.log.External(ctx, eventlog.StreamID(account), k)
		if err == nil {
			return outcome{conversation: conversation.ConversationID(stream), first: seq, last: seq, message: seq, duplicate: true}, true, nil
		}
		if !errors.Is(err, eventlog.ErrNotFound) {
			return outcome{}, false, fmt.Errorf("router: find what is repeated: %w", err)
		}
	}
	return outcome{}, false, nil
}

// doOnce is do for a task with external ids. The rules may refuse a repeat, since what it asks for has
// been done, or because the conversation went on meanwhile; it is answered as a repeat all the same.
func (l *live) doOnce(ctx context.Context, t *task) (outcome, error) {
	out, err := l.do(ctx, t)
	if refusal(err) {
		if first, found, lookErr := l.r.known(ctx, t.account, t.external); found || lookErr != nil {
			l.r.note(&t.from, lookErr)
			return first, lookErr
		}
	}
	return out, err
}

// elsewhere reports whether err means that a conversation is not the thread's open one: it has
// ended, or never began because another node's was first.
func elsewhere(err error) bool {
	if err == nil {
		return false
	}
	var open *eventlog.ThreadOpenError
	return errors.Is(err, conversation.ErrEnded) || errors.Is(err, ErrNotFound) || errors.Is(err, conversation.ErrNotStarted) || errors.As(err, &open)
}
