package conversation

import (
	"encoding/json"
	"time"
)

// Command asks for a change of a conversation. Ids and encoded bodies are made
// by the caller; Decide turns a command into events or an error.
type Command interface{ command() }

// Start opens a conversation (the state must be zero). The first message and
// the first routing request are part of the same decision. Who handles it:
//
//   - outbound or internal: Owner joins at once;
//   - inbound with Owner and Service: the owner is asked first (Rules.OwnerFirst);
//   - inbound with Owner alone (a direct number): parked with that owner (O1);
//   - inbound with Service: a bot if Bot is set, else the service's queue.
type Start struct {
	ID           ConversationID
	Kind         Kind
	Channel      string
	Endpoint     Endpoint
	Contact      ContactID
	Capabilities Capabilities
	ProviderAt   time.Time
	ReceivedAt   time.Time
	Body         json.RawMessage // StartedBody

	Service      ServiceID // zero: no service (then Owner must be set)
	Rules        Rules
	AssignedBody json.RawMessage
	Request      RequestID // used when a service gets it inbound
	Owner        AgentID
	OwnerBody    json.RawMessage

	// Bot lets a bot take part first: there is no routing request until BotLeave.
	Bot bool

	Page  json.RawMessage // PageBody; nil = none
	First *Post           // nil = none
}

// Ref is a message that a Post names, with what the log says of it. Decide keeps no
// list of messages, so whoever makes the Post looks them up.
type Ref struct {
	Message MessageID
	Kind    PartKind // PartEdit, PartRevoke or PartReaction; "" = ReplyTo
	// Author wrote it. The zero Author: it is no message of this conversation, or
	// itself an edit, a revocation or a reaction.
	Author Author
}

// Post adds a message. A customer's message unparks an exchange that has a
// service: its owner is asked first, then the service (N16). An agent or bot must
// have joined. The command is the pointer, which saves a copy; what it points to must
// not change until Decide returns.
type Post struct {
	ID         MessageID
	Author     Author
	ClientID   string
	Kinds      []PartKind
	Blobs      []BlobID
	ReplyTo    MessageID
	Refs       []Ref // what ReplyTo and the parts name; a reference that is not listed is refused
	Endpoint   int
	ProviderAt time.Time
	ReceivedAt time.Time
	Request    RequestID // used if the message must queue the conversation again (parked, owner away)
	OwnerAway  bool      // the owner of a parked exchange is not logged in: recorded as the cause of unparking
	Body       json.RawMessage
}

// SetStatus moves a message's status forward; a step back is no event and no error.
type SetStatus struct {
	Message MessageID
	Status  Status
	Kind    string
	Code    string
	Body    json.RawMessage // StatusBody or nil
}

// Settle: a person says what became of a message whose status is unknown, or
// that it be sent again (PR4). Resending needs an open conversation.
type Settle struct {
	Message MessageID
	Outcome Outcome
	By      AgentID
}

// ChangeConsent records that the customer wants no more messages, or some
// again. What the customer says twice is recorded twice, so that a late repeat
// of the carrier's is known as one. A message does not opt in.
type ChangeConsent struct {
	Out  bool
	Body json.RawMessage // ConsentBody
}

// Mark is a cumulative receipt by who takes or took part, or by the owner for
// whom the exchange waits; what is not ahead of the present mark is no event.
type Mark struct {
	By        Author
	Delivered uint64
	Read      uint64
}

// Visit records the page that the customer has open.
type Visit struct{ Body json.RawMessage }

// UpdateCustomer records what else is known of the customer.
type UpdateCustomer struct{ Body json.RawMessage }

// LinkContact ties the conversation to a known customer.
type LinkContact struct {
	Contact ContactID
	By      Author
}

// AddEndpoint ties another endpoint to the conversation.
type AddEndpoint struct {
	Channel      string
	Endpoint     Endpoint
	Capabilities Capabilities
	Body         json.RawMessage
}

// Touch is customer activity without a message (typing, page): it stops a
// pending inactivity warning (Q3). It makes an event only while a warning is in
// force; the clock itself is moved by State.Touch, which the caller calls on its
// live state afterwards, event or not.
type Touch struct{}

// CustomerEnd: the customer ends the conversation (R1), or is gone (Cause
// customer_left for an unresponsive browser).
type CustomerEnd struct{ Cause Cause }

