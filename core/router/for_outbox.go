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
	"github.com/parley-gateway/parley/core/sessionwork"
	"github.com/parley-gateway/parley/core/vault"
)

// forOutbox is the router as the outbox sees it: outbox.Conversations.
type forOutbox struct{ r *Router }

// Plugin implements outbox.Conversations.
func (f forOutbox) Plugin(id conversation.AccountID) string {
	acc, _ := f.r.dir.Snapshot().Account(id)
	return acc.Plugin
}

// Message implements outbox.Conversations.
func (f forOutbox) Message(ctx context.Context, conv conversation.ConversationID, seq uint64) (outbox.Message, error) {
	head, body, err := f.r.readers.Message(ctx, conv, seq)
	if err != nil {
		return outbox.Message{}, unreadable(err)
	}
	to, err := f.Recipient(ctx, conv, head.Endpoint)
	return outbox.Message{ID: head.ID, Parts: body.Parts, Author: body.Name, To: to, ReplyTo: head.ReplyTo, Endpoint: head.Endpoint}, err
}

// References implements outbox.Conversations.
func (f forOutbox) References(ctx context.Context, conv conversation.ConversationID, seq uint64, ids []conversation.MessageID) (map[conversation.MessageID]outbox.Reference, error) {
	found, err := f.r.readers.References(ctx, conv, seq, ids...)
	if err != nil {
		return nil, err
	}
	out := make(map[conversation.MessageID]outbox.Reference, len(found))
	for id, ref := range found {
		out[id] = outbox.Reference{Endpoint: ref.Endpoint, Status: ref.Status, ProviderIDs: ref.ProviderIDs}
	}
	return out, nil
}

// Recipient implements outbox.Conversations.
func (f forOutbox) Recipient(ctx context.Context, conv conversation.ConversationID, endpoint int) (outbox.Recipient, error) {
	to, err := f.r.readers.Address(ctx, conv, endpoint)
	return outbox.Recipient{Address: to.Address, Thread: to.Thread}, unreadable(err)
}

// unreadable turns readers.ErrUnreadable into outbox.ErrUnreadable; other errors stay as they are.
func unreadable(err error) error {
	if errors.Is(err, readers.ErrUnreadable) {
		return fmt.Errorf("%w: %w", outbox.ErrUnreadable, err)
	}
	return err
}

// OpenPayload implements outbox.Conversations.
func (f forOutbox) OpenPayload(row eventlog.OutboxRow) ([]byte, error) {
	if row.Kind == outbox.KindProcess {
		return f.r.ingest.OpenPayload(row)
	}
	payload, err := f.r.vault.Open(row.KeyID, payloadAAD(&row), row.Payload)
	if vault.Lost(err) {
		err = fmt.Errorf("%w: %w", outbox.ErrUnreadable, err)
	}
	return payload, err
}

// Tell implements outbox.Conversations.
func (f forOutbox) Tell(row eventlog.OutboxRow, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(uint64, error)) {
	f.r.ingest.Tell(row, res, update, done)
}

// CallFailed implements outbox.Conversations.
func (f forOutbox) CallFailed(row eventlog.OutboxRow, do *plugin.CallCommand, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(uint64, error)) {
	failed := sessionwork.FailedCall{Command: conversation.MessageID(row.CommandID), Do: do, Result: res}
	if res.Code == outbox.CodeInstanceGone {
		failed.Gone = row.Route
	}
	var err error
	if failed.Circle, err = f.circleOf(row); err != nil {
		done(0, err)
		return
	}
	t := f.r.stepTask(f.r.sessions.CallFailed(failed))
	t.outbox = []eventlog.OutboxUpdate{update}
	t.done = func(out outcome, err error) {
		switch {
		case err == nil:
			f.r.sessions.CallFailureTold(failed)
		case unfollowed(err):
			err = fmt.Errorf("%w: %w", outbox.ErrNotFollowed, err)
		case errors.Is(err, ErrStopped):
			err = outbox.ErrStopped
		}
		done(out.first, err)
	}
	f.r.live(conversation.ConversationID(row.Conversation)).submit(t)
}

// circleOf is the circle of the command of a row, zero for that of its type: who must not learn of a
// supervisor's leg must not learn either that a command about it failed (H3).
func (f forOutbox) circleOf(row eventlog.OutboxRow) (conversation.Audience, error) {
	h, err := f.r.readers.Head(f.r.ctx, conversation.ConversationID(row.Conversation), row.Seq)
	if err != nil {
		return 0, fmt.Errorf("router: command that failed: %w", err)
	}
	if c, ok := h.(*conversation.SessionCommand); ok {
		return c.Circle, nil
	}
	return 0, nil
}

// RecordFailure implements outbox.Conversations.
func (f forOutbox) RecordFailure(b *eventlog.Batch, failed outbox.Failure) error {
	return f.r.ingest.RecordFailure(b, failed)
}
