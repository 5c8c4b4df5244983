package ingest

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/vault"
)

// Event types of an account's stream, which records what reached an account but no conversation.
// Each body is sealed under its event's data key and bound to the stream.
const (
	TypeRefused  = "account.refused/1"
	TypeDeferred = "account.deferred/1"
	TypeConsent  = "account.consent/1"
	TypeFailed   = "account.failed/1"
)

// RefusedHead is the head of TypeRefused. The body is RefusedBody.
type RefusedHead struct {
	Plugin string `json:"plugin"`
	Code   string `json:"code"` // code with which the event was acknowledged to the plugin
}

// RefusedBody keeps the content of a refused event: its thread in clear, and the parts of its
// message.
type RefusedBody struct {
	Thread string              `json:"thread,omitempty"`
	Parts  []conversation.Part `json:"parts,omitempty"`
}

// DeferredHead is the head of TypeDeferred: a plugin handed in an opaque item, which is durable now
// and which the plugin is asked to process later. The item itself is the payload of the outbox row
// of Command.
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

// AccountConsentBody says which customer (by thread) opted out or in, and with which keyword.
type AccountConsentBody struct {
	Thread  string `json:"thread"`
	Keyword string `json:"keyword,omitempty"`
}

// FailedHead is the head of TypeFailed: a command to the account's plugin ended for good without
// success, and no conversation records that. The body is FailedBody.
type FailedHead struct {
	Plugin       string                      `json:"plugin,omitempty"` // "" when the account no longer exists
	Command      conversation.MessageID      `json:"command"`
	Kind         string                      `json:"kind"` // the kind of its outbox row: "send", "process", "call", "mark_read"
	Conversation conversation.ConversationID `json:"conversation,omitzero"`
	Outcome      conversation.Status         `json:"outcome"`          // "failed" or "unknown"
	Reason       string                      `json:"reason,omitempty"` // error class, see conversation.MessageStatus
	Code         string                      `json:"code,omitempty"`   // the plugin's or provider's code; "deadline": the command was tried for as long as its kind allows
	Attempt      int                         `json:"attempt"`
}

// FailedBody says to which thread the command belonged, and in the provider's words why it failed.
type FailedBody struct {
	Thread string `json:"thread,omitempty"`
	Text   string `json:"text,omitempty"`
}

// refuse records an event that no conversation takes in its account's stream, and then answers the
// plugin that the refusal is final (DESIGN.md 7, N7, Y5). An unknown account has no stream, so
// nothing is recorded for it.
func (g *Ingest) refuse(in plugin.Inbound, code string, done func(plugin.Ack)) {
	if _, known := g.dir.Snapshot().Account(in.Account); !known {
		g.refused.WithLabelValues(g.convs.Channel(in.Plugin), code).Inc()
		done(plugin.Ack{Status: plugin.Refused, Code: code})
		return
	}
	if !g.runner.Go(func() { done(g.refuseNow(in, code)) }) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}

// Refuse records and answers a customer's event that no conversation takes; it returns after the
// commit. Only messages and starts are recorded: a late page view or receipt is not worth a record.
func (g *Ingest) Refuse(in plugin.Inbound, code string) plugin.Ack {
	if in.Message == nil && (in.Action == nil || in.Action.Start == nil) {
		g.refused.WithLabelValues(g.convs.Channel(in.Plugin), code).Inc()
		return plugin.Ack{Status: plugin.Refused, Code: code}
	}
	return g.refuseNow(in, code)
}

// refuseNow is refuse for an account that exists; it returns after the commit.
func (g *Ingest) refuseNow(in plugin.Inbound, code string) plugin.Ack {
	g.refused.WithLabelValues(g.convs.Channel(in.Plugin), code).Inc()
	// The refusal is not bound to the event's own ids: an event that is refused today (its
	// conversation has ended, its account has no service) can be taken when it is sent again.
	var keys []eventlog.Key
	if in.DedupeKey != "" {
		keys = append(keys, g.vault.MAC("refused", in.Account[:], []byte(in.DedupeKey), []byte(code)))
	}
	err := g.appendAccount(in, keys, TypeRefused, RefusedHead{Plugin: in.Plugin, Code: code}, refusedBody(in), nil)
	var dup *eventlog.DuplicateError
	switch {
	case err == nil, errors.As(err, &dup): // the same refusal was recorded before
		return plugin.Ack{Status: plugin.Refused, Code: code}
	default:
		g.logger.Warn("refusal not durable", "channel", in.Plugin, "err", err)
		return plugin.Ack{Status: plugin.Retry, Code: "unavailable"}
	}
}

// Repeat answers an event that was logged before, at seq of a stream (PR3). An event on the
// account's own stream belongs to no conversation, so the answer names none. If that event is a
// refusal, it was written by an earlier version of the gateway, which bound refusals to the event's
// own id; it is answered as refused again.
func (g *Ingest) Repeat(in plugin.Inbound, stream eventlog.StreamID, seq uint64) plugin.Ack {
	if stream != eventlog.StreamID(in.Account) {
		return plugin.Ack{Status: plugin.Duplicate, Conversation: conversation.ConversationID(stream), Seq: seq}
	}
	recs, err := g.log.Read(g.runner.Running(), stream, seq-1, 1)
	if err == nil && len(recs) == 0 {
		err = eventlog.ErrNotFound
	}
	if err != nil {
		g.logger.Warn("what was logged before cannot be read", "channel", in.Plugin, "err", err)
		return plugin.Ack{Status: plugin.Retry, Code: "unavailable"}
	}
	if recs[0].Type != TypeRefused {
		return plugin.Ack{Status: plugin.Duplicate} // no conversation's record, as the first was told
	}
	var head RefusedHead
	if err := json.Unmarshal(recs[0].Head, &head); err != nil || head.Code == "" {
		head.Code = "invalid"
	}
	return plugin.Ack{Status: plugin.Refused, Code: head.Code}
}

