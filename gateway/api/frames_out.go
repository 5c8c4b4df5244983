package api

import (
	"encoding/json"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

// Frames from the server, as docs/protocol/agent-stream.md describes them.
// The field T comes first and names the kind.

type welcomeFrame struct {
	T       string      `json:"t"`
	User    userSummary `json:"user"`
	Time    time.Time   `json:"time"`
	Version string      `json:"version"`
}

type userSummary struct {
	ID         conversation.AgentID `json:"id"`
	Login      string               `json:"login"`
	Name       string               `json:"name"`
	Role       directory.Role       `json:"role"`
	Privileges []string             `json:"privileges"`
}

type agentFrame struct {
	T     string    `json:"t"`
	Agent agentView `json:"agent"`
}

type agentView struct {
	Seq            uint64                 `json:"seq"`
	Status         string                 `json:"status" enum:"logged_out,not_ready,ready,busy,acw"`
	Reason         string                 `json:"reason"`
	Pending        string                 `json:"pending"`
	Since          time.Time              `json:"since,omitzero"`
	ReadyAfterWork bool                   `json:"ready_after_work"`
	Offers         []conversation.OfferID `json:"offers"`
	Conversations  []workView             `json:"conversations"`
}

type workView struct {
	Conversation conversation.ConversationID `json:"conversation"`
	State        string                      `json:"state" enum:"joined,wrapup,parked"`
	WrapupUntil  *time.Time                  `json:"wrapup_until,omitempty"`
}

type offerFrame struct {
	T            string                      `json:"t"`
	Offer        conversation.OfferID        `json:"offer"`
	Conversation conversation.ConversationID `json:"conversation"`
	Request      conversation.RequestID      `json:"request"`
	Title        string                      `json:"title"`
	Icon         string                      `json:"icon"`
	Channel      string                      `json:"channel"`
	Service      *serviceRef                 `json:"service"`
	Customer     customerRef                 `json:"customer"`
	Address      string                      `json:"address,omitempty"` // the customer's telephone number, where the channel has numbers
	QueuedMS     int64                       `json:"queued_ms"`
	WaitingSince time.Time                   `json:"waiting_since"`
	OfferedAt    time.Time                   `json:"offered_at"`
	ExpiresAt    *time.Time                  `json:"expires_at,omitempty"`
	InvitedBy    *agentRef                   `json:"invited_by"`
}

type serviceRef struct {
	ID   conversation.ServiceID `json:"id"`
	Name string                 `json:"name"`
}

type agentRef struct {
	ID   conversation.AgentID `json:"id"`
	Name string               `json:"name"`
}

type accountRef struct {
	ID   conversation.AccountID `json:"id"`
	Name string                 `json:"name"`
}

type customerRef struct {
	Name string `json:"name"`
}

type offerEndFrame struct {
	T     string               `json:"t"`
	Offer conversation.OfferID `json:"offer"`
	Cause conversation.Cause   `json:"cause"`
}

type joinedFrame struct {
	T            string                      `json:"t"`
	Conversation conversation.ConversationID `json:"conversation"`
	State        string                      `json:"state" enum:"joined,wrapup,parked"`
	Info         infoView                    `json:"info"`
}

// infoView is what an agent's screen needs of a conversation beside its events.
type infoView struct {
	Channel      string                    `json:"channel"`
	Icon         string                    `json:"icon"`
	Title        string                    `json:"title"`
	Service      *serviceView              `json:"service,omitempty"`
	Capabilities conversation.Capabilities `json:"capabilities"`
	Account      accountRef                `json:"account"`
}

type serviceView struct {
	serviceRef
	Dispositions      []directory.Disposition `json:"dispositions"`
	DispositionNeeded bool                    `json:"disposition_needed"`
	WrapupMS          int64                   `json:"wrapup"`
	Features          []string                `json:"features"`
}

type conversationFrame struct {
	T            string                      `json:"t"` // live, parted
	Conversation conversation.ConversationID `json:"conversation"`
}

type typingFrame struct {
	T            string                      `json:"t"`
	Conversation conversation.ConversationID `json:"conversation"`
	On           bool                        `json:"on"`
	Who          conversation.Author         `json:"who"`
	Name         string                      `json:"name"`
}

type presenceFrame struct {
	T            string                      `json:"t"`
	Conversation conversation.ConversationID `json:"conversation"`
	On           bool                        `json:"on"`
}

type ackFrame struct {
	T            string                       `json:"t"`
	ID           string                       `json:"id"`
	OK           bool                         `json:"ok"`
	Conversation *conversation.ConversationID `json:"conversation,omitempty"`
	Message      *conversation.MessageID      `json:"message,omitempty"`
	Request      *conversation.RequestID      `json:"request,omitempty"`
	Seq          uint64                       `json:"seq,omitempty"`
	Error        *errorView                   `json:"error,omitempty"`
}

type errorView struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	*threadOpenView
}

type errorFrame struct {
	T            string                       `json:"t"`
	Conversation *conversation.ConversationID `json:"conversation,omitempty"`
	Error        errorView                    `json:"error"`
}

type pongFrame struct {
	T  string `json:"t"`
	ID string `json:"id"`
}

type byeFrame struct {
	T       string `json:"t"`
	Reason  string `json:"reason"`
	RetryMS int64  `json:"retry_ms"`
}

type boardFrame struct {
	T     string          `json:"t"`
	Board json.RawMessage `json:"board"`
}
