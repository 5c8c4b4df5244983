package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/outbox"
)

// Join lets an agent take up a parked exchange, or come into an open one, without
// an offer (N6, N17). Errors: ErrDenied, ErrNotFound, acd.ErrLoggedOut,
// conversation.ErrAlreadyJoined, ErrEnded.
func (d *Desk) Join(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID) (uint64, error) {
	u, err := d.user(id)
	if err != nil {
		return 0, err
	}
	if !d.o.Agents.State(id).LoggedIn {
		return 0, fmt.Errorf("desk: join: %w", acd.ErrLoggedOut)
	}
	body, err := json.Marshal(conversation.NameBody{Name: u.Name})
	if err != nil {
		return 0, fmt.Errorf("desk: encode name: %w", err)
	}
	out, err := d.o.Conversations.Do(ctx, conv, Step{
		Command: conversation.Join{Agent: id, Body: body},
		Check: func(s *conversation.State) error {
			if !s.JoinedAgent(id) && !d.MayJoin(u, s) {
				return fmt.Errorf("desk: join: %w", ErrDenied)
			}
			return nil
		},
	})
	return out.Seen, err
}

// MayJoin reports whether an agent may join without an offer. These may: the owner for whom the
// conversation waits, supervisors, and on store-and-forward channels every agent who serves the
// conversation's service. Live chats are given out by their queue only.
func (d *Desk) MayJoin(u directory.User, s *conversation.State) bool {
	return s.WaitsFor(u.ID) || u.Role.Includes(directory.RoleSupervisor) ||
		s.Async() && !s.Service.IsZero() && slices.Contains(d.o.Directory.Snapshot().ServicesOf(u.ID), s.Service)
}

// SettleMessage records what an agent says became of a message whose status is unknown, or has it
// sent again (PR4). It is allowed to agents who take or took part, to the owner for whom the
// exchange waits, and to supervisors. Errors: ErrDenied, ErrNotFound, conversation.ErrNotUnknown,
// ErrNoSuchMessage, ErrEnded, ErrOptedOut, ErrInvalid.
func (d *Desk) SettleMessage(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, message conversation.MessageID, outcome conversation.Outcome) (uint64, error) {
	u, err := d.user(id)
	if err != nil {
		return 0, err
	}
	row, err := d.o.Log.OutboxRow(ctx, [16]byte(message))
	missing := errors.Is(err, eventlog.ErrNotFound) || err == nil && (row.Conversation != eventlog.StreamID(conv) || row.Kind != outbox.KindSend)
	if err != nil && !missing {
		return 0, fmt.Errorf("desk: settle: %w", err)
	}
	row, update := d.o.Outbox.ByHand(row, outcome)
	out, err := d.o.Conversations.Do(ctx, conv, Step{
		Command: conversation.Settle{Message: message, Outcome: outcome, By: id},
		Outbox:  []eventlog.OutboxUpdate{update},
		Check: func(s *conversation.State) error {
			if s.Participant(id) == nil && !s.WaitsFor(id) && !u.Role.Includes(directory.RoleSupervisor) {
				return fmt.Errorf("desk: settle: %w", ErrDenied)
			}
			if missing { // only after the check above, since not everybody may know whether there is such a message
				return fmt.Errorf("desk: settle: %w", conversation.ErrNoSuchMessage)
			}
			return nil
		},
	})
	if missing && errors.Is(err, ErrNotFound) {
		return 0, fmt.Errorf("desk: settle: %w", conversation.ErrNoSuchMessage)
	}
	if err != nil {
		return 0, err
	}
	d.o.Outbox.DecidedByHand(row, outcome)
	return out.Seen, nil
}
