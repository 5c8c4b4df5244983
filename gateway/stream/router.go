package stream

import (
	"context"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/api"
)

// Router is what the stream needs of the session router. Every method that changes something
// returns after the commit (DESIGN.md 1.3).
type Router interface {
	api.Router // frames show conversations as the API shows them

	// AgentConnected and AgentDisconnected count an agent's sockets: the first one logs the agent
	// in, and the loss of the last starts the grace time of A20.
	AgentConnected(ctx context.Context, agent conversation.AgentID) error
	AgentDisconnected(agent conversation.AgentID)
	Ready(ctx context.Context, agent conversation.AgentID) error
	NotReady(ctx context.Context, agent conversation.AgentID, reason string) error
	// Logout ends the agent's working day: their offers are withdrawn, their web chats queued
	// again, their texts parked.
	Logout(ctx context.Context, agent conversation.AgentID) error

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

	// StartOutbound begins an exchange with an address (N2). If one is open already,
	// *router.ThreadOpenError names it (N17).
	StartOutbound(ctx context.Context, req router.OutboundRequest) (router.Outbound, error)
	// Join makes the agent take up a parked exchange or join an open one (N6, N17).
	Join(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID) (uint64, error)
	// SettleMessage records the agent's decision about a message whose status is unknown (PR4).
	SettleMessage(ctx context.Context, agent conversation.AgentID, conv conversation.ConversationID, message conversation.MessageID, outcome conversation.Outcome) (uint64, error)
	// Recent returns what waits unread in the agent's Recent; RecentSeen clears it (O1, O2).
	Recent(ctx context.Context, agent conversation.AgentID) readers.Recent
	RecentSeen(ctx context.Context, agent conversation.AgentID) error

	// NewFeed opens a reader of many conversations. wake is called, from any goroutine, when Poll
	// has something again after it returned nothing; wake must not block.
	NewFeed(agent conversation.AgentID, audience conversation.Audience, wake func()) Feed
}

// Feed reads many conversations for one socket (readers.Feed).
type Feed interface {
	// Add starts reading a conversation after a sequence number, or continues from there if it is
	// read already.
	Add(conv conversation.ConversationID, after uint64)
	// Remove stops reading a conversation.
	Remove(conv conversation.ConversationID)
	// Poll returns about max of the items that are there, and never waits; if it returns none, wake
	// will be called later.
	Poll(ctx context.Context, max int) ([]readers.Item, error)
	// Close ends the feed; wake is not called after it returns.
	Close()
}

// FromRouter makes a Router of the session router.
func FromRouter(r *router.Router) Router { return coreRouter{r} }

type coreRouter struct{ *router.Router }

// NewFeed implements Router.
func (r coreRouter) NewFeed(agent conversation.AgentID, audience conversation.Audience, wake func()) Feed {
	return r.Router.NewFeed(agent, audience, wake)
}