// Consent records in the account's stream that a customer opted out or in while no exchange was
// open.
func (g *Ingest) Consent(in plugin.Inbound) plugin.Ack {
	body := AccountConsentBody{Thread: in.Thread, Keyword: cut(in.Action.OptOut.Keyword, maxKeyword)}
	return g.accountAck(in, g.appendAccount(in, g.Keys(in), TypeConsent, ConsentHead{Plugin: in.Plugin, Out: in.Action.OptOut.Out}, body, nil))
}

func refusedBody(in plugin.Inbound) *RefusedBody {
	b := &RefusedBody{Thread: in.Thread}
	if in.Message != nil {
		b.Parts = in.Message.Parts
	}
	if in.Action != nil && in.Action.Start != nil {
		b.Parts = in.Action.Start.Parts
	}
	if messages.Check(b.Parts) == "too_large" {
		b.Parts = nil // the refusal's code tells that the message was too large; its content is not kept
	}
	if len(b.Thread) > maxField {
		b.Thread = ""
	}
	return b
}

// accountEvent makes an event of an account's stream. A body that is not nil is sealed under key.
func (g *Ingest) accountEvent(stream eventlog.StreamID, typ string, head, body any, key int64) (ev eventlog.Event, err error) {
	ev = eventlog.Event{Type: typ, At: g.now().UTC()}
	if ev.Head, err = json.Marshal(head); err != nil {
		return ev, fmt.Errorf("ingest: encode %s: %w", typ, err)
	}
	if body == nil {
		return ev, nil
	}
	b, err := json.Marshal(body)
	if err != nil {
		return ev, fmt.Errorf("ingest: encode %s: %w", typ, err)
	}
	if ev.Body, err = g.vault.Seal(key, stream[:], b); err != nil {
		return ev, fmt.Errorf("ingest: seal %s: %w", typ, err)
	}
	ev.KeyID = key
	return ev, nil
}

// appendAccount appends one event to the account's stream and binds keys to it. A row that is not
// nil gets its payload sealed and is added to the outbox in the same append.
func (g *Ingest) appendAccount(in plugin.Inbound, keys []eventlog.Key, typ string, head any, body any, row *eventlog.OutboxRow) error {
	stream := eventlog.StreamID(in.Account)
	var key int64
	var err error
	if body != nil || row != nil {
		if key, err = g.vault.Assign(); err != nil {
			return fmt.Errorf("ingest: key for %s: %w", typ, err)
		}
	}
	ev, err := g.accountEvent(stream, typ, head, body, key)
	if err != nil {
		return err
	}
	batch := eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: stream, Expect: eventlog.ExpectAny, Events: []eventlog.Event{ev}}}}
	for _, k := range keys {
		batch.External = append(batch.External, eventlog.ExternalID{Account: stream, Key: k, Stream: stream, Index: 0})
	}
	if row != nil {
		if row.Payload, err = g.vault.Seal(key, stream[:], row.Payload); err != nil {
			return fmt.Errorf("ingest: seal %s: %w", typ, err)
		}
		row.KeyID = key
		batch.Outbox = []eventlog.OutboxRow{*row}
	}
	_, err = g.log.Append(g.runner.Commits(), &batch)
	return err
}

// RecordFailure adds to b an event on the account's stream which records that a command failed for
// good and that no conversation tells of it. The event is bound to an external id made from the
// command's id, so that there is one record however often the plugin reports the failure: another
// append with that id fails with *eventlog.DuplicateError.
func (g *Ingest) RecordFailure(b *eventlog.Batch, failed outbox.Failure) error {
	row, res := &failed.Row, &failed.Result
	acc, _ := g.dir.Snapshot().Account(conversation.AccountID(row.Account))
	key, err := g.vault.Assign()
	if err != nil {
		return fmt.Errorf("ingest: key for %s: %w", TypeFailed, err)
	}
	ev, err := g.accountEvent(row.Account, TypeFailed, FailedHead{
		Plugin: acc.Plugin, Command: conversation.MessageID(row.CommandID), Kind: row.Kind,
		Conversation: conversation.ConversationID(row.Conversation), Outcome: res.Outcome, Reason: res.Kind, Code: res.Code, Attempt: row.Attempt,
	}, FailedBody{Thread: failed.Thread, Text: cut(res.Text, maxField)}, key)
	if err != nil {
		return err
	}
	b.Streams = append(b.Streams, eventlog.StreamAppend{Stream: row.Account, Expect: eventlog.ExpectAny, Events: []eventlog.Event{ev}})
	b.External = append(b.External, eventlog.ExternalID{
		Account: row.Account, Key: g.vault.MAC("failed", row.Account[:], row.CommandID[:]), Stream: row.Account, Index: 0})
	return nil
}

// OpenPayload opens the sealed payload of a deferred item. It fails with outbox.ErrUnreadable when
// the payload's key is lost.
func (g *Ingest) OpenPayload(row eventlog.OutboxRow) ([]byte, error) {
	payload, err := g.vault.Open(row.KeyID, row.Account[:], row.Payload)
	if vault.Lost(err) {
		err = fmt.Errorf("%w: %w", outbox.ErrUnreadable, err)
	}
	return payload, err
}
