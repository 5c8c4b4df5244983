package sdk

import "time"

// Event is something that the customer did or the provider reports.
type Event struct {
	Account AccountID
	Thread  ThreadID
	// DedupeKey is the provider's id of the event, unique per account for ever: a later event with
	// the same key is a duplicate, and so is a later message with one of the same ProviderIDs.
	// "" = the event is never recognised as a duplicate, even when the SDK sends it again after a
	// lost Session; leave it empty only where a duplicate does no harm.
	DedupeKey    string
	ProviderTime time.Time // when it happened, as the provider says; zero = not known
	ReceivedTime time.Time // when the plugin got it; zero in an event of a hook = when the hook came
	Body         EventBody
}

// EventBody is what happened: Message, LateResult, DeliveryStatus, Receipt, Start, Page, End, Left,
// Attributes, OptOut or Deferred. Of minor 1 are ReplyWindow; CustomerTool, CustomerCall, Satisfaction
// and FormAnswer; CallIncoming, CallLeg, CallDigits, CallRecording, CallState, CallPlayed and
// CallEnded; ToolEvent; BotPost, BotHandOver, BotEnd and BotAttributes. Emit fails for these with
// ErrHostTooOld where the host has minor 0.
type EventBody interface{ isEventBody() }

// Message is a message from the customer.
type Message struct {
	ClientID    string // made by the sender's device, at most 64 bytes; records of the message contain it
	From        Address
	Parts       []Part
	ReplyTo     MessageID // the message that it answers; "" = none
	ProviderIDs []string  // the ids by which the provider may refer to it later
	// ReplyToProviderID is the provider's id of the message that it answers, where ReplyTo is not
	// known. If the host cannot resolve it, the message is shown as a plain one.
	ReplyToProviderID string
}

// LateResult reports a command's outcome after Send has returned, for example when the outcome was
// UNKNOWN.
type LateResult struct {
	Command CommandID
	Result  Result
}

// DeliveryStatus is the provider's later report on a message.
type DeliveryStatus struct {
	ProviderID string // may be "" only if Command is set
	Status     MessageStatus
	Code       string // the provider's own code; "" = none
	Text       string
	// Command is the command that sent the message, if the provider returns a reference that the
	// plugin gave it: it settles an unknown outcome, and tells the host that ProviderID is this
	// message. "" = not known.
	Command CommandID
}

// MessageStatus is how far a message got; a report that would move it backwards is ignored.
type MessageStatus int

// Statuses of a message that a provider reports.
const (
	StatusSent MessageStatus = iota + 1
	StatusDelivered
	StatusRead
	StatusFailed
)

// Receipt says up to which sequence number a connected customer has received and read the
// conversation. It covers everything before that number. On a store-and-forward channel it says so by
// the provider's ids of the last messages, and Conversation is "" (minor 1).
type Receipt struct {
	Conversation        ConversationID
	DeliveredSeq        uint64
	ReadSeq             uint64
	DeliveredProviderID string
	ReadProviderID      string
}

// Start is a customer's request for a conversation, with the request form.
type Start struct {
	From       Address
	FirstName  string
	LastName   string
	Email      string
	Phone      string
	Locale     string // the customer's language, BCP 47
	Subject    string
	Parts      []Part // the first message; none = no message yet
	ClientID   string // client id of the first message
	Page       *Page  // the page that the customer has open; nil = not known
	Attributes []Attribute
}

// Attribute is a named value that the channel knows about the customer.
type Attribute struct{ Name, Value string }

// Attributes adds to what is known about the customer.
type Attributes struct{ Attributes []Attribute }

// Page is the page that the customer has open.
type Page struct{ URL, Title string }

// OptOut says that the customer wants no more messages on this thread, or wants them again (Out is
// false). The provider has answered the customer itself, and blocks messages sent while the
// customer is opted out.
type OptOut struct {
	Out     bool
	Keyword string // as the customer wrote it: "STOP"
}

// End says that the customer has ended the conversation.
type End struct{}

// Left says that the customer is gone without having ended the conversation.
type Left struct{ Reason string }

// Deferred makes raw input durable before the plugin has interpreted it. Opaque comes back in a
// ProcessCommand. Its DedupeKey must be neither the key nor a provider id of the event that it
// becomes later: that event would be taken for a repeat.
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
