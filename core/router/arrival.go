package router

import (
	"context"
	"errors"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/ingest"
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
)

// arrival is an inbound event on its way to a conversation.
type arrival struct {
	in       plugin.Inbound
	from     order.Item
	to       target
	done     func(plugin.Ack)
	n        uint64 // number of the arrival on its thread, which keeps its order
	attempts int
}

// target is what an account says of the conversations that begin on it. Every arrival carries a
// target, so it holds no more than that.
type target struct {
	service conversation.ServiceID
	user    conversation.AgentID // set when service is zero; both zero: the account takes no conversations
	ignores bool                 // a message begins no conversation (N7)
}

// Ingest makes an event of a plugin durable (plugin.Core).
func (r *Router) Ingest(_ context.Context, in plugin.Inbound, done func(plugin.Ack)) {
	r.ingest.Take(in, done)
}

// refusalCode is the code with which an event is refused for good; "" when err is no
// refusal.
func refusalCode(err error) string {
	if c := conversation.Code(err); c != "" {
		return c
	}
	for _, refused := range []error{ErrInvalid, ErrTooLarge, ErrNoSuchTemplate, ErrTemplateStatus, ErrTemplateValues} {
		if errors.Is(err, refused) {
			return Code(refused)
		}
	}
	return sessionCode(err)
}

func (r *Router) ack(id conversation.ConversationID, o outcome, err error) plugin.Ack {
	switch {
	case refusalCode(err) != "":
		return plugin.Ack{Status: plugin.Refused, Code: refusalCode(err), Conversation: id}
	case err != nil:
		if !errors.Is(err, ErrStopped) && !errors.Is(err, errBehind) {
			r.logger.Warn("event not durable", "conversation_id", id, "err", err)
		}
		return plugin.Ack{Status: plugin.Retry, Code: "unavailable"}
	case o.duplicate:
		return plugin.Ack{Status: plugin.Duplicate, Conversation: o.conversation, Seq: o.first}
	}
	seq := o.message
	if seq == 0 {
		seq = o.first
	}
	return plugin.Ack{Status: plugin.Committed, Conversation: o.conversation, Seq: seq}
}

// Signal passes a customer's typing or presence on to readers (plugin.Core). The conversation of a
// thread that is not in memory is looked up in the log; while maxLookups threads are being looked
// up, further signals are dropped.
func (r *Router) Signal(s plugin.CustomerSignal) {
	if !s.Bot.IsZero() {
		r.signalOfBot(s)
		return
	}
	r.threadsMu.RLock()
	th := r.threads[threadID{s.Account, s.Thread}]
	var open *live
	if th != nil {
		th.used.Store(r.now().UnixNano()) // set under threadsMu, so that sweepThreads does not free the thread
	}
	r.threadsMu.RUnlock()
	if th != nil {
		th.mu.Lock()
		open = th.open
		th.mu.Unlock()
	}
	if open != nil {
		r.signalIn(open, s)
		return
	}
	if acc, ok := r.dir.Snapshot().Account(s.Account); !ok || !acc.Enabled || !ingest.ValidThread(s.Thread) {
		return
	}
	select {
	case r.lookups <- struct{}{}:
	default:
		return
	}
	if !r.spawn(func() {
		defer func() { <-r.lookups }()
		id, err := r.log.Thread(r.ctx, eventlog.StreamID(s.Account), r.threadKey(s.Account, s.Thread))
		if err == nil {
			r.signalIn(r.live(conversation.ConversationID(id)), s)
		}
	}) {
		<-r.lookups
	}
}

// maxLookups bounds how many threads are looked up for signals at a time.
const maxLookups = 16

func (r *Router) signalIn(l *live, s plugin.CustomerSignal) {
	l.tail.Signal(readers.Signal{Conversation: l.id, Kind: s.Kind, On: s.On, Who: conversation.Author{Kind: conversation.Customer}})
	if s.Kind == plugin.SignalTyping && s.On {
		l.submit(&task{cmd: conversation.Touch{}, done: func(outcome, error) {}})
	}
}
