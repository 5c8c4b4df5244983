package conversation

import (
	"encoding/json"
	"math"
	"time"
)

// Type is an event type, "name/version". Versions are never changed once
// released; testdata/events keeps one golden of each.
type Type string

// Event types of a conversation's stream; types.go lists the properties of each.
const (
	TypeStarted           Type = "conversation.started/1"
	TypeAssigned          Type = "service.assigned/1"
	TypeEndpointAdded     Type = "endpoint.added/1"
	TypeCustomerUpdated   Type = "customer.updated/1"
	TypeContactLinked     Type = "contact.linked/1"
	TypePageVisited       Type = "page.visited/1"
	TypeMessage           Type = "message/1"
	TypeMessageStatus     Type = "message.status/1"
	TypeReceipt           Type = "receipt/1"
	TypeRoutingRequested  Type = "routing.requested/1"
	TypeRoutingOffered    Type = "routing.offered/1"
	TypeRoutingDeclined   Type = "routing.declined/1"
	TypeRoutingCancelled  Type = "routing.cancelled/1"
	TypeParticipantJoined Type = "participant.joined/1"
	TypeParticipantLeft   Type = "participant.left/1"
	TypeJoinedBy          Type = "routing.accepted/1"
	TypeWrapupStarted     Type = "wrapup.started/1"
	TypeWrapupEnded       Type = "wrapup.ended/1"
	TypeInactivityWarned  Type = "inactivity.warned/1"
	TypeInactivityOff     Type = "inactivity.cancelled/1"
	TypeParked            Type = "conversation.parked/1"
	TypeUnparked          Type = "conversation.unparked/1"
	TypeFlagSet           Type = "flag.set/1"
	TypeFlagCleared       Type = "flag.cleared/1"
	TypeEnded             Type = "conversation.ended/1"
	TypeConcluded         Type = "conversation.concluded/1"
	TypeConsentChanged    Type = "consent.changed/1"
	TypeMessageSettled    Type = "message.settled/1"
)

// Head is the part of an event that Decide and Apply read: ids, kinds and
// times, never personal data. Its JSON is stored in clear.
type Head interface {
	// Type is the event's type.
	Type() Type
	// Audience is the widest circle that may see the event.
	Audience() Audience
}

// Event is one fact. Body is the JSON that the router made before Decide (see bodies.go for the
// shapes); the log stores it sealed and this package never reads it. Nil means that the event has
// no body.
type Event struct {
	Seq  uint64
	At   time.Time
	Head Head
	Body json.RawMessage
}

// AuthorKind tells who speaks or acts.
type AuthorKind string

// The kinds of authors and participants.
const (
	Customer   AuthorKind = "customer"
	Agent      AuthorKind = "agent"
	Supervisor AuthorKind = "supervisor"
	Bot        AuthorKind = "bot"
	System     AuthorKind = "system"
	Outside    AuthorKind = "outside" // somebody outside who is not the customer; only as the party of a call's leg
)

// Author names who wrote or did something. Agent is set for agents and supervisors.
type Author struct {
	Kind  AuthorKind `json:"kind"`
	Agent AgentID    `json:"agent,omitzero"`
	Bot   AccountID  `json:"bot,omitzero"` // the account of a bot
}

// Endpoint is one of the customer's addresses on an account, as a keyed HMAC; the clear address is
// in the sealed body.
type Endpoint struct {
	Account AccountID `json:"account"`
	Thread  string    `json:"thread"` // hex of the thread key's HMAC-SHA-256
}

// Kind tells how a conversation came about.
type Kind string

// The kinds of conversations.
const (
	Inbound  Kind = "inbound"
	Outbound Kind = "outbound"
	Internal Kind = "internal"
)

// Started opens a conversation. Body: StartedBody.
type Started struct {
	ID           ConversationID `json:"id"`
	Kind         Kind           `json:"kind"`
	Channel      string         `json:"channel"` // plugin id
	Endpoint     Endpoint       `json:"endpoint"`
	Contact      ContactID      `json:"contact,omitzero"`
	Capabilities Capabilities   `json:"capabilities"`
	ProviderAt   time.Time      `json:"provider_at,omitzero"`
	ReceivedAt   time.Time      `json:"received_at,omitzero"`
}

// Assigned gives the conversation to a service. The service's rules are stored with it, so that a
// replay decides by the rules of that time. Body: AssignedBody.
type Assigned struct {
	Service ServiceID `json:"service"`
	Rules   Rules     `json:"rules"`
}

