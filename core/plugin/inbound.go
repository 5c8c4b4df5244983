package plugin

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Inbound is an event from a plugin. Exactly one of the pointers is set.
type Inbound struct {
	Plugin    string
	Account   conversation.AccountID
	Thread    string // clear thread key
	DedupeKey string // "" = cannot repeat
	// Repeats: what is answered with Retry comes again, under the same DedupeKey
	// and in the order of its sending. It holds for what a session sends by
	// itself; a webhook's events come again when the carrier likes.
	Repeats    bool
	ProviderAt time.Time
	ReceivedAt time.Time

	Message  *InboundMessage
	Result   *CommandResult
	Status   *DeliveryStatus
	Receipt  *InboundReceipt
	Action   *CustomerAction
	Deferred []byte
}

// InboundMessage is a customer's message.
type InboundMessage struct {
	ClientID    string
	Address     string
	Name        string
	Parts       []conversation.Part
	ReplyTo     conversation.MessageID
	ProviderIDs []string
}

// DeliveryStatus is a provider's later word on a message, which one of
// ProviderID and Command names, or both.
type DeliveryStatus struct {
	ProviderID string
	Command    [16]byte // zero: not known
	Status     conversation.Status
	Code, Text string
}

// InboundReceipt is a connected customer's cumulative receipt.
type InboundReceipt struct {
	Conversation    conversation.ConversationID
	Delivered, Read uint64
}

// CustomerAction is what a customer does beyond messages. Exactly one is set.
type CustomerAction struct {
	Start      *StartAction
	Page       *conversation.PageBody
	End        bool
	Left       bool
	Attributes map[string]string
	OptOut     *OptOut
}

// StartAction asks for a conversation (request form).
type StartAction struct {
	Body     conversation.StartedBody // Thread is filled in by the router
	ClientID string
	Parts    []conversation.Part
}

// OptOut: the customer wants no more messages on the thread, or some again.
type OptOut struct {
	Out     bool
	Keyword string // as written
}

// AckStatus is the outcome of an Ingest.
type AckStatus int

// Outcomes. Refused is final and logged; Retry means that nothing is durable
// and the event should come again.
const (
	Committed AckStatus = iota + 1
	Duplicate
	Refused
	Retry
)

// Ack answers an Ingest.
type Ack struct {
	Status       AckStatus
	Code         string // refused, retry: published reason
	Conversation conversation.ConversationID
	Seq          uint64
}
