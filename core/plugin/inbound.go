package plugin

import (
	"encoding/json"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Inbound is an event from a plugin. Exactly one of the pointers is set.
type Inbound struct {
	Plugin    string
	Instance  string // the generation of the plugin that sent the event; "" = not known
	Account   conversation.AccountID
	Thread    string // the thread key in clear
	DedupeKey string // the same for each repeat of an event; "" = the event cannot be repeated
	// Repeats: an event that is answered with Retry comes again, under the same DedupeKey and in
	// the order in which it was sent. This is so for events that a session sends by itself; a
	// webhook's events come again whenever the carrier decides.
	Repeats    bool
	ProviderAt time.Time
	ReceivedAt time.Time

	Message  *InboundMessage
	Result   *CommandResult
	Status   *DeliveryStatus
	Receipt  *InboundReceipt
	Action   *CustomerAction
	Deferred []byte

	ReplyWindow *ReplyWindow
	Call        *CallEvent
	Tool        *ToolSession
	Bot         *BotAction
}

// ReplyWindow says until when the customer may be written to freely; zero: no window is open.
type ReplyWindow struct{ Expires time.Time }

// InboundMessage is a customer's message.
type InboundMessage struct {
	ClientID    string
	Address     string
	Name        string
	Parts       []conversation.Part
	ReplyTo     conversation.MessageID
	ProviderIDs []string
	// ReplyToProviderID names the message that this one answers when ReplyTo is zero.
	ReplyToProviderID string
}

// DeliveryStatus is a provider's later report on a message, which is named by ProviderID, by
// Command, or by both.
type DeliveryStatus struct {
	ProviderID string
	Command    [16]byte // zero: the command is not known
	Status     conversation.Status
	Code, Text string
}

// InboundReceipt is a connected customer's cumulative receipt.
type InboundReceipt struct {
	Conversation    conversation.ConversationID
	Delivered, Read uint64
	// The provider's ids of the last messages delivered and read, on store-and-forward channels;
	// Conversation is then zero.
	DeliveredID, ReadID string
}

// CustomerAction is what a customer does other than writing. Exactly one field is set.
type CustomerAction struct {
	Start      *StartAction
	Page       *conversation.PageBody
	End        bool
	Left       bool
	Attributes map[string]string
	OptOut     *OptOut

	Tool         *CustomerTool
	Call         *CustomerCall
	Satisfaction *Satisfaction
	Form         *FormAnswer
}

// CustomerTool: the customer uses a tool.
type CustomerTool struct {
	Session  conversation.SessionID // zero with the action "start"
	Account  conversation.AccountID // of the tool, with the action "start"
	Action   string                 // "start", "accept", "decline", "end", or that of a block
	Values   json.RawMessage        // JSON object; nil: none
	Revision uint64                 // of the panel that the customer saw
}

// CustomerCall: the customer uses a call.
type CustomerCall struct {
	Session conversation.SessionID // zero with the action "start"
	Action  string                 // "start", "answer", "decline", "end", "mute", "unmute", "video_on", "video_off"
}

// Satisfaction is what the customer thinks of a conversation.
type Satisfaction struct {
	Conversation conversation.ConversationID // zero: the last one of the thread
	Score        int
	Comment      string
}

// FormAnswer answers a form of a tool. Sealed is opaque to the gateway.
type FormAnswer struct {
	Session   conversation.SessionID
	Sealed    []byte
	Cancelled bool
}

// StartAction asks for a new conversation (request form).
type StartAction struct {
	Body     conversation.StartedBody // the router fills in Thread
	ClientID string
	Parts    []conversation.Part
}

// OptOut: the customer wants no more messages on the thread, or wants them again.
type OptOut struct {
	Out     bool
	Keyword string // as the customer wrote it
}

// AckStatus is the outcome of an Ingest.
type AckStatus int

// Outcomes. Refused is final and logged; Retry means that nothing is durable and the plugin must
// send the event again.
const (
	Committed AckStatus = iota + 1
	Duplicate
	Refused
	Retry
)

// Ack answers an Ingest.
type Ack struct {
	Status       AckStatus
	Code         string // published reason, for refused and retry
	Conversation conversation.ConversationID
	Seq          uint64
}
