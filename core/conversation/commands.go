package conversation

import (
	"encoding/json"
	"time"
)

// Command asks for a change of a conversation. Ids and encoded bodies are made
// by the caller; Decide turns a command into events or an error.
type Command interface{ command() }

// Start opens a conversation (the state must be zero). The first message and the first routing
// request are part of the same decision. Who handles the conversation:
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
	Body         json.RawMessage // a StartedBody

	Service      ServiceID // zero: no service (then Owner must be set)
	Rules        Rules
	AssignedBody json.RawMessage
	Request      RequestID // id for the routing request, if an inbound conversation goes to a service
	Owner        AgentID
	OwnerBody    json.RawMessage

	// Bot makes a bot take part first: there is no routing request until BotLeave. Zero: no bot.
	Bot     AccountID
	BotBody json.RawMessage // NameBody

	Page  json.RawMessage // a PageBody; nil = no page is known
	First *Post           // the first message; nil = none
}

// Ref describes a message that a Post refers to, as the log has it. Decide keeps no list of
// messages, so the caller who makes the Post looks them up.
type Ref struct {
	Message MessageID
	Kind    PartKind // PartEdit, PartRevoke or PartReaction; "" = the message is named by ReplyTo
	// Author wrote the message. The zero Author means that no such message is in this conversation,
	// or that the message is itself an edit, a revocation or a reaction.
	Author Author
}

// Post adds a message. A customer's message unparks an exchange that has a service: its owner is
// asked first, then the service (N16). An agent or bot must have joined. The command is passed as a
// pointer, which saves a copy; what it points to must not change until Decide returns.
type Post struct {
	ID         MessageID
	Author     Author
	ClientID   string
	Kinds      []PartKind
	Blobs      []BlobID
	ReplyTo    MessageID
	Refs       []Ref // the messages that ReplyTo and the parts refer to; a reference to a message not listed is refused
	Endpoint   int
	ProviderAt time.Time
	ReceivedAt time.Time
	Request    RequestID // id for a routing request, if the message queues a parked exchange again
	OwnerAway  bool      // the parked exchange's owner is not logged in; this becomes the cause of the unparking
	Body       json.RawMessage
}

// SetStatus moves a message's status forward; a step back makes no event and is no error.
type SetStatus struct {
	Message MessageID
	Status  Status
	Kind    string
	Code    string
	Body    json.RawMessage // a StatusBody, or nil
	// Named, a NamedBody, has ids of the message that the log does not have yet. They are written even if
	// the status makes no step forward; nil: there are none beside those of Body.
	Named json.RawMessage
	// Through is the sequence of the message when Status, delivered or read, holds for all that was sent
	// before it, too; 0: Status is that of the message alone. Then the message need not be followed.
	Through uint64
}

// Settle: a person says what became of a message whose status is unknown, or asks for it to be sent
// again (PR4). Sending again needs an open conversation.
type Settle struct {
	Message MessageID
	Outcome Outcome
	By      AgentID
}

// ChangeConsent records that the customer wants no more messages, or wants them again. The same
// choice is recorded each time it is made, so that a late repeat by the carrier is recognised as
// one. A message from the customer does not change the consent.
type ChangeConsent struct {
	Out  bool
	Body json.RawMessage // a ConsentBody
}

// Mark is a cumulative receipt by a party who takes or took part, or by the owner for whom the
// exchange is kept. If it is not beyond the party's present mark, there is no event.
type Mark struct {
	By        Author
	Delivered uint64
	Read      uint64
}

// SetReplyWindow says until when the customer may be written to freely. It replaces what the capabilities
// give by themselves. One that the provider said before the last one changes nothing.
type SetReplyWindow struct {
	Endpoint   int       // of the conversation
	Expires    time.Time // zero: no window is open
	ProviderAt time.Time // when the provider said so; zero: not known
}

// Visit records the page that the customer has open now.
type Visit struct{ Body json.RawMessage }

// UpdateCustomer records further facts about the customer.
type UpdateCustomer struct{ Body json.RawMessage }

// LinkContact ties the conversation to a known customer.
type LinkContact struct {
	Contact ContactID
	By      Author
}

// AddEndpoint ties another endpoint to the conversation. The conversation's rules stay, whatever the
// medium of the endpoint is: they are those of the channel on which it began.
type AddEndpoint struct {
	Channel      string
	Endpoint     Endpoint
	Capabilities Capabilities
	Body         json.RawMessage
}

// Touch is customer activity without a message (typing, page): it cancels an inactivity warning
// (Q3). It makes an event only while a warning is in force. In every case the caller then calls
// State.Touch on its live state, which restarts the inactivity time.
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

// Accept accepts an offer. Body is the agent's NameBody.
type Accept struct {
	Offer OfferID
	Agent AgentID
	Body  json.RawMessage
	// AssignedBody is used when a transfer hands the conversation to another service.
	AssignedBody json.RawMessage
}

// Join: an agent takes part without an offer, either taking a parked exchange up again (N6) or
// joining another agent's conversation (N17). A waiting conversation leaves its queue. The caller
// must check whether the agent may join. Body: NameBody.
type Join struct {
	Agent AgentID
	Body  json.RawMessage
}

