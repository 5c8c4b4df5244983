package stream

import (
	"context"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/auth"
)

// What supervisors do in conversations (H2, H3), and what agents and supervisors say among
// themselves. A supervisor reads a conversation by watching it, in whatever mode or none.

type superviseCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	Mode         conversation.Mode           `json:"mode"`
}

type unsuperviseCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
}

type noteCmd struct {
	frameHeader
	Conversation conversation.ConversationID `json:"conversation"`
	ClientID     string                      `json:"client_id"`
	Parts        []conversation.Part         `json:"parts"`
}

func supervisionCommands() map[string]run {
	return map[string]run{
		"supervise": command(func(ctx context.Context, s *Stream, id auth.Identity, c superviseCmd) (ackFrame, error) {
			switch c.Mode {
			case conversation.ModeMonitor, conversation.ModeCoach, conversation.ModeBarge:
				return s.supervise(ctx, id, c.Conversation, c.Mode)
			}
			return ackFrame{}, api.NewFault("invalid", api.Detail{Where: "mode", Problem: "must be monitor, coach or barge"})
		}),
		"unsupervise": command(func(ctx context.Context, s *Stream, id auth.Identity, c unsuperviseCmd) (ackFrame, error) {
			return s.supervise(ctx, id, c.Conversation, "")
		}),
		"note": command(func(ctx context.Context, s *Stream, id auth.Identity, c noteCmd) (ackFrame, error) {
			sent, err := api.AddNote(ctx, s.opts.Router, id, c.Conversation, c.ClientID, c.Parts)
			return ackFrame{Message: &sent.Message, Seq: sent.Seq}, err
		}),
	}
}

// supervise changes how a user supervises. What supervisors ask for is in the audit trail before it
// happens, so that it never happens without (H4).
func (s *Stream) supervise(ctx context.Context, id auth.Identity, conv conversation.ConversationID, mode conversation.Mode) (ackFrame, error) {
	supervisor := id.Role.Includes(directory.RoleSupervisor)
	switch {
	case !supervisor && mode != "":
		return ackFrame{}, api.NewFault("denied")
	case conv.IsZero():
		return ackFrame{}, api.NewFault("not_found")
	}
	info, err := s.opts.Router.Info(ctx, conv)
	if err != nil && supervisor {
		return ackFrame{}, err
	}
	if supervisor && changesMode(&info.State, id.User, mode) {
		reason := string(mode)
		if mode == "" {
			reason = "left"
		}
		entry := audit.Entry{Actor: audit.Actor{User: id.User, Via: "api"}, Action: audit.Supervised, Object: "conversation", ObjectID: conv.String(), Reason: reason}
		if err := s.opts.Trail.Append(ctx, entry); err != nil {
			return ackFrame{}, err
		}
	}
	seq, err := s.opts.Router.Supervise(ctx, id.User, conv, mode)
	return ackFrame{Seq: seq}, err
}

// changesMode reports whether the rules let a supervisor's mode become another one. What they refuse,
// and what is so already, is no line in the audit trail.
func changesMode(st *conversation.State, id conversation.AgentID, mode conversation.Mode) bool {
	return st.Phase == conversation.PhaseOpen && st.ModeOf(id) != mode && (mode == "" || st.Parking == nil && !st.JoinedAgent(id))
}
