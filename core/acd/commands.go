package acd

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Command asks for a change of an agent's state.
type Command interface{ command() }

// Login begins a session, in Not Ready (login). For an agent who is logged in already it has no
// event, except that it ends a disconnection, or records one more node. Node has the agent's socket;
// "" where there is only one node.
type Login struct{ Node string }

// Logout ends the session. While an offer is being presented Logout is refused with
// ErrOfferPending: the conversation records the offer too, so the caller must decline the offer
// there and log the agent out in the same append. Work in hand stays until it is released, since
// exchanges outlive the session (N6). Cause "" = logout.
type Logout struct{ Cause conversation.Cause }

// BeReady makes the agent Ready and cancels a pending Not Ready.
type BeReady struct{}

// BeNotReady makes the agent Not Ready: at once when nothing is in hand, else when the present work
// ends (A12). Reason "" = manual.
type BeNotReady struct{ Reason Reason }

// Present: an interaction is being presented to the agent. Spare is the percent of capacity that
// must be free before (A18), measured against Limits; an invitation needs none.
type Present struct {
	Offer        conversation.OfferID
	Conversation conversation.ConversationID
	Request      conversation.RequestID
	Medium       string
	Share        int
	Spare        int
	Invite       bool
	ExpiresAt    time.Time
	Limits       Limits // the agent's limits, as the dispatcher knows them
}

// Accepted: the agent accepted the offer.
type Accepted struct{ Offer conversation.OfferID }

// EndOffer: the offer is over and the agent did not join. If the agent does not hold this offer,
// there is no event.
type EndOffer struct {
	Offer conversation.OfferID
	Cause conversation.Cause
}

// Engage: the agent takes part in a conversation without an offer (started it,
// or joined by hand).
type Engage struct {
	Conversation conversation.ConversationID
	Medium       string
	Share        int
}

// StartWrapup: after-call work begins for a conversation that the agent left.
type StartWrapup struct {
	Conversation conversation.ConversationID
	Until        time.Time
}

// Release: the agent has no more to do with the conversation; its after-call work ends as well. For
// a conversation that the agent does not hold, Release and StartWrapup have no event.
type Release struct {
	Conversation conversation.ConversationID
	Cause        conversation.Cause
}

// Supervise: the agent takes part in a conversation as a supervisor. It is refused with ErrLoggedOut for
// an agent who is Away, since presence alone ends supervision that nobody else ends, and with
// ErrNoCapacity for one who supervises very many conversations.
type Supervise struct{ Conversation conversation.ConversationID }

// EndSupervision: the agent supervises the conversation no more. If the agent did not, there is no
// event.
type EndSupervision struct{ Conversation conversation.ConversationID }

// Disconnect: the agent's last socket at a node has closed, or the node is gone. When the agent has
// no socket at another node, the grace period begins; Grace 0 means the constant Grace (A20). Node
// "" means all nodes.
type Disconnect struct {
	Node  string
	Grace time.Duration
}

// Connect: the agent has an open socket again, at a node.
type Connect struct{ Node string }

// Tick carries out what is due: the end of a disconnected agent's grace period. As Logout it is
// refused with ErrOfferPending while an offer is being presented.
type Tick struct{}

func (Login) command()          {}
func (Logout) command()         {}
func (BeReady) command()        {}
func (BeNotReady) command()     {}
func (Present) command()        {}
func (Accepted) command()       {}
func (EndOffer) command()       {}
func (Engage) command()         {}
func (StartWrapup) command()    {}
func (Release) command()        {}
func (Supervise) command()      {}
func (EndSupervision) command() {}
func (Disconnect) command()     {}
func (Connect) command()        {}
func (Tick) command()           {}