// BotJoin: a bot takes part. Body: NameBody.
type BotJoin struct {
	Bot  AccountID
	Body json.RawMessage
}

// BotLeave: the bot hands over or is gone; if nobody else takes part, the conversation goes to its
// service's queue, or ends if it has no service.
type BotLeave struct {
	Bot     AccountID // zero: the bot that takes part
	Cause   Cause
	Request RequestID
	// Service and Rules name another service whose queue gets the conversation; zero: its own.
	Service ServiceID
	Rules   *Rules
	// End makes the bot end the conversation in place of handing it over.
	End bool
	// Note is what the bot tells agents as it leaves: a MessageBody, and the id of its Note; nil: nothing.
	Note   json.RawMessage
	NoteID MessageID
}

// Decline ends an offer without a join: rejected by the agent, expired, or withdrawn (connection,
// logout). The request returns to its queue and keeps its waiting time (A16); an invitation ends
// (T5); a reply that its owner rejected goes on to the service.
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
	Rules    *Rules // the target service's rules for the conversation's medium, when it is a service
}

// CancelInvite withdraws a pending invitation.
type CancelInvite struct {
	Request RequestID
	By      AgentID
}

// Leave is an agent's End Chat (R2). If another agent has joined, only this agent leaves (T2). If a
// directory or service request is pending, the conversation stays queued (T4). If only an agent's
// invitation is pending, the result is ErrInvitePending unless Queue is set, which turns the
// invitation into a service request (T5).
type Leave struct {
	Agent   AgentID
	Queue   bool
	Request RequestID // id for the service request that Queue makes
}

// Requeue takes out an agent who is gone (A20). Unless others go on with the conversation it is
// queued again with its waiting time kept. An exchange of a store-and-forward channel, or without a
// service, is parked with that agent instead. An agent's after-call work is ended. A call stays
// with the node that carries its media: while one is active and nobody else goes on with the
// conversation, ErrCallActive.
type Requeue struct {
	Agent   AgentID
	Cause   Cause // connection or logout
	Request RequestID
}

// FinishWrapup ends an agent's after-call work (R4). Body: WrapupBody or nil.
type FinishWrapup struct {
	Agent       AgentID
	Disposition string
	Cause       Cause
	Body        json.RawMessage
}

// Park sets an asynchronous exchange aside for its owner (N16). The owner must have joined and
// leaves with this command. If another agent has joined, or a service's queue is still being asked,
// only the owner leaves and nothing is parked.
type Park struct {
	Owner AgentID
	Cause Cause
}

// Flag sets or clears the mark for supervisors (H1).
type Flag struct {
	By AgentID
	On bool
}

// End ends the conversation on behalf of a party other than its agent or customer (supervisor, ban,
// system).
type End struct {
	By    Author
	Cause Cause
}

// RequestSession asks for a call or a tool. Whether the account may be used, and By
// may use it, is the caller's to know. The same session asked for again is no event.
type RequestSession struct {
	Session  SessionID
	Kind     SessionKind
	Plugin   string
	Account  AccountID
	Pin      Pin // zero: no process holds the session yet
	By       Author
	For      Author
	Audience Audience // the widest audience that learns of the session
}

// ChangeSession moves a session forward, or names the process that holds it by now.
// A state that it has passed is no event and no error.
type ChangeSession struct {
	Session SessionID
	State   SessionState // "": unchanged
	Pin     Pin          // zero: unchanged
}

// EndSession ends a call or a tool.
type EndSession struct {
	Session SessionID
	By      Author
	Cause   Cause  // "": finished
	Code    string // the provider's code
}

// LoseSessions ends all sessions that a process held which is gone: of one plugin
// instance, or, with no instance named, of a whole node. Others go on, and so does the
// conversation.
type LoseSessions struct {
	Pin     Pin
	Session SessionID // only this one; zero: all that Pin holds
}

// SetLeg tells how a leg of a call is now. News that are older than what is known of
// the leg are no event and no error. Body: NameBody, the name of the leg's party; nil: not known.
type SetLeg struct {
	Session SessionID
	Leg     Leg
	Body    json.RawMessage
}

// ShowPanel gives a tool's panel a new revision; an older one is no event. Body: PanelBody.
type ShowPanel struct {
	Session  SessionID
	Revision uint64
	Body     json.RawMessage
}

// Tick carries out whatever is due at now: expired offers, inactivity, wrap-up limits, parking,
// owner-first waits. Timers send it. If nothing is due there is no event and no error. Warning is
// the NoticeBody for an inactivity warning.
type Tick struct {
	Warning json.RawMessage
	Request RequestID // id for the routing request, if a bot was silent for too long
}

func (Start) command()          {}
func (*Post) command()          {}
func (SetStatus) command()      {}
func (Settle) command()         {}
func (ChangeConsent) command()  {}
func (Mark) command()           {}
func (Visit) command()          {}
func (SetReplyWindow) command() {}
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
func (RequestSession) command() {}
func (ChangeSession) command()  {}
func (EndSession) command()     {}
func (LoseSessions) command()   {}
func (SetLeg) command()         {}
func (ShowPanel) command()      {}
