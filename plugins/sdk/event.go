package sdk

import "time"

// Event is something that happened at the customer's or the provider's side.
type Event struct {
	Account AccountID
	Thread  ThreadID
	// DedupeKey is the provider's id of the event, unique per account for
	// ever: an event that comes again under it is a duplicate. "" = never a
	// repeat, also when the SDK sends it again after a lost Session; leave
	// it empty only where that does no harm.
	DedupeKey    string
	ProviderTime time.Time // when the provider says that it happened; zero = not known
	ReceivedTime time.Time // when the plugin got it; zero in a hook's events = the hook's
	Body         EventBody
}

// EventBody is what happened: Message, LateResult, DeliveryStatus, Receipt,
// Start, Page, End, Left, Attributes, OptOut or Deferred.
type EventBody interface{ isEventBody() }

// Message is a message from the customer.
type Message struct {
	ClientID    string // made by the sender's own device, at most 64 bytes; comes back in the record
	From        Address
	Parts       []Part
	ReplyTo     MessageID // "" = none
	ProviderIDs []string  // under which the provider may later speak of it
}

// LateResult moves a command's state forward after Send has returned, for
// example from UNKNOWN.
type LateResult struct {
	Command CommandID
	Result  Result
}

// DeliveryStatus is what the provider says later of a message.
type DeliveryStatus struct {
	ProviderID string // "" only with a Command
	Status     MessageStatus
	Code       string // the provider's own; "" = none
	Text       string
	// Command is the one that sent it, where the provider hands a reference of
	// ours back: it settles an unknown outcome, and binds ProviderID to the
	// message. "" = not known.
	Command CommandID
}

// MessageStatus only moves forward.
type MessageStatus int

// States of a message as a provider reports them.
const (
	StatusSent MessageStatus = iota + 1
	StatusDelivered
	StatusRead
	StatusFailed
)

// Receipt says what a connected customer has and has read: everything up to
// a sequence. Cumulative.
type Receipt struct {
	Conversation ConversationID
	DeliveredSeq uint64
	ReadSeq      uint64
}

// Start is a customer's request for a conversation, with the request form.
type Start struct {
	From       Address
	FirstName  string
	LastName   string
	Email      string
	Phone      string
	Locale     string // BCP 47
	Subject    string
	Parts      []Part // the first message; none = no message yet
	ClientID   string // of the first message
	Page       *Page  // nil = not known
	Attributes []Attribute
}

// Attribute is a named value that the channel knows of the customer.
type Attribute struct{ Name, Value string }

// Attributes adds to what is known of the customer.
type Attributes struct{ Attributes []Attribute }

// Page is the page that the customer has open.
type Page struct{ URL, Title string }

// OptOut says that the customer wants no more messages on this thread, or
// some again (Out is false). The provider has answered the customer itself and
// blocks what is sent meanwhile.
type OptOut struct {
	Out     bool
	Keyword string // as the customer wrote it: "STOP"
}

// End is the customer's end of the conversation.
type End struct{}

// Left says that the customer is gone without having said so.
type Left struct{ Reason string }

// Deferred makes raw input durable before it is understood. Its DedupeKey must
// be neither the key nor a provider id of what it becomes: that would be taken
// for a repeat. Opaque comes
// back in a ProcessCommand.
type Deferred struct{ Opaque []byte }

func (Message) isEventBody()        {}
func (LateResult) isEventBody()     {}
func (DeliveryStatus) isEventBody() {}
func (Receipt) isEventBody()        {}
func (Start) isEventBody()          {}
func (Attributes) isEventBody()     {}
func (OptOut) isEventBody()         {}
func (Page) isEventBody()           {}
func (End) isEventBody()            {}
func (Left) isEventBody()           {}
func (Deferred) isEventBody()       {}
