package conversation

import "time"

// MessagePosted is a message. Its id is stable; Body: MessageBody.
type MessagePosted struct {
	ID         MessageID  `json:"id"`
	Author     Author     `json:"author"`
	ClientID   string     `json:"client_id,omitempty"` // made by the author's device; a retry is the same message
	Kinds      []PartKind `json:"kinds"`
	Blobs      []BlobID   `json:"blobs,omitempty"`
	ReplyTo    MessageID  `json:"reply_to,omitzero"`
	Endpoint   int        `json:"endpoint,omitempty"` // index into State.Endpoints
	ProviderAt time.Time  `json:"provider_at,omitzero"`
	ReceivedAt time.Time  `json:"received_at,omitzero"`
}

// Status is how far an outgoing message got. It only moves forward (PR5).
type Status string

// Message statuses, as a total order: accepted < unknown < sent < failed <
// delivered < read, so that reports in any order end equal (PR5). Unknown says
// that we do not know whether the provider took it; any later word of the
// provider's resolves it (PR4). Delivered and read override failed.
const (
	StatusAccepted  Status = "accepted" // durable here
	StatusSent      Status = "sent"     // the provider took it
	StatusDelivered Status = "delivered"
	StatusRead      Status = "read"
	StatusFailed    Status = "failed"
	StatusUnknown   Status = "unknown"
)

// MessageStatus moves one message of a store-and-forward channel. Body:
// StatusBody (the provider's text), if any.
type MessageStatus struct {
	Message MessageID `json:"message"`
	Status  Status    `json:"status"`
	Kind    string    `json:"kind,omitempty"` // error class: temporary, throttled, address, auth, content, internal; or manual (MessageSettled)
	Code    string    `json:"code,omitempty"` // the provider's own
}

// Outcome is what a person says of a message whose status is unknown (PR4).
type Outcome string

// Outcomes.
const (
	OutcomeSent   Outcome = "sent"
	OutcomeFailed Outcome = "failed"
	OutcomeResend Outcome = "resend" // it is sent once more, on that person's word
)

// MessageSettled: a person settled a message whose status was unknown (PR4).
// Sent and failed are followed by a MessageStatus of kind "manual"; resend
// puts the message back to accepted, the one step back that a status takes.
type MessageSettled struct {
	Message MessageID `json:"message"`
	Outcome Outcome   `json:"outcome"`
	By      AgentID   `json:"by"`
}

// ConsentChanged: the customer wants no more messages, or some again. While
// out, agents and bots cannot post to store-and-forward channels. Body:
// ConsentBody.
type ConsentChanged struct {
	Out bool `json:"out"`
}

// Receipt says that a party has, or has read, everything up to a sequence. Cumulative.
type Receipt struct {
	By        Author `json:"by"`
	Delivered uint64 `json:"delivered,omitempty"`
	Read      uint64 `json:"read,omitempty"`
}
