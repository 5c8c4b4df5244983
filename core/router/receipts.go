package router

import (
	"encoding/json"
	"errors"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// deliveryStatus takes a provider's later word on a message (Y4).
func (r *Router) deliveryStatus(in pluginhost.Inbound, done func(pluginhost.Ack)) {
	st := *in.Status
	ok := r.spawn(func() {
		stream, seq, err := r.log.External(r.ctx, eventlog.StreamID(in.Account), r.externalKey(in.Account, st.ProviderID))
		if errors.Is(err, eventlog.ErrNotFound) {
			r.refuse(in, "unknown_message", done)
			return
		}
		if err != nil {
			done(r.ack(conversation.ConversationID{}, outcome{}, err))
			return
		}
		id := conversation.ConversationID(stream)
		t := &task{account: in.Account, cmd: conversation.SetStatus{Status: st.Status, Code: st.Code, Body: statusBody(st.Text)}}
		if in.DedupeKey != "" {
			t.external, t.externalSeq = []eventlog.Key{r.externalKey(in.Account, in.DedupeKey)}, seq
		}
		t.prepare = func(t *task, s *conversation.State) error {
			c := t.cmd.(conversation.SetStatus)
			for _, p := range s.Pending {
				if p.Seq == seq {
					c.Message = p.ID
				}
			}
			t.cmd = c
			return nil
		}
		t.done = func(o outcome, err error) { done(r.ack(id, o, err)) }
		r.live(id).submit(t)
	})
	if !ok {
		done(pluginhost.Ack{Status: pluginhost.Retry, Code: "stopping"})
	}
}

func statusBody(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	b, err := json.Marshal(conversation.StatusBody{Text: text})
	if err != nil {
		return nil
	}
	return b
}
