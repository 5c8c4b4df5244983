package acd

import (
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Status is an agent's displayed state. It is derived from the agent's mode and from the work in
// hand, and is never stored.
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
	Wrapup       bool                        `json:"wrapup,omitempty"` // the agent has left and does the after-call work
	WrapupSince  time.Time                   `json:"wrapup_since,omitzero"`
	WrapupUntil  time.Time                   `json:"wrapup_until,omitzero"` // end of the after-call work; zero: no limit
}

// AgentState is the fold over an agent's stream. It holds no personal data and is stored in clear
// as the agent's row. The zero state with an ID is an agent who never logged in. An AgentState is
// owned by one goroutine at a time.  The mode (Ready, Reason) is what the agent chose or what the
// rules imposed, for example after a rejected offer; Status follows from the mode and from what the
// agent has in hand.
type AgentState struct {
	ID         conversation.AgentID `json:"id"`
	Seq        uint64               `json:"seq"`
	LoggedIn   bool                 `json:"logged_in,omitempty"`
	LoggedInAt time.Time            `json:"logged_in_at,omitzero"`
	Ready      bool                 `json:"ready,omitempty"`   // the mode: Ready or Not Ready
	Reason     Reason               `json:"reason,omitempty"`  // why the mode is Not Ready
	Pending    []Reason             `json:"pending,omitempty"` // reasons to become Not Ready when the present work ends; oldest first
	PendingAt  time.Time            `json:"pending_at,omitzero"`
	Offer      *HeldOffer           `json:"offer,omitempty"` // the offer being presented; an agent has one at most
	Work       []Work               `json:"work,omitempty"`  // oldest first

	// Supervises are the conversations in which the agent takes part as a supervisor, oldest first. They
	// take no capacity and do not change the Status.
	Supervises []conversation.ConversationID `json:"supervises,omitempty"`

	// Nodes are those at which the agent has an open socket, in the order of connecting. It is empty
	// for an agent without one, and for one whom an earlier version has recorded.
	Nodes []string `json:"nodes,omitempty"`

	// Disconnected means that the agent has no open socket. GraceUntil is zero once the grace
	// period is over.
	Disconnected   bool      `json:"disconnected,omitempty"`
	DisconnectedAt time.Time `json:"disconnected_at,omitzero"`
	GraceUntil     time.Time `json:"grace_until,omitzero"`

	Since     time.Time `json:"since,omitzero"`      // when the present Status began
	IdleSince time.Time `json:"idle_since,omitzero"` // when the agent last became idle; the longest idle agent is offered work first
}

// Status derives the displayed state. An agent who still handles another chat stays Busy even with
// an offer or after-call work in hand (A13, S5); an invitation changes nothing (T6).
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

// PendingReason is the first reason for which the agent becomes Not Ready when the present work
// ends; "" when no change to Not Ready is pending.
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

// Load is the percent of the agent's capacity in use, including the offer being presented. It may
// exceed 100, since a call may be offered to an agent who still writes in chats (A18).
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

// Offerable reports whether another interaction may be presented now: the agent is in rotation,
// holds no offer, and is not in after-call work alone. Capacity is checked elsewhere (Limits.Fits).
func (a *AgentState) Offerable() bool {
	return a.InRotation() && a.Offer == nil && a.Status() != StatusACW
}

// Invitable reports whether an invitation may be presented. Every connected agent may be invited,
// Busy or not (T6), except one who is being presented another offer.
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

// Away reports whether the agent is gone for good: logged out, or without a socket for longer than the
// grace period (A20).
func (a *AgentState) Away() bool {
	return !a.LoggedIn || a.Disconnected && a.GraceUntil.IsZero()
}

// NextDeadline is when Tick next has something to do; false means that no deadline is set. Offers
// have no deadline here: they expire in the conversation's state.
func (a *AgentState) NextDeadline() (time.Time, bool) {
	return a.GraceUntil, !a.GraceUntil.IsZero()
}

// Clone makes an independent copy.
func (a *AgentState) Clone() *AgentState {
	c := *a
	c.Pending = slices.Clone(a.Pending)
	c.Work = slices.Clone(a.Work)
	c.Nodes = slices.Clone(a.Nodes)
	c.Supervises = slices.Clone(a.Supervises)
	if a.Offer != nil {
		o := *a.Offer
		c.Offer = &o
	}
	return &c
}
