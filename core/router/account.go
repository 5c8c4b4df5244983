package router

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/plugin"
)

// Event types of an account's stream: what reached an account but no
// conversation. Their bodies are sealed under a key each, bound to the stream.
const (
	TypeRefused  = "account.refused/1"
	TypeDeferred = "account.deferred/1"
	TypeConsent  = "account.consent/1"
	TypeFailed   = "account.failed/1"
)

// RefusedHead is the head of TypeRefused. The body is RefusedBody.
type RefusedHead struct {
	Plugin string `json:"plugin"`
	Code   string `json:"code"` // as acknowledged to the plugin
}

// RefusedBody keeps what was refused.
type RefusedBody struct {
	Thread string              `json:"thread,omitempty"`
	Parts  []conversation.Part `json:"parts,omitempty"`
}

// DeferredHead is the head of TypeDeferred: a durable item that the plugin
// is asked to process later. The opaque body is in the outbox row.
type DeferredHead struct {
	Plugin  string                 `json:"plugin"`
	Command conversation.MessageID `json:"command"`
}

// ConsentHead is the head of TypeConsent: a customer opted out or in while no
// exchange was open. The body is AccountConsentBody.
type ConsentHead struct {
	Plugin string `json:"plugin"`
	Out    bool   `json:"out"`
}

// AccountConsentBody says who, and in what words.
type AccountConsentBody struct {
	Thread  string `json:"thread"`
	Keyword string `json:"keyword,omitempty"`
}

// FailedHead is the head of TypeFailed: a command to the account's plugin that
// ended for good without success, and of which no conversation tells. The body
// is FailedBody.
type FailedHead struct {
	Plugin       string                      `json:"plugin,omitempty"` // "": the account is gone
	Command      conversation.MessageID      `json:"command"`
	Kind         string                      `json:"kind"` // send, process
	Conversation conversation.ConversationID `json:"conversation,omitzero"`
	Outcome      conversation.Status         `json:"outcome"`          // failed, unknown
	Reason       string                      `json:"reason,omitempty"` // error class, see conversation.MessageStatus
	Code         string                      `json:"code,omitempty"`   // the plugin's or provider's; "deadline": tried for as long as its kind allows
	Attempt      int                         `json:"attempt"`
}

// FailedBody says whose it was, and in the provider's words why.
type FailedBody struct {
	Thread string `json:"thread,omitempty"`
	Text   string `json:"text,omitempty"`
}

// account is what the router needs of an account.
type account struct {
	id      conversation.AccountID
	plugin  string
	name    string
	enabled bool
	service conversation.ServiceID
	user    conversation.AgentID
	ignores bool // begins nothing by itself (N7)
}

func (r *Router) account(id conversation.AccountID) (account, bool) {
	a, ok := r.dir.Snapshot().Account(id)
	return account{id: a.ID, plugin: a.Plugin, name: a.Name, enabled: a.Enabled, service: a.Service, user: a.User,
		ignores: a.Inbound == directory.InboundIgnore}, ok
}

// service is what the router needs of a service.
type service struct {
	name    string
	rules   conversation.Rules
	warning string
}

func (r *Router) service(id conversation.ServiceID) (service, bool) {
	s, ok := r.dir.Snapshot().Service(id)
	return service{name: s.Name, rules: s.Rules, warning: s.Texts.InactivityWarning}, ok
}

func (r *Router) serviceName(id conversation.ServiceID) string {
	s, _ := r.dir.Snapshot().Service(id)
	return s.Name
}

func (r *Router) user(id conversation.AgentID) (directory.User, error) {
	u, ok := r.dir.Snapshot().User(id)
	if !ok || u.Disabled {
		return u, fmt.Errorf("router: %w", ErrUnknownAgent)
	}
	return u, nil
}

// refuse logs what no conversation takes against its account and answers the
// plugin that it is final (DESIGN.md 7, N7, Y5). An unknown account has no stream.
func (r *Router) refuse(in plugin.Inbound, code string, done func(plugin.Ack)) {
	if _, known := r.account(in.Account); !known {
		r.metrics.refused.WithLabelValues(r.pluginLabel(in.Plugin), code).Inc()
		done(plugin.Ack{Status: plugin.Refused, Code: code})
		return
	}
	if !r.spawn(func() { done(r.refuseNow(in, code)) }) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}

// refuseNow is refuse for an account that is known; it waits for the commit.
func (r *Router) refuseNow(in plugin.Inbound, code string) plugin.Ack {
	r.metrics.refused.WithLabelValues(r.pluginLabel(in.Plugin), code).Inc()
	// Not under the event's own ids: what is refused today (an ended conversation,
	// no service) can be taken when it is sent again.
	var keys []eventlog.Key
	if in.DedupeKey != "" {
		keys = append(keys, r.vault.MAC("refused", in.Account[:], []byte(in.DedupeKey), []byte(code)))
	}
	err := r.appendAccount(in, keys, TypeRefused, RefusedHead{Plugin: in.Plugin, Code: code}, refusedBody(in), nil)
	var dup *eventlog.DuplicateError
	switch {
	case err == nil, errors.As(err, &dup): // refused so before
		return plugin.Ack{Status: plugin.Refused, Code: code}
	default:
		r.logger.Warn("refusal not durable", "channel", in.Plugin, "err", err)
		return plugin.Ack{Status: plugin.Retry, Code: "unavailable"}
	}
}