// Rules are a service's settings for the medium of the conversation's channel, at the time of
// assignment. Durations are in JSON as integer milliseconds; zero switches the rule off.
type Rules struct {
	OfferTimeout      Millis `json:"offer_timeout,omitempty"`      // A8
	InactivityWarn    Millis `json:"inactivity_warn,omitempty"`    // Q1, Q3: after the customer's last activity; 0 = half of InactivityEnd, negative = no warning
	InactivityEnd     Millis `json:"inactivity_end,omitempty"`     // Q2: after the customer's last activity
	UnansweredEnd     Millis `json:"unanswered_end,omitempty"`     // Q3: the agent wrote first and the customer has not answered
	WrapupLimit       Millis `json:"wrapup_limit,omitempty"`       // R3, R4: time for after-call work; 0 = none, negative = without limit
	RequeueAfter      Millis `json:"requeue_after,omitempty"`      // A20: how long after the loss of an agent's connection the conversation is queued again
	ParkAfter         Millis `json:"park_after,omitempty"`         // N16: an asynchronous exchange is parked when it was idle for this long
	OwnerFirst        Millis `json:"owner_first,omitempty"`        // N16: how long a reply waits for the owner; 0 = straight to the queue
	ParkedEnd         Millis `json:"parked_end,omitempty"`         // N7: an idle exchange that only its owner or a bot keeps ends after this time; 0 = DefaultParkedEnd, negative = never
	DispositionNeeded bool   `json:"disposition_needed,omitempty"` // R4: enforced when wrap-up is finished by hand
	Medium            string `json:"medium,omitempty"`             // capacity class, of which several mediums may be; "" = chat
	Share             int    `json:"share,omitempty"`              // percent of an agent's capacity (A18)
	Spare             int    `json:"spare,omitempty"`              // percent of an agent's capacity that must be free before the offer (A18)
	Skills            string `json:"skills,omitempty"`             // canonical skill set: sorted, comma-separated names
	BotSilence        Millis `json:"bot_silence,omitempty"`        // A17: how long a bot may leave the customer without an answer; 0 = DefaultBotSilence, negative = for ever
	Priority          int    `json:"priority,omitempty"`           // seconds added to the waiting time in the queue's order
}

// DefaultParkedEnd is how long an exchange that is parked, that only a bot handles or that has no
// service may be idle before it ends, if its rules do not say. A direct number has no rules, and
// services stored before this rule existed do not have it.
const DefaultParkedEnd Millis = 7 * 24 * 3_600_000

// DefaultBotSilence is how long a bot may leave the customer without an answer, where its rules do
// not say: then the service's queue gets the conversation.
const DefaultBotSilence Millis = 60_000

// Millis is a duration in whole milliseconds.
type Millis int64

// Duration converts; a value too long for a time.Duration becomes the longest one.
func (m Millis) Duration() time.Duration {
	const most = Millis(math.MaxInt64 / int64(time.Millisecond))
	return time.Duration(min(max(m, -most), most)) * time.Millisecond
}

// EndpointAdded ties a further endpoint to the conversation (a text beside a call).
// Body: EndpointBody.
type EndpointAdded struct {
	Channel      string       `json:"channel"`
	Endpoint     Endpoint     `json:"endpoint"`
	Capabilities Capabilities `json:"capabilities"`
}

// CustomerUpdated adds facts about the customer. Body: CustomerBody.
type CustomerUpdated struct{}

// ContactLinked ties the conversation to a known customer.
type ContactLinked struct {
	Contact ContactID `json:"contact"`
	By      Author    `json:"by"`
}

// PageVisited names the page that the customer has open (B5). Body: PageBody.
type PageVisited struct{}

// TargetKind tells what a routing request looks for.
type TargetKind string

// The kinds of routing targets.
const (
	TargetService   TargetKind = "service"
	TargetAgent     TargetKind = "agent"
	TargetDirectory TargetKind = "directory"
)

// Target is what a routing request looks for. Directory targets name a
// service in the directory whose queue they wait in (T3, T4).
type Target struct {
	Kind    TargetKind `json:"kind"`
	Service ServiceID  `json:"service,omitzero"`
	Agent   AgentID    `json:"agent,omitzero"`
}

// Cause tells why something happened; a published list that only grows.
type Cause string

// Causes.
const (
	CauseStart        Cause = "start"
	CauseTransfer     Cause = "transfer"
	CauseInvite       Cause = "invite"
	CauseRequeue      Cause = "requeue"
	CauseReply        Cause = "reply" // a reply to a parked exchange
	CauseAccepted     Cause = "accepted"
	CauseRejected     Cause = "rejected"
	CauseExpired      Cause = "expired"
	CauseWithdrawn    Cause = "withdrawn"
	CauseConnection   Cause = "connection"
	CauseLogout       Cause = "logout"
	CauseCustomerLeft Cause = "customer_left"
	CauseCustomer     Cause = "customer"
	CauseAgent        Cause = "agent"
	CauseSupervisor   Cause = "supervisor"
	CauseInactivity   Cause = "inactivity"
	CauseUnanswered   Cause = "unanswered"
	CauseAbandoned    Cause = "abandoned" // the customer left before an agent joined
	CauseEnded        Cause = "ended"
	CauseFinished     Cause = "finished"
	CauseCancelled    Cause = "cancelled"
	CauseIdle         Cause = "idle"
	CauseManual       Cause = "manual"
	CauseOwnerAway    Cause = "owner_away"
	CauseSystem       Cause = "system"
	CauseBan          Cause = "ban"
	CauseBot          Cause = "bot"
	CauseHangup       Cause = "hangup"
	CauseBusy         Cause = "busy"
	CauseNoAnswer     Cause = "no_answer"
	CauseLost         Cause = "lost"   // the process that held a session is gone
	CauseFailed       Cause = "failed" // the provider's or the plugin's failure
)

