package acd

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Types of an agent's stream.
const (
	TypeLoggedIn        conversation.Type = "agent.logged_in/1"
	TypeLoggedOut       conversation.Type = "agent.logged_out/1"
	TypeReady           conversation.Type = "agent.ready/1"
	TypeNotReady        conversation.Type = "agent.not_ready/1"
	TypePendingNotReady conversation.Type = "agent.pending_not_ready/1"
	TypePendingCleared  conversation.Type = "agent.pending_cleared/1"
	TypeOffered         conversation.Type = "agent.offered/1"
	TypeOfferEnded      conversation.Type = "agent.offer_ended/1"
	TypeEngaged         conversation.Type = "agent.engaged/1"
	TypeWrapupStarted   conversation.Type = "agent.wrapup_started/1"
	TypeReleased        conversation.Type = "agent.released/1"
	TypeDisconnected    conversation.Type = "agent.disconnected/1"
	TypeConnected       conversation.Type = "agent.connected/1"
	TypeLeftNode        conversation.Type = "agent.left_node/1"

	TypeSupervisionStarted conversation.Type = "agent.supervision_started/1"
	TypeSupervisionEnded   conversation.Type = "agent.supervision_ended/1"
)

// Reason tells why an agent is Not Ready: one of the constants below, or a code from the contact
// centre's own list ("break", "training").
type Reason string

// Reasons that the rules set by themselves.
const (
	ReasonLogin      Reason = "login"      // after login an agent is Not Ready until the agent asks for Ready
	ReasonRejected   Reason = "rejected"   // A9, A10
	ReasonExpired    Reason = "expired"    // A8, A14
	ReasonConnection Reason = "connection" // A20
	ReasonManual     Reason = "manual"     // the agent asked for Not Ready without a code
)

// LoggedIn begins an agent's session, in Not Ready (login). Node has the agent's socket; "" in events
// of earlier versions.
type LoggedIn struct {
	Node string `json:"node,omitempty"`
}

// LoggedOut ends an agent's session.
type LoggedOut struct {
	Cause conversation.Cause `json:"cause"`
}

// Ready: the agent takes interactions (A1).
type Ready struct{}

// NotReady: the agent takes no interactions. Also lists the further reasons that were added while
// work was going on (A15).
type NotReady struct {
	Reason Reason   `json:"reason"`
	Also   []Reason `json:"also,omitempty"`
}

// PendingNotReady: the agent becomes Not Ready when the present work ends (A10, A12, A14). There is
// one event for each reason.
type PendingNotReady struct {
	Reason Reason `json:"reason"`
}

// PendingCleared: the pending Not Ready is cancelled, so the agent stays Ready.
type PendingCleared struct{}

// Offered: an interaction is presented to the agent, who is Busy from here on unless the offer is
// an invitation (A2).
type Offered struct {
	Offer        conversation.OfferID        `json:"offer"`
	Conversation conversation.ConversationID `json:"conversation"`
	Request      conversation.RequestID      `json:"request"`
	Medium       string                      `json:"medium"`
	Share        int                         `json:"share"` // percent of the agent's capacity that the interaction takes
	Invite       bool                        `json:"invite,omitempty"`
	ExpiresAt    time.Time                   `json:"expires_at,omitzero"`
}

// OfferEnded: the offer is over. Causes: accepted, rejected, expired (unaccepted, A8), withdrawn,
// abandoned and customer_left (A19), connection, logout, and any other cause that ended the
// request.
type OfferEnded struct {
	Offer        conversation.OfferID        `json:"offer"`
	Conversation conversation.ConversationID `json:"conversation"`
	Invite       bool                        `json:"invite,omitempty"`
	Cause        conversation.Cause          `json:"cause"`
}

// Engaged: the agent takes part in a conversation, which takes its share of the agent's capacity.
type Engaged struct {
	Conversation conversation.ConversationID `json:"conversation"`
	Medium       string                      `json:"medium"`
	Share        int                         `json:"share"`
}

// WrapupStarted: the agent left the conversation and has after-call work for it. The conversation
// keeps its share of the agent's capacity until Released.
type WrapupStarted struct {
	Conversation conversation.ConversationID `json:"conversation"`
	Until        time.Time                   `json:"until,omitzero"`
}

// Released: the agent has no more to do with the conversation.
type Released struct {
	Conversation conversation.ConversationID `json:"conversation"`
	Cause        conversation.Cause          `json:"cause"`
}

// Disconnected: the agent's last socket is gone (A20).
type Disconnected struct {
	GraceUntil time.Time `json:"grace_until"`
}

// Connected: the agent has an open socket again, or has one at one more node.
type Connected struct {
	Node string `json:"node,omitempty"`
}

// LeftNode: the agent has no socket at a node any more, but has at others. An earlier version may
// skip the event: it does not know of nodes.
type LeftNode struct {
	Node      string `json:"node"`
	Ignorable bool   `json:"ignorable"` // always true
}

// SupervisionStarted: the agent takes part in a conversation as a supervisor, in whatever mode; the
// conversation's log says in which. An earlier version may skip the event.
type SupervisionStarted struct {
	Conversation conversation.ConversationID `json:"conversation"`
	Ignorable    bool                        `json:"ignorable"` // always true
}

// SupervisionEnded: the agent supervises the conversation no more. An earlier version may skip the event.
type SupervisionEnded struct {
	Conversation conversation.ConversationID `json:"conversation"`
	Ignorable    bool                        `json:"ignorable"` // always true
}

// types lists every type of an agent's stream, each with a constructor of its head; the map is
// never changed. Agents and supervisors see all of these events, so no audience is listed here.
var types = map[conversation.Type]func() conversation.Head{
	TypeLoggedIn:        func() conversation.Head { return &LoggedIn{} },
	TypeLoggedOut:       func() conversation.Head { return &LoggedOut{} },
	TypeReady:           func() conversation.Head { return &Ready{} },
	TypeNotReady:        func() conversation.Head { return &NotReady{} },
	TypePendingNotReady: func() conversation.Head { return &PendingNotReady{} },
	TypePendingCleared:  func() conversation.Head { return &PendingCleared{} },
	TypeOffered:         func() conversation.Head { return &Offered{} },
	TypeOfferEnded:      func() conversation.Head { return &OfferEnded{} },
	TypeEngaged:         func() conversation.Head { return &Engaged{} },
	TypeWrapupStarted:   func() conversation.Head { return &WrapupStarted{} },
	TypeReleased:        func() conversation.Head { return &Released{} },
	TypeDisconnected:    func() conversation.Head { return &Disconnected{} },
	TypeConnected:       func() conversation.Head { return &Connected{} },
	TypeLeftNode:        func() conversation.Head { return &LeftNode{} },

	TypeSupervisionStarted: func() conversation.Head { return &SupervisionStarted{} },
	TypeSupervisionEnded:   func() conversation.Head { return &SupervisionEnded{} },
}

// Types lists every released type of an agent's stream, by name.
func Types() []conversation.Type { return slices.Sorted(maps.Keys(types)) }

// DecodeHead reads the stored head of an event of an agent's stream and returns a pointer to it.
// For an unknown type it returns a *conversation.Ignored if the head allows this, else
// conversation.ErrUnknownType.
func DecodeHead(t conversation.Type, head []byte) (conversation.Head, error) {
	empty, ok := types[t]
	if !ok {
		return conversation.UnknownHead(t, head)
	}
	h := empty()
	if err := json.Unmarshal(head, h); err != nil {
		return nil, fmt.Errorf("decode head of %s: %w", t, err)
	}
	return h, nil
}