// repeatAck answers a repeat of what is logged at seq of a stream (PR3). What an
// account has logged belongs to no conversation. A refusal that is bound to the
// event's own id was logged by a version before, and stays one.
func (r *Router) repeatAck(in plugin.Inbound, stream eventlog.StreamID, seq uint64) plugin.Ack {
	if stream != eventlog.StreamID(in.Account) {
		return plugin.Ack{Status: plugin.Duplicate, Conversation: conversation.ConversationID(stream), Seq: seq}
	}
	recs, err := r.log.Read(r.ctx, stream, seq-1, 1)
	if err != nil || len(recs) == 0 {
		r.logger.Warn("what was logged before cannot be read", "channel", in.Plugin, "err", joinNotFound(err, recs))
		return plugin.Ack{Status: plugin.Retry, Code: "unavailable"}
	}
	if recs[0].Type != TypeRefused {
		return plugin.Ack{Status: plugin.Duplicate, Seq: seq}
	}
	var head RefusedHead
	if err := json.Unmarshal(recs[0].Head, &head); err != nil || head.Code == "" {
		head.Code = "invalid"
	}
	return plugin.Ack{Status: plugin.Refused, Code: head.Code}
}

// logConsent keeps a customer's consent that reached no open exchange.
func (r *Router) logConsent(in plugin.Inbound) plugin.Ack {
	body := AccountConsentBody{Thread: in.Thread, Keyword: cut(in.Action.OptOut.Keyword, maxKeyword)}
	return r.accountAck(in, r.appendAccount(in, r.externals(in), TypeConsent, ConsentHead{Plugin: in.Plugin, Out: in.Action.OptOut.Out}, body, nil))
}

// maxKeyword bounds what is kept of the words of an opt-out, in bytes.
const maxKeyword = 160

func refusedBody(in plugin.Inbound) *RefusedBody {
	b := &RefusedBody{Thread: in.Thread}
	if in.Message != nil {
		b.Parts = in.Message.Parts
	}
	if in.Action != nil && in.Action.Start != nil {
		b.Parts = in.Action.Start.Parts
	}
	if messages.Check(b.Parts) == "too_large" {
		b.Parts = nil // the refusal's code says so; its text is not worth keeping
	}
	if len(b.Thread) > maxField {
		b.Thread = ""
	}
	return b
}

// accountEvent makes an event of an account's stream. Its body, when not nil, is
// sealed under key.
func (r *Router) accountEvent(stream eventlog.StreamID, typ string, head, body any, key int64) (ev eventlog.Event, err error) {
	ev = eventlog.Event{Type: typ, At: r.now().UTC()}
	if ev.Head, err = json.Marshal(head); err != nil {
		return ev, fmt.Errorf("router: encode %s: %w", typ, err)
	}
	if body == nil {
		return ev, nil
	}
	b, err := json.Marshal(body)
	if err != nil {
		return ev, fmt.Errorf("router: encode %s: %w", typ, err)
	}
	if ev.Body, err = r.vault.Seal(key, stream[:], b); err != nil {
		return ev, fmt.Errorf("router: seal %s: %w", typ, err)
	}
	ev.KeyID = key
	return ev, nil
}

// appendAccount appends one event to the account's stream, bound to keys.
func (r *Router) appendAccount(in plugin.Inbound, keys []eventlog.Key, typ string, head any, body any, row *eventlog.OutboxRow) error {
	stream := eventlog.StreamID(in.Account)
	var key int64
	var err error
	if body != nil || row != nil {
		if key, err = r.vault.Assign(); err != nil {
			return fmt.Errorf("router: key for %s: %w", typ, err)
		}
	}
	ev, err := r.accountEvent(stream, typ, head, body, key)
	if err != nil {
		return err
	}
	batch := eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: stream, Expect: eventlog.ExpectAny, Events: []eventlog.Event{ev}}}}
	for _, k := range keys {
		batch.External = append(batch.External, eventlog.ExternalID{Account: stream, Key: k, Stream: stream, Index: 0})
	}
	if row != nil {
		if row.Payload, err = r.vault.Seal(key, stream[:], row.Payload); err != nil {
			return fmt.Errorf("router: seal %s: %w", typ, err)
		}
		row.KeyID = key
		batch.Outbox = []eventlog.OutboxRow{*row}
	}
	_, err = r.log.Append(r.commits, &batch)
	return err
}
