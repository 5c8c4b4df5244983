package stream

import (
	"context"

	"github.com/parley-gateway/parley/core/conversation"
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

// supervise changes how a user supervises; mode "" ends it.
func (s *Stream) supervise(ctx context.Context, id auth.Identity, conv conversation.ConversationID, mode conversation.Mode) (ackFrame, error) {
	seq, err := api.Supervise(ctx, s.opts.Router, s.opts.Trail, id, conv, mode)
	return ackFrame{Seq: seq}, err
}
