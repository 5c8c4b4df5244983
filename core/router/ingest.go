package router

import (
	"context"
	"errors"
	"unicode/utf8"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/order"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
)

// maxField bounds one name, address, attribute or URL of an event, in bytes.
const maxField = 4 << 10

// arrival is an inbound event on its way to a conversation.
type arrival struct {
	in       plugin.Inbound
	from     order.Item
	acc      account
	done     func(plugin.Ack)
	n        uint64 // place in the thread
	attempts int
}

// Ingest makes an event of a plugin durable (plugin.Core).
func (r *Router) Ingest(ctx context.Context, in plugin.Inbound, done func(plugin.Ack)) {
	acc, ok := r.account(in.Account)
	if in.Result != nil && (!ok || acc.plugin == in.Plugin) {
		r.result(in, done) // what was handed out is heard out, whatever became of its account
		return
	}
	if !ok || acc.plugin != in.Plugin || !acc.enabled {
		r.refuse(in, "unknown_account", done)
		return
	}
	if code := check(&in); code != "" {
		r.refuse(in, code, done)
		return
	}
	switch {
	case in.Status != nil:
		r.deliveryStatus(in, done)
		return
	case in.Deferred != nil:
		r.deferProcess(in, done)
		return
	}
	th := r.thread(in.Account, in.Thread)
	from := r.order.Arrived(order.Item{Author: order.Author{In: in.Account, Of: in.Thread}, ID: in.DedupeKey, Repeats: in.Repeats})
	th.take(arrival{in: in, from: from, acc: acc, done: done})
}

// check finds what no conversation could take.
func check(in *plugin.Inbound) string {
	if in.Result == nil && in.Status == nil && in.Deferred == nil && (in.Thread == "" || len(in.Thread) > maxField) {
		return "invalid"
	}
	if len(in.DedupeKey) > maxField {
		return "invalid"
	}
	if st := in.Status; st != nil {
		known := false
		for _, s := range []conversation.Status{conversation.StatusSent, conversation.StatusDelivered, conversation.StatusRead, conversation.StatusFailed} {
			known = known || st.Status == s
		}
		if !known || len(st.ProviderID) > maxField || st.ProviderID == "" && st.Command == ([16]byte{}) {
			return "invalid"
		}
	}
	if m := in.Message; m != nil {
		if len(m.Parts) == 0 || len(m.ClientID) > 64 || len(m.Address) > maxField || len(m.Name) > maxField {
			return "invalid"
		}
		return messages.Check(m.Parts)
	}
	if a := in.Action; a != nil {
		if s := a.Start; s != nil {
			for _, f := range []string{s.Body.Address, s.Body.Name, s.Body.FirstName, s.Body.LastName, s.Body.Email, s.Body.Phone, s.Body.Locale, s.Body.Subject} {
				if len(f) > maxField || !utf8.ValidString(f) {
					return "invalid"
				}
			}
			if len(s.ClientID) > 64 || !checkAttributes(s.Body.Attributes) || !checkPage(s.Body.Page) {
				return "invalid"
			}
			return messages.Check(s.Parts)
		}
		if !checkAttributes(a.Attributes) || !checkPage(a.Page) {
			return "invalid"
		}
	}
	return ""
}

func checkPage(p *conversation.PageBody) bool {
	return p == nil || len(p.URL) <= maxField && len(p.Title) <= maxField && utf8.ValidString(p.URL) && utf8.ValidString(p.Title)
}

func checkAttributes(m map[string]string) bool {
	if len(m) > 64 {
		return false
	}
	for k, v := range m {
		if len(k) > 128 || len(v) > maxField || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return false
		}
	}
	return true
}

// refusalCode is the code with which an event is refused for good; "" when err is no
// refusal.
func refusalCode(err error) string {
	if c := conversation.Code(err); c != "" {
		return c
	}
	if errors.Is(err, ErrInvalid) {
		return "invalid"
	}
	return ""
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

// externals are the ids under which the log must know the event.
func (r *Router) externals(in plugin.Inbound) []eventlog.Key {
	var keys []eventlog.Key
	if in.DedupeKey != "" {
		keys = append(keys, r.externalKey(in.Account, in.DedupeKey))
	}
	if in.Message != nil {
		for _, id := range in.Message.ProviderIDs {
			if id != "" && id != in.DedupeKey {
				keys = append(keys, r.externalKey(in.Account, id))
			}
		}
	}
	return keys
}

func (r *Router) externalKey(account conversation.AccountID, id string) eventlog.Key {
	return r.vault.MAC("external", account[:], []byte(id))
}

// Signal passes typing or presence of a customer on (plugin.Core). A thread
// that has left memory is looked up in the log; when too many are being looked
// up the signal is shed.
func (r *Router) Signal(s plugin.CustomerSignal) {
	r.threadsMu.RLock()
	th := r.threads[threadID{s.Account, s.Thread}]
	var open *live
	if th != nil {
		th.used.Store(r.now().UnixNano()) // before the sweeper can have it
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
	if acc, ok := r.account(s.Account); !ok || !acc.enabled || s.Thread == "" || len(s.Thread) > maxField {
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

// maxLookups bounds the threads that are looked up for signals at a time.
const maxLookups = 16

func (r *Router) signalIn(l *live, s plugin.CustomerSignal) {
	l.tail.Signal(readers.Signal{Conversation: l.id, Kind: s.Kind, On: s.On, Who: conversation.Author{Kind: conversation.Customer}})
	if s.Kind == plugin.SignalTyping && s.On {
		l.submit(&task{cmd: conversation.Touch{}, done: func(outcome, error) {}})
	}
}
