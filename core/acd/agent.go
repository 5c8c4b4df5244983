package acd

import (
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Status is an agent's displayed state, derived.
type Status string

// Statuses. Busy covers an offer that is being presented (A2); ACW is
// after-call work with nothing else going on.
const (
	StatusLoggedOut Status = "logged_out"
	StatusNotReady  Status = "not_ready"
	StatusReady     Status = "ready"
	StatusBusy      Status = "busy"
	StatusACW       Status = "acw"
)

// HeldOffer is the interaction that is being presented to an agent.
type HeldOffer struct {
	Offer        conversation.OfferID        `json:"offer"`
	Conversation conversation.ConversationID `json:"conversation"`
	Request      conversation.RequestID      `json:"request"`
	Medium       string                      `json:"medium"`
	Share        int                         `json:"share"`
	Invite       bool                        `json:"invite,omitempty"`
	At           time.Time                   `json:"at"`
	ExpiresAt    time.Time                   `json:"expires_at,omitzero"`
}

// Work is a conversation that takes a share of an agent.
type Work struct {
	Conversation conversation.ConversationID `json:"conversation"`
	Medium       string                      `json:"medium"`
	Share        int                         `json:"share"`
	Since        time.Time                   `json:"since"`
	Wrapup       bool                        `json:"wrapup,omitempty"` // after-call work
	WrapupSince  time.Time                   `json:"wrapup_since,omitzero"`
	WrapupUntil  time.Time                   `json:"wrapup_until,omitzero"` // zero: no limit
}

// AgentState is the fold over an agent's stream. It holds no personal data and is
// stored in clear as the agent's row. The zero state with an ID is an agent
// who never logged in. It is owned by one goroutine at a time.
//
// The mode (Mode, Reason) is what the agent chose or brought about; Status is
// what follows from it and from what the agent has in hand.
type AgentState struct {
	ID         conversation.AgentID `json:"id"`
	Seq        uint64               `json:"seq"`
	LoggedIn   bool                 `json:"logged_in,omitempty"`
	LoggedInAt time.Time            `json:"logged_in_at,omitzero"`
	Ready      bool                 `json:"ready,omitempty"`   // the mode
	Reason     Reason               `json:"reason,omitempty"`  // of a Not Ready mode
	Pending    []Reason             `json:"pending,omitempty"` // Not Ready follows the present work; oldest reason first
	PendingAt  time.Time            `json:"pending_at,omitzero"`
	Offer      *HeldOffer           `json:"offer,omitempty"` // at most one
	Work       []Work               `json:"work,omitempty"`  // oldest first

	// Disconnected: no socket. GraceUntil is zero once the grace is used up.
	Disconnected   bool      `json:"disconnected,omitempty"`
	DisconnectedAt time.Time `json:"disconnected_at,omitzero"`
	GraceUntil     time.Time `json:"grace_until,omitzero"`

	Since     time.Time `json:"since,omitzero"`      // of the present Status
	IdleSince time.Time `json:"idle_since,omitzero"` // who waits longest for work is asked first
}

// Status derives the displayed state. Other chats keep an agent Busy whatever
// else is in hand (A13, S5); an invitation changes nothing (T6).
func (a *AgentState) Status() Status {
	switch {
	case !a.LoggedIn:
		return StatusLoggedOut
	case a.Active() > 0, a.Offer != nil && !a.Offer.Invite:
		return StatusBusy
	case len(a.Work) > 0:
		return StatusACW
	case a.Ready:
		return StatusReady
	}
	return StatusNotReady
}

// PendingReason is the first reason for which the agent becomes Not Ready when
// the present work ends; "" when none is pending.
func (a *AgentState) PendingReason() Reason {
	if len(a.Pending) == 0 {
		return ""
	}
	return a.Pending[0]
}

// Active counts the conversations that the agent takes part in.
func (a *AgentState) Active() int { return len(a.Work) - a.InWrapup() }

// InWrapup counts the conversations with after-call work.
func (a *AgentState) InWrapup() int {
	n := 0
	for i := range a.Work {
		if a.Work[i].Wrapup {
			n++
		}
	}
	return n
}

// Load is the percent of the agent's capacity in use, the offer included. It
// may go beyond 100: a call may come to somebody who still writes (A18).
func (a *AgentState) Load() int {
	n := 0
	for i := range a.Work {
		n += a.Work[i].Share
	}
	if a.Offer != nil {
		n += a.Offer.Share
	}
	return n
}

// InRotation reports whether the agent takes interactions now or as soon as
// there is room: Ready, with nothing pending, and connected.
func (a *AgentState) InRotation() bool {
	return a.LoggedIn && a.Ready && len(a.Pending) == 0 && !a.Disconnected
}

// Offerable reports whether another interaction may be presented now, capacity
// aside: in rotation, nothing being presented, and not in after-call work alone.
func (a *AgentState) Offerable() bool {
	return a.InRotation() && a.Offer == nil && a.Status() != StatusACW
}

// Invitable reports whether an invitation may be presented: to anybody who is
// there, Busy or not (T6), and is not just looking at another offer.
func (a *AgentState) Invitable() bool { return a.LoggedIn && !a.Disconnected && a.Offer == nil }

// Holds returns the agent's work on a conversation, or nil. The pointer is into a.
func (a *AgentState) Holds(c conversation.ConversationID) *Work {
	if i := a.workIndex(c); i >= 0 {
		return &a.Work[i]
	}
	return nil
}

func (a *AgentState) workIndex(c conversation.ConversationID) int {
	return slices.IndexFunc(a.Work, func(w Work) bool { return w.Conversation == c })
}

// NextDeadline is when Tick next has something to do; false: never, as things
// stand. Offers expire on the conversation's side.
func (a *AgentState) NextDeadline() (time.Time, bool) {
	return a.GraceUntil, !a.GraceUntil.IsZero()
}

// Clone makes an independent copy.
func (a *AgentState) Clone() *AgentState {
	c := *a
	c.Pending = slices.Clone(a.Pending)
	c.Work = slices.Clone(a.Work)
	if a.Offer != nil {
		o := *a.Offer
		c.Offer = &o
	}
	return &c
}
