package router

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
func (r *Router) Join(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID) (uint64, error) {
	u, err := r.user(id)
	if err != nil {
		return 0, err
	}
	if !r.agents.State(id).LoggedIn {
		return 0, fmt.Errorf("router: join: %w", acd.ErrLoggedOut)
	}
	body, err := json.Marshal(conversation.NameBody{Name: u.Name})
	if err != nil {
		return 0, fmt.Errorf("router: encode name: %w", err)
	}
	out, err := r.live(conv).do(ctx, &task{
		cmd: conversation.Join{Agent: id, Body: body},
		prepare: func(_ *task, s *conversation.State) error {
			if !s.JoinedAgent(id) && !r.mayJoin(u, s) {
				return fmt.Errorf("router: join: %w", ErrDenied)
			}
			return nil
		},
	})
	return out.seen, err
}

// mayJoin reports whether an agent may join without an offer. These may: the owner for whom the
// conversation waits, supervisors, and on store-and-forward channels every agent who serves the
// conversation's service. Live chats are given out by their queue only.
func (r *Router) mayJoin(u directory.User, s *conversation.State) bool {
	return s.WaitsFor(u.ID) || u.Role.Includes(directory.RoleSupervisor) ||
		s.Async() && !s.Service.IsZero() && slices.Contains(r.dir.Snapshot().ServicesOf(u.ID), s.Service)
}

// SettleMessage records what an agent says became of a message whose status is unknown, or has it
// sent again (PR4). It is allowed to agents who take or took part, to the owner for whom the
// exchange waits, and to supervisors. Errors: ErrDenied, ErrNotFound, conversation.ErrNotUnknown,
// ErrNoSuchMessage, ErrEnded, ErrOptedOut, ErrInvalid.
func (r *Router) SettleMessage(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, message conversation.MessageID, outcome conversation.Outcome) (uint64, error) {
	u, err := r.user(id)
	if err != nil {
		return 0, err
	}
	row, err := r.log.OutboxRow(ctx, [16]byte(message))
	missing := errors.Is(err, eventlog.ErrNotFound) || err == nil && (row.Conversation != eventlog.StreamID(conv) || row.Kind != outbox.KindSend)
	if err != nil && !missing {
		return 0, fmt.Errorf("router: settle: %w", err)
	}
	row, update := r.outbox.ByHand(row, outcome)
	out, err := r.live(conv).do(ctx, &task{
		cmd:    conversation.Settle{Message: message, Outcome: outcome, By: id},
		outbox: []eventlog.OutboxUpdate{update},
		prepare: func(_ *task, s *conversation.State) error {
			if s.Participant(id) == nil && !s.WaitsFor(id) && !u.Role.Includes(directory.RoleSupervisor) {
				return fmt.Errorf("router: settle: %w", ErrDenied)
			}
			if missing { // only after the check above, since not everybody may know whether there is such a message
				return fmt.Errorf("router: settle: %w", conversation.ErrNoSuchMessage)
			}
			return nil
		},
	})
	if missing && errors.Is(err, ErrNotFound) {
		return 0, fmt.Errorf("router: settle: %w", conversation.ErrNoSuchMessage)
	}
	if err != nil {
		return 0, err
	}
	r.outbox.DecidedByHand(row, outcome)
	return out.seen, nil
}
