package api

import (
	"context"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
)

// Router is what the API needs of the session router. Methods that change something return after
// the commit (DESIGN.md 1.3).
type Router interface {
	Send(ctx context.Context, req router.SendRequest) (router.Sent, error)
	// Supervise lets a supervisor take part in a mode, change it, or take part no more (mode "") (H2).
	Supervise(ctx context.Context, supervisor conversation.AgentID, conv conversation.ConversationID, mode conversation.Mode) (uint64, error)
	// AddNote adds a note for agents and supervisors, which customers never see (H4).
	AddNote(ctx context.Context, req router.SendRequest) (router.Sent, error)
	// Agent returns a copy of the agent's state, with the sequence number of the last event in it.
	Agent(ctx context.Context, agent conversation.AgentID) (acd.AgentState, error)
	// Senders lists what the agent may begin exchanges from (N1).
	Senders(agent conversation.AgentID) []router.Sender
	// AccountTemplates lists the templates of an account from which the agent may begin exchanges;
	// router.ErrUnknownAccount for any other.
	AccountTemplates(agent conversation.AgentID, account conversation.AccountID) ([]plugin.Template, error)
	// Info describes a conversation; router.ErrNotFound when there is none.
	Info(ctx context.Context, conv conversation.ConversationID) (router.Info, error)
	// Records returns events after the sequence number after, as far as the audience may see them.
	Records(ctx context.Context, conv conversation.ConversationID, audience conversation.Audience, after uint64, limit int) ([]readers.Record, error)
	// Board is the supervisors' view; cheap enough to call once a second.
	Board(ctx context.Context) router.Board
}
