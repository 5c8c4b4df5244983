package conversation

import "time"

// MessagePosted is a message. Its id is stable; Body: MessageBody.
type MessagePosted struct {
	ID         MessageID  `json:"id"`
	Author     Author     `json:"author"`
	ClientID   string     `json:"client_id,omitempty"` // made by the author's device; a retry with the same id is the same message
	Kinds      []PartKind `json:"kinds"`
	Blobs      []BlobID   `json:"blobs,omitempty"`
	ReplyTo    MessageID  `json:"reply_to,omitzero"`
	Endpoint   int        `json:"endpoint,omitempty"` // index into State.Endpoints
	ProviderAt time.Time  `json:"provider_at,omitzero"`
	ReceivedAt time.Time  `json:"received_at,omitzero"`
}

// Status is how far an outgoing message has come. It only moves forward (PR5).
type Status string

// Message statuses, as a total order: accepted < unknown < sent < failed < delivered < read, so
// that reports in any order lead to the same status (PR5). Unknown means that we do not know
// whether the provider took the message; any later report of the provider resolves it (PR4).
// Delivered and read override failed.
const (
	StatusAccepted  Status = "accepted" // stored durably by the gateway
	StatusSent      Status = "sent"     // the provider took it
	StatusDelivered Status = "delivered"
	StatusRead      Status = "read"
	StatusFailed    Status = "failed"
	StatusUnknown   Status = "unknown"
)

// MessageStatus changes the status of one message of a store-and-forward channel. Body: StatusBody
// (the provider's text), if any.
type MessageStatus struct {
	Message MessageID `json:"message"`
	Status  Status    `json:"status"`
	Kind    string    `json:"kind,omitempty"` // error class: temporary, throttled, address, auth, content, internal; or manual (MessageSettled)
	Code    string    `json:"code,omitempty"` // the provider's own error code
}

// TypeMessageNamed is the type of MessageNamed.
const TypeMessageNamed Type = "message.named/1"

// MessageNamed: the provider has an outgoing message under further ids, and its status is as before. It
// changes nothing in the state, so that nodes which do not know it may skip it. Body: NamedBody.
type MessageNamed struct {
	Message   MessageID `json:"message"`
	Circle    Audience  `json:"audience"`
	Ignorable bool      `json:"ignorable"`
}

// Type implements Head.
func (*MessageNamed) Type() Type { return TypeMessageNamed }

// Audience implements Head.
func (h *MessageNamed) Audience() Audience { return h.Circle.or(TypeMessageNamed) }

// Outcome is what a person says became of a message whose status is unknown (PR4).
type Outcome string

// Outcomes.
const (
	OutcomeSent   Outcome = "sent"
	OutcomeFailed Outcome = "failed"
	OutcomeResend Outcome = "resend" // the message is sent again at that person's request
)

// MessageSettled: a person settled a message whose status was unknown (PR4). Sent and failed are
// followed by a MessageStatus of kind "manual"; resend puts the message back to accepted, the only
// case in which a status goes back.
type MessageSettled struct {
	Message MessageID `json:"message"`
	Outcome Outcome   `json:"outcome"`
	By      AgentID   `json:"by"`
}

// ConsentChanged: the customer wants no more messages, or wants them again. While Out is true,
// agents and bots cannot post to store-and-forward channels. Body: ConsentBody.
type ConsentChanged struct {
	Out bool `json:"out"`
}

// Receipt says that a party has received, or read, every event up to a sequence. Cumulative.
type Receipt struct {
	By        Author `json:"by"`
	Delivered uint64 `json:"delivered,omitempty"`
	Read      uint64 `json:"read,omitempty"`
}
