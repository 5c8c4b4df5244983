package acd

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Command asks for a change of an agent's state.
type Command interface{ command() }

// Login begins a session, in Not Ready (login). Logged in already: no event
// but the end of a disconnection.
type Login struct{}

// Logout ends the session. While something is being presented it is refused with
// ErrOfferPending: the offer is also the conversation's, so the caller declines it
// there and logs the agent out in the same append. Work stays until released, since
// exchanges outlive the session (N6). Cause "" = logout.
type Logout struct{ Cause conversation.Cause }

// BeReady takes interactions, and takes a pending Not Ready back.
type BeReady struct{}

// BeNotReady takes none any more, at once or, with something in hand, when it
// ends (A12). Reason "" = manual.
type BeNotReady struct{ Reason Reason }

// Present: an interaction is being presented. Spare is the percent of capacity
// that must be free beforehand (A18), of what Limits gives the agent; an invitation
// needs none.
type Present struct {
	Offer        conversation.OfferID
	Conversation conversation.ConversationID
	Request      conversation.RequestID
	Medium       string
	Share        int
	Spare        int
	Invite       bool
	ExpiresAt    time.Time
	Limits       Limits // the agent's, as the dispatcher knows them
}

// Accepted: the agent took the offer.
type Accepted struct{ Offer conversation.OfferID }

// EndOffer: the offer is over without a join. An offer that the agent does not
// hold is no event.
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

// Release: the conversation is over for the agent, after-call work included.
// What the agent does not hold is no event, here and in StartWrapup.
type Release struct {
	Conversation conversation.ConversationID
	Cause        conversation.Cause
}

// Disconnect: the agent's last socket is gone. Grace 0 = Grace (A20).
type Disconnect struct{ Grace time.Duration }

// Connect: a socket is back.
type Connect struct{}

// Tick carries out what is due: the end of a disconnected agent's grace. As Logout
// it is refused with ErrOfferPending while something is being presented.
type Tick struct{}

func (Login) command()       {}
func (Logout) command()      {}
func (BeReady) command()     {}
func (BeNotReady) command()  {}
func (Present) command()     {}
func (Accepted) command()    {}
func (EndOffer) command()    {}
func (Engage) command()      {}
func (StartWrapup) command() {}
func (Release) command()     {}
func (Disconnect) command()  {}
func (Connect) command()     {}
func (Tick) command()        {}
