package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/order"
)

// Supervise lets a supervisor take part in a conversation, or go on in another mode, any number of
// times (H2, H3); mode "" ends it, also for somebody who is no supervisor any more. It returns the
// sequence of the last event, 0 if everything was so already. The caller writes the audit trail (H4).
// Errors: ErrDenied, ErrNotFound, ErrInvalid, conversation.ErrAlreadyJoined (who takes part as agent
// does not supervise), ErrParked, ErrEnded.
func (d *Desk) Supervise(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, mode conversation.Mode) (uint64, error) {
	u, err := d.user(id)
	if err != nil {
		return 0, err
	}
	may := u.Role.Includes(directory.RoleSupervisor)
	if !may && mode != "" {
		return 0, fmt.Errorf("desk: supervise: %w", ErrDenied)
	}
	body, err := json.Marshal(conversation.NameBody{Name: u.Name})
	if err != nil {
		return 0, fmt.Errorf("desk: encode name: %w", err)
	}
	out, err := d.o.Conversations.Do(ctx, conv, Step{
		From:    d.o.Order.Arrived(order.Item{Author: agentIn(id, conv), Repeats: true}), // what the supervisor said in the mode before comes first
		Command: conversation.Supervise{Agent: id, Mode: mode, Body: body},
		Check: func(s *conversation.State) error {
			switch {
			case !may && s.ModeOf(id) == "":
				return fmt.Errorf("desk: supervise: %w", ErrDenied)
			case s.Phase == conversation.PhaseEnded || s.Phase == conversation.PhaseConcluded:
				return fmt.Errorf("desk: supervise: %w", conversation.ErrEnded) // a supervisor may know of every conversation
			}
			return nil
		},
	})
	if !may && errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("desk: supervise: %w", ErrDenied) // others must not learn which conversations there are
	}
	return out.Last, err
}

// AddNote adds a note, which agents and supervisors see and the customer does not: of an agent who
// takes part, or of a supervisor who coaches or is in barge (H2, H4). A retry under the same client id
// is the same note. req.ReplyTo is not used. Errors: those of Send; conversation.ErrUnsupported for
// parts that are neither text nor files.
func (d *Desk) AddNote(ctx context.Context, req SendRequest) (Sent, error) {
	if len(req.ClientID) > 64 {
		return Sent{}, fmt.Errorf("desk: note: %w", ErrInvalid)
	}
	u, err := d.user(req.Agent)
	if err != nil {
		return Sent{}, err
	}
	from := order.Item{}
	if req.ClientID != "" {
		from = d.o.Order.Arrived(order.Item{Author: agentIn(req.Agent, req.Conversation), ID: "note " + req.ClientID, Repeats: true})
	}
	written, err := d.FromAgent(u, req.ClientID, req.Parts, conversation.MessageID{})
	if err != nil {
		d.o.Conversations.Refused(&from, err)
		return Sent{}, fmt.Errorf("desk: note: %w", err)
	}
	id := written.ID
	t := Step{From: from, Decide: func(s *conversation.State) (p Plan, err error) {
		post := *written
		author, speaks := speaker(u, s, conversation.ModeCoach, conversation.ModeBarge)
		if speaks { // else the rules refuse the note, and its author must not learn which files there are
			if p.Blobs, err = d.o.Conversations.Attach(&post, s.ID); err != nil {
				return p, err
			}
		}
		p.Command = conversation.AddNote{ID: id, Author: author, ClientID: post.ClientID, Kinds: post.Kinds, Blobs: post.Blobs, Body: post.Body}
		return p, nil
	}}
	if req.ClientID != "" {
		// Bound on the author's own stream id, as the client ids of messages are, but apart from them:
		// a note under the client id of a message is not that message.
		t.Author, t.Keys = req.Agent, []eventlog.Key{d.o.Vault.MAC("client-note", req.Agent[:], req.Conversation[:], []byte(req.ClientID))}
	}
	out, err := d.o.Conversations.Do(ctx, req.Conversation, t)
	if err != nil {
		return Sent{}, err
	}
	if out.Duplicate {
		if id, err = d.messageAt(ctx, out.Conversation, out.Message); err != nil {
			return Sent{}, err
		}
	}
	return Sent{Message: id, Seq: out.Message}, nil
}

// speaker is the author of what a user says in a conversation: an agent who takes part, or else a
// supervisor in one of the modes. Without one of them, and for somebody who is no supervisor any
// more, it is the agent who does not take part, and false.
func speaker(u directory.User, s *conversation.State, modes ...conversation.Mode) (conversation.Author, bool) {
	if !s.JoinedAgent(u.ID) && u.Role.Includes(directory.RoleSupervisor) && slices.Contains(modes, s.ModeOf(u.ID)) {
		return conversation.Author{Kind: conversation.Supervisor, Agent: u.ID}, true
	}
	return conversation.Author{Kind: conversation.Agent, Agent: u.ID}, s.JoinedAgent(u.ID)
}
