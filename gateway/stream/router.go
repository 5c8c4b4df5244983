package stream

import (
	"context"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/api"
)

// Router is what the stream needs of the session router. Every method that
// changes something returns after the commit (DESIGN.md 1.3).
type Router interface {
	api.Router // what frames show is read as the API reads it

	// AgentConnected and AgentDisconnected count an agent's sockets; the first one
	// logs the agent in, the loss of the last starts the grace of A20.
	AgentConnected(ctx context.Context, agent conversation.AgentID) error
	AgentDisconnected(agent conversation.AgentID)
	Ready(ctx context.Context, agent conversation.AgentID) error
	NotReady(ctx context.Context, agent conversation.AgentID, reason string) error
	// Logout ends the agent's working day: offers withdrawn, web chats
	// requeued, texts parked.
	Logout(ctx context.Context, agent conversation.AgentID) error
	// Agent is a copy of the agent's state and the sequence that it reflects.
	Agent(ctx context.Context, agent conversation.AgentID) (acd.AgentState, error)

	Accept(ctx context.Context, agent conversation.AgentID, offer conversation.OfferID) (conversation.ConversationID, uint64, error)
	Reject(ctx context.Context, agent conversation.AgentID, offer conversation.OfferID) error
	Mark(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID, delivered, read uint64) error
	Typing(agent conversation.AgentID, conv conversation.ConversationID, on bool)
	Leave(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID, queue bool) (uint64, error)
	FinishWrapup(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID, disposition, notes string) (uint64, error)
	Invite(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID, target conversation.Target, transfer bool) (conversation.RequestID, error)
	CancelInvite(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID, request conversation.RequestID) error
	SetFlag(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID, on bool) error
	LinkContact(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID, contact conversation.ContactID) error

	// StartOutbound begins an exchange with an address (N2).
	// *router.ThreadOpenError names an open one (N17).
	StartOutbound(ctx context.Context, req router.OutboundRequest) (router.Outbound, error)
	// Join takes a parked exchange up, or comes into an open one (N6, N17).
	Join(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID) (uint64, error)
	// SettleMessage settles a message whose status is unknown (PR4).
	SettleMessage(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID, message conversation.MessageID, outcome conversation.Outcome) (uint64, error)
	// Recent is what waits unread for the agent; RecentSeen clears it (O1, O2).
	Recent(ctx context.Context, agent conversation.AgentID) readers.Recent
	RecentSeen(ctx context.Context, agent conversation.AgentID) error

	// NewFeed opens a reader of many conversations. wake is called, without
	// blocking and from any goroutine, when Poll has something after it had nothing.
	NewFeed(agent conversation.AgentID, audience conversation.Audience, wake func()) Feed
}

// Feed reads many conversations for one socket (readers.Feed).
type Feed interface {
	// Add starts reading a conversation after a sequence, or moves the cursor there.
	Add(conv conversation.ConversationID, after uint64)
	// Remove stops reading a conversation.
	Remove(conv conversation.ConversationID)
	// Poll returns about max items that are there now and never waits; none means
	// that wake will be called again.
	Poll(ctx context.Context, max int) ([]readers.Item, error)
	// Close ends the feed; wake is not called after it returns.
	Close()
}

// FromRouter makes the session router a Router.
func FromRouter(r *router.Router) Router { return coreRouter{r} }

type coreRouter struct{ *router.Router }

// NewFeed implements Router.
func (r coreRouter) NewFeed(agent conversation.AgentID, audience conversation.Audience, wake func()) Feed {
	return r.Router.NewFeed(agent, audience, wake)
}