// RoutingRequested asks for an agent to take part. InvitedBy marks an invitation (transfer,
// conference): declining an invitation that names an agent never changes the invitee's state (T6).
// If the id is that of a live request, that request gets a new target: a reply that its owner did
// not take goes on to the service's queue (N16).
type RoutingRequested struct {
	Request      RequestID `json:"request"`
	Target       Target    `json:"target"`
	Cause        Cause     `json:"cause"`
	InvitedBy    AgentID   `json:"invited_by,omitzero"`
	WaitingSince time.Time `json:"waiting_since"` // when the customer began to wait; kept when the request is queued again (A16)
	DeclinedBy   []AgentID `json:"declined_by,omitempty"`
	Rules        *Rules    `json:"rules,omitempty"` // the target service's rules, if they are not the conversation's own
}

// RoutingOffered presents a request to one agent. Its times are UTC.
type RoutingOffered struct {
	Request   RequestID `json:"request"`
	Offer     OfferID   `json:"offer"`
	Agent     AgentID   `json:"agent"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Invite    bool      `json:"invite,omitempty"`
	Epoch     int64     `json:"epoch,omitempty"` // lease epoch of the ACD leader that made the offer
}

// RoutingDeclined ends an offer without a join: rejected, expired, withdrawn (connection, logout).
// The request returns to its queue and keeps its waiting time; an invitation ends.
type RoutingDeclined struct {
	Request RequestID `json:"request"`
	Offer   OfferID   `json:"offer"`
	Agent   AgentID   `json:"agent"`
	Cause   Cause     `json:"cause"`
}

// RoutingCancelled ends a request, together with its offer if it is being offered.
type RoutingCancelled struct {
	Request RequestID `json:"request"`
	Offer   OfferID   `json:"offer,omitzero"`
	Agent   AgentID   `json:"agent,omitzero"` // the agent to whom it was offered
	Cause   Cause     `json:"cause"`
}

// ParticipantJoined: an agent or bot takes part. Body: NameBody (display name).
type ParticipantJoined struct {
	Who Author `json:"who"`
}

// ParticipantLeft: an agent or bot no longer takes part.
type ParticipantLeft struct {
	Who   Author `json:"who"`
	Cause Cause  `json:"cause"`
}

// JoinedBy says through which offer an agent joined. It is a separate event from ParticipantJoined
// because customers see ParticipantJoined.
type JoinedBy struct {
	Agent   AgentID   `json:"agent"`
	Request RequestID `json:"request"`
	Offer   OfferID   `json:"offer"`
}

// WrapupStarted: an agent's after-call work begins.
type WrapupStarted struct {
	Agent AgentID   `json:"agent"`
	Until time.Time `json:"until,omitzero"` // zero: the after-call work has no limit
}

// WrapupEnded: an agent's after-call work is done. Body: WrapupBody (notes).
type WrapupEnded struct {
	Agent       AgentID `json:"agent"`
	Disposition string  `json:"disposition,omitempty"` // code from the service's list
	Cause       Cause   `json:"cause"`                 // finished, expired, logout
}

// InactivityWarned asks an idle customer to respond (Q1). Body: NoticeBody.
type InactivityWarned struct {
	EndsAt time.Time `json:"ends_at,omitzero"`
}

// InactivityCancelled cancels a warning because the customer did something other than writing (Q3).
// A message by the customer cancels the warning without this event.
type InactivityCancelled struct{}

// Parked: the exchange is idle and set aside for its owner; it uses no capacity (N16).
type Parked struct {
	Owner AgentID `json:"owner"`
	Cause Cause   `json:"cause"`
}

// Unparked: the parked exchange is active again, usually because somebody wrote.
type Unparked struct {
	Owner AgentID `json:"owner"`
	Cause Cause   `json:"cause"`
}

// FlagSet marks a conversation for supervisors to see (H1).
type FlagSet struct {
	By AgentID `json:"by"`
}

// FlagCleared removes the supervisors' mark.
type FlagCleared struct {
	By AgentID `json:"by"`
}

// Ended ends the conversation: its thread is free at once, and nobody can post any more.
type Ended struct {
	By    Author `json:"by"`
	Cause Cause  `json:"cause"`
}

// Concluded: every agent's wrap-up is done; masks are final (L8).
type Concluded struct{}