// Offer presents a queued request to an agent (made by the ACD leader).
type Offer struct {
	Request RequestID
	Offer   OfferID
	Agent   AgentID
	Epoch   int64
}

// Accept takes an offer. Body is the agent's NameBody.
type Accept struct {
	Offer OfferID
	Agent AgentID
	Body  json.RawMessage
	// AssignedBody is used when a transfer hands the conversation to another service.
	AssignedBody json.RawMessage
}

// Join: an agent takes part without an offer: takes a parked exchange up again
// (N6), or comes into somebody else's (N17). It takes a conversation that waits out
// of its queue. Whether the agent may is the caller's to know. Body: NameBody.
type Join struct {
	Agent AgentID
	Body  json.RawMessage
}

// BotJoin: a bot takes part. Body: NameBody.
type BotJoin struct{ Body json.RawMessage }

// BotLeave: the bot hands over or is gone; with nobody else the conversation
// goes to its service's queue.
type BotLeave struct {
	Cause   Cause
	Request RequestID
}

// Decline ends an offer without a join: rejected by the agent, expired, or
// withdrawn (connection, logout). A request returns to its queue with its
// original wait clock (A16); an invitation ends (T5); a reply that its owner
// rejected goes on to the service.
type Decline struct {
	Offer OfferID
	Agent AgentID
	Cause Cause
}

// Invite asks another agent or a directory entry to join (T1-T3). Transfer
// marks that the inviter means to leave.
type Invite struct {
	Request  RequestID
	By       AgentID
	Target   Target
	Transfer bool
	Rules    *Rules // the target service's rules, when it is a service
}

// CancelInvite takes a pending invitation back.
type CancelInvite struct {
	Request RequestID
	By      AgentID
}

// Leave is an agent's End Chat (R2). With another agent joined only this one
// leaves (T2). With a directory or service request pending the conversation
// stays queued (T4). With only an agent invitation pending: ErrInvitePending
// unless Queue is set, which turns the invitation into a service request (T5).
type Leave struct {
	Agent   AgentID
	Queue   bool
	Request RequestID // id for the service request that Queue makes
}

// Requeue takes an agent out who is gone (A20) and queues the conversation
// again, at its original wait clock, unless others go on with it. An exchange of
// a store-and-forward channel, or without a service, is parked with that agent
// instead. For an agent in wrap-up it ends that. Calls stay with their media: the
// caller sends none for them.
type Requeue struct {
	Agent   AgentID
	Cause   Cause // connection, logout
	Request RequestID
}

// FinishWrapup ends an agent's after-call work (R4). Body: WrapupBody or nil.
type FinishWrapup struct {
	Agent       AgentID
	Disposition string
	Cause       Cause
	Body        json.RawMessage
}

// Park sets an asynchronous exchange aside for its owner (N16), who must have
// joined and leaves by it. With another agent joined, or a service's queue still
// being asked, only the owner leaves.
type Park struct {
	Owner AgentID
	Cause Cause
}

// Flag sets or clears the mark for supervisors (H1).
type Flag struct {
	By AgentID
	On bool
}

// End ends the conversation by somebody else's will (supervisor, ban, system).
type End struct {
	By    Author
	Cause Cause
}

// Tick carries out whatever is due at now: expired offers, inactivity, wrap-up
// limits, parking, owner-first waits. It is what timers send. Nothing due is no
// event and no error. Warning is the NoticeBody for an inactivity warning.
type Tick struct {
	Warning json.RawMessage
}

func (Start) command()          {}
func (*Post) command()          {}
func (SetStatus) command()      {}
func (Settle) command()         {}
func (ChangeConsent) command()  {}
func (Mark) command()           {}
func (Visit) command()          {}
func (UpdateCustomer) command() {}
func (LinkContact) command()    {}
func (AddEndpoint) command()    {}
func (Touch) command()          {}
func (CustomerEnd) command()    {}
func (Offer) command()          {}
func (Accept) command()         {}
func (Join) command()           {}
func (BotJoin) command()        {}
func (BotLeave) command()       {}
func (Decline) command()        {}
func (Invite) command()         {}
func (CancelInvite) command()   {}
func (Leave) command()          {}
func (Requeue) command()        {}
func (FinishWrapup) command()   {}
func (Park) command()           {}
func (Flag) command()           {}
func (End) command()            {}
func (Tick) command()           {}
