package router

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/vault"
)

// forOutbox is the router as the outbox sees it: outbox.Conversations.
type forOutbox struct{ r *Router }

// Plugin implements outbox.Conversations.
func (f forOutbox) Plugin(id conversation.AccountID) string {
	acc, _ := f.r.account(id)
	return acc.plugin
}

// Message implements outbox.Conversations.
func (f forOutbox) Message(ctx context.Context, conv conversation.ConversationID, seq uint64) (outbox.Message, error) {
	head, body, err := f.r.readers.Message(ctx, conv, seq)
	if err != nil {
		return outbox.Message{}, unreadable(err)
	}
	to, err := f.Recipient(ctx, conv, head.Endpoint)
	return outbox.Message{ID: head.ID, Parts: body.Parts, Author: body.Name, To: to}, err
}

// Recipient implements outbox.Conversations.
func (f forOutbox) Recipient(ctx context.Context, conv conversation.ConversationID, endpoint int) (outbox.Recipient, error) {
	to, err := f.r.readers.Address(ctx, conv, endpoint)
	return outbox.Recipient{Address: to.Address, Thread: to.Thread}, unreadable(err)
}

// unreadable is an error of the readers in the outbox's words.
func unreadable(err error) error {
	if errors.Is(err, readers.ErrUnreadable) {
		return fmt.Errorf("%w: %w", outbox.ErrUnreadable, err)
	}
	return err
}

// OpenPayload implements outbox.Conversations.
func (f forOutbox) OpenPayload(row eventlog.OutboxRow) ([]byte, error) {
	payload, err := f.r.vault.Open(row.KeyID, row.Account[:], row.Payload)
	if vault.Lost(err) {
		err = fmt.Errorf("%w: %w", outbox.ErrUnreadable, err)
	}
	return payload, err
}

// Tell implements outbox.Conversations.
func (f forOutbox) Tell(row eventlog.OutboxRow, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(uint64, error)) {
	account := conversation.AccountID(row.Account)
	f.r.tell(conversation.ConversationID(row.Conversation), word{
		account: account, seq: row.Seq, keys: f.r.providerKeys(account, res.ProviderIDs...), update: update,
		status: conversation.SetStatus{
			Message: conversation.MessageID(row.CommandID), Status: res.Outcome, Kind: res.Kind, Code: res.Code, Body: statusBody(res.Text),
		},
		done: func(out outcome, err error) {
			switch {
			case unfollowed(err):
				err = fmt.Errorf("%w: %w", outbox.ErrNotFollowed, err)
			case errors.Is(err, ErrStopped):
				err = outbox.ErrStopped
			}
			done(out.first, err)
		},
	})
}

// RecordFailure implements outbox.Conversations. An external id of the command's
// own keeps it to one record, however often the plugin says it.
func (f forOutbox) RecordFailure(b *eventlog.Batch, failed outbox.Failure) error {
	r, row, res := f.r, &failed.Row, &failed.Result
	key, err := r.vault.Assign()
	if err != nil {
		return fmt.Errorf("router: key for %s: %w", TypeFailed, err)
	}
	ev, err := r.accountEvent(row.Account, TypeFailed, FailedHead{
		Plugin: f.Plugin(conversation.AccountID(row.Account)), Command: conversation.MessageID(row.CommandID), Kind: row.Kind,
		Conversation: conversation.ConversationID(row.Conversation), Outcome: res.Outcome, Reason: res.Kind, Code: res.Code, Attempt: row.Attempt,
	}, FailedBody{Thread: failed.Thread, Text: cut(res.Text, maxField)}, key)
	if err != nil {
		return err
	}
	b.Streams = append(b.Streams, eventlog.StreamAppend{Stream: row.Account, Expect: eventlog.ExpectAny, Events: []eventlog.Event{ev}})
	b.External = append(b.External, eventlog.ExternalID{
		Account: row.Account, Key: r.vault.MAC("failed", row.Account[:], row.CommandID[:]), Stream: row.Account, Index: 0})
	return nil
}

// result takes a plugin's word on a command.
func (r *Router) result(in plugin.Inbound, done func(plugin.Ack)) {
	res := *in.Result
	res.Code = cut(res.Code, maxCode)
	r.outbox.Result(in.Account, res, done)
}

// deferProcess makes an opaque item durable and queues its processing.
func (r *Router) deferProcess(in plugin.Inbound, done func(plugin.Ack)) {
	if !r.spawn(func() {
		row := r.outbox.Deferred(in.Account, in.Thread, in.Deferred)
		err := r.appendAccount(in, r.externals(in), TypeDeferred, DeferredHead{Plugin: in.Plugin, Command: conversation.MessageID(row.CommandID)}, nil, &row)
		switch {
		case err == nil:
			r.outbox.AddRow(row)
		case inDoubt(err):
			r.outbox.ReadAgain() // it may be there; the repeat of the event will be a duplicate
		}
		done(r.accountAck(in, err))
	}) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}
