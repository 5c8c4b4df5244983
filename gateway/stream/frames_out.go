package stream

import (
	"encoding/json"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/gateway/api"
)

// Frames to the client, as docs/protocol/agent-stream.md describes them. The field T comes first
// and names the kind.

type welcomeFrame struct {
	T       string          `json:"t"`
	User    api.UserSummary `json:"user"`
	Time    time.Time       `json:"time"`
	Version string          `json:"version"`
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
	Service      *api.ServiceRef             `json:"service"`
	Customer     api.CustomerRef             `json:"customer"`
	Address      string                      `json:"address,omitempty"` // the customer's telephone number, where the channel has numbers
	QueuedMS     int64                       `json:"queued_ms"`
	WaitingSince time.Time                   `json:"waiting_since"`
	OfferedAt    time.Time                   `json:"offered_at"`
	ExpiresAt    *time.Time                  `json:"expires_at,omitempty"`
	InvitedBy    *api.AgentRef               `json:"invited_by"`
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
	Info         api.InfoView                `json:"info"`
}

// api.InfoView is what an agent's screen needs of a conversation beside its events.
type conversationFrame struct {
	T            string                      `json:"t"` // the kind: live or parted
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
