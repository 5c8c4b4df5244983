package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// pluginInfo is what a plugin last said of itself.
func (r *Router) pluginInfo(id string) (plugin.Info, bool) {
	m := r.infos.Load()
	if m == nil {
		return plugin.Info{}, false
	}
	info, ok := (*m)[id]
	return info, ok
}

func (r *Router) setPluginInfo(id string, info plugin.Info) {
	r.infosMu.Lock()
	defer r.infosMu.Unlock()
	m := map[string]plugin.Info{}
	if old := r.infos.Load(); old != nil {
		maps.Copy(m, *old)
	}
	m[id] = info
	r.infos.Store(&m)
}

// pluginLabel bounds a metric's label to plugins that exist.
func (r *Router) pluginLabel(id string) string {
	if _, ok := r.pluginInfo(id); ok {
		return id
	}
	return "other"
}

func (r *Router) channelOf(e *entry) string {
	acc, _ := r.account(conversation.AccountID(e.row.Account))
	return r.pluginLabel(acc.plugin)
}

// AccountStatus tells how an account is doing at its provider (plugin.Core).
func (r *Router) AccountStatus(id conversation.AccountID, ok bool, code, _ string) {
	acc, known := r.account(id)
	if !known {
		return
	}
	if ok {
		r.logger.Info("account is well", "channel", acc.plugin, "account_id", id)
	} else {
		r.logger.Warn("account has trouble at its provider", "channel", acc.plugin, "account_id", id, "code", code)
	}
}

// outgoingMessage is a logged message on its way to a provider.
type outgoingMessage struct {
	id    conversation.MessageID
	parts []conversation.Part
	name  string
}

// recipient is where a conversation's messages go.
type recipient struct{ address, thread string }

// outgoing reads a message and the address that it goes to from the log.
func (r *Router) outgoing(ctx context.Context, conv conversation.ConversationID, seq uint64) (outgoingMessage, recipient, error) {
	m := outgoingMessage{}
	recs, err := r.log.Read(ctx, eventlog.StreamID(conv), seq-1, 1)
	if err != nil || len(recs) == 0 {
		return m, recipient{}, fmt.Errorf("router: read message %d of %s: %w", seq, conv, errors.Join(err, notThere(recs)))
	}
	_, ev, err := r.open(recs[0])
	if err != nil {
		return m, recipient{}, err
	}
	head, ok := ev.Head.(*conversation.MessagePosted)
	if !ok {
		return m, recipient{}, fmt.Errorf("router: event %d of %s is no message", seq, conv)
	}
	if ev.Body == nil {
		return m, recipient{}, fmt.Errorf("router: message %d of %s: %w", seq, conv, errUnreadable)
	}
	var body conversation.MessageBody
	if err := json.Unmarshal(ev.Body, &body); err != nil {
		return m, recipient{}, fmt.Errorf("router: decode message %d of %s: %w", seq, conv, err)
	}
	m = outgoingMessage{id: head.ID, parts: body.Parts, name: body.Name}
	to, err := r.recipientOf(ctx, conv, head.Endpoint)
	return m, to, err
}

func notThere(recs []eventlog.Record) error {
	if len(recs) == 0 {
		return ErrNotFound
	}
	return nil
}

// recipientOf is the clear address of an endpoint, read once while the
// conversation is in memory.
func (r *Router) recipientOf(ctx context.Context, conv conversation.ConversationID, endpoint int) (recipient, error) {
	l := r.live(conv)
	l.mu.Lock()
	to, ok := l.to[endpoint]
	l.mu.Unlock()
	if ok {
		return to, nil
	}
	to, err := r.readRecipient(ctx, conv, endpoint)
	if err != nil {
		return to, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.to == nil {
		l.to = map[int]recipient{}
	}
	l.to[endpoint] = to
	return to, nil
}

// readRecipient looks for an address in the log: the first one is in the first
// event, others in the events that added them.
func (r *Router) readRecipient(ctx context.Context, conv conversation.ConversationID, endpoint int) (recipient, error) {
	limit := 1 // nearly always
	for after, found := uint64(0), 0; ; limit = 256 {
		recs, err := r.log.Read(ctx, eventlog.StreamID(conv), after, limit)
		if err != nil {
			return recipient{}, fmt.Errorf("router: read address of %s: %w", conv, err)
		}
		if len(recs) == 0 {
			return recipient{}, fmt.Errorf("router: conversation %s has no endpoint %d: %w", conv, endpoint, ErrNotFound)
		}
		for _, rec := range recs {
			after = rec.Seq
			t := conversation.Type(rec.Type)
			if t != conversation.TypeStarted && t != conversation.TypeEndpointAdded {
				continue
			}
			if found++; found-1 != endpoint {
				continue
			}
			body, err := OpenBody(r.vault, rec)
			if err != nil {
				return recipient{}, err
			}
			if body == nil {
				return recipient{}, fmt.Errorf("router: address of %s: %w", conv, errUnreadable)
			}
			var b conversation.EndpointBody // StartedBody has the same two fields
			if err := json.Unmarshal(body, &b); err != nil {
				return recipient{}, fmt.Errorf("router: decode address of %s: %w", conv, err)
			}
			return recipient{address: b.Address, thread: b.Thread}, nil
		}
	}
}

// accountAck answers for an append to an account's stream.
func (r *Router) accountAck(in plugin.Inbound, err error) plugin.Ack {
	var dup *eventlog.DuplicateError
	switch {
	case err == nil:
		return plugin.Ack{Status: plugin.Committed}
	case errors.As(err, &dup):
		return r.repeatAck(in, dup.Stream, dup.Seq)
	default:
		return r.ack(conversation.ConversationID{}, outcome{}, err)
	}
}

func noticeBody(text string) json.RawMessage {
	b, err := json.Marshal(conversation.NoticeBody{Text: text})
	if err != nil {
		return nil
	}
	return b
}

// contactOf finds the known customer behind an address. A contact that cannot be
// looked up now is linked by hand later: no reason to refuse a customer.
func (r *Router) contactOf(address string) conversation.ContactID {
	id, err := r.dir.ContactByAddress(r.ctx, address)
	if err != nil {
		r.logger.Warn("contact cannot be looked up", "err", err)
	}
	return id
}
