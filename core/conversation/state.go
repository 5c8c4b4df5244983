package conversation

import "time"

// Phase is the coarsest part of the state (DESIGN.md 3).
type Phase string

// Phases. Ended releases the thread at once; concluded means that every
// agent's wrap-up is done.
const (
	PhaseOpen      Phase = "open"
	PhaseEnded     Phase = "ended"
	PhaseConcluded Phase = "concluded"
)

// ParticipantState is an agent's part in the conversation.
type ParticipantState string

// Participant states.
const (
	Joined ParticipantState = "joined"
	Wrapup ParticipantState = "wrapup"
	Left   ParticipantState = "left"
)

// Participant is an agent or bot that takes or took part. An agent who comes
// back reuses the entry.
type Participant struct {
	Who         Author           `json:"who"`
	State       ParticipantState `json:"state"`
	JoinedAt    time.Time        `json:"joined_at,omitzero"`
	JoinedSeq   uint64           `json:"joined_seq,omitempty"`  // sequence of the event by which a bot joined; 0 for others
	WrapupUntil time.Time        `json:"wrapup_until,omitzero"` // zero: the after-call work has no limit
	Mode        Mode             `json:"mode,omitempty"`        // mode of a supervisor, while State is Joined
}

// RequestState says whether a routing request waits or is being offered.
type RequestState string

// Request states.
const (
	Queued  RequestState = "queued"
	Offered RequestState = "offered"
)

// Request is a live routing request.
type Request struct {
	ID           RequestID    `json:"id"`
	Target       Target       `json:"target"`
	State        RequestState `json:"state"`
	Cause        Cause        `json:"cause"`
	InvitedBy    AgentID      `json:"invited_by,omitzero"`
	WaitingSince time.Time    `json:"waiting_since"`
	DeclinedBy   []AgentID    `json:"declined_by,omitempty"`
	Offer        OfferID      `json:"offer,omitzero"`
	Agent        AgentID      `json:"agent,omitzero"` // the agent to whom it is being offered
	ExpiresAt    time.Time    `json:"expires_at,omitzero"`
	Rules        *Rules       `json:"rules,omitempty"` // the target service's rules, if they are not the conversation's own
}

// AddedEndpoint is what the state knows of an endpoint that was added later.
type AddedEndpoint struct {
	Channel      string       `json:"channel"`
	Capabilities Capabilities `json:"capabilities"`
}

// Parking says to whom the idle exchange belongs, also after it has ended as idle.
type Parking struct {
	Owner AgentID   `json:"owner"`
	Since time.Time `json:"since"`
}

// PendingMessage is an outgoing message of a store-and-forward channel whose status is followed:
// its status is not final, or it is a recent message.
type PendingMessage struct {
	ID     MessageID `json:"id"`
	Seq    uint64    `json:"seq"`
	Status Status    `json:"status"`
}

// Unread counts messages that wait in an agent's Recent: the customer wrote them while the exchange
// was parked with that agent, or while a reply waited for its owner (O1, N16). It is removed when
// the owner has seen the newest message, when an agent joins, and when the conversation ends. But
// if the conversation ends as idle it stays, and the conversation is concluded only after the owner
// has seen the messages.
type Unread struct {
	Owner AgentID   `json:"owner"`
	Count int       `json:"count"`
	At    time.Time `json:"at"`  // when the newest one came
	Seq   uint64    `json:"seq"` // sequence of the newest one
}

// ReadMark says up to which sequences a party has received and read the events. Cumulative.
type ReadMark struct {
	By        Author `json:"by"`
	Delivered uint64 `json:"delivered,omitempty"`
	Read      uint64 `json:"read,omitempty"`
}

// State is the fold over a conversation's events: heads only, so it holds no
// personal data and is stored in clear as the conversation's row. A State is
// owned by one goroutine at a time; Clone makes an independent copy.
type State struct {
	ID           ConversationID   `json:"id"`
	Seq          uint64           `json:"seq"`
	Kind         Kind             `json:"kind"`
	Channel      string           `json:"channel"`
	Phase        Phase            `json:"phase"`
	Capabilities Capabilities     `json:"capabilities"`
	Endpoints    []Endpoint       `json:"endpoints"`
	Added        []AddedEndpoint  `json:"added,omitempty"` // for Endpoints[1:], in the same order
	Service      ServiceID        `json:"service,omitzero"`
	Rules        Rules            `json:"rules"`
	Contact      ContactID        `json:"contact,omitzero"`
	StartedAt    time.Time        `json:"started_at"`
	EndedAt      time.Time        `json:"ended_at,omitzero"`
	EndCause     Cause            `json:"end_cause,omitempty"`
	EndedBy      Author           `json:"ended_by,omitzero"`
	Participants []Participant    `json:"participants,omitempty"`
	Requests     []Request        `json:"requests,omitempty"`
	Parking      *Parking         `json:"parking,omitempty"`
	Unread       *Unread          `json:"unread,omitempty"` // is replaced as a whole, never changed in place
	OptedOut     bool             `json:"opted_out,omitempty"`
	Flagged      bool             `json:"flagged,omitempty"`
	Marks        []ReadMark       `json:"marks,omitempty"`
	Pending      []PendingMessage `json:"pending,omitempty"`
	Windows      []ReplyWindow    `json:"windows,omitempty"`     // of endpoints whose provider has said something of them
	Sessions     []Session        `json:"sessions,omitempty"`    // calls and tools that have not ended
	EndedTools   []EndedTool      `json:"ended_tools,omitempty"` // the last 8 at most, oldest first; tools that have ended may still have a last line

	// Times from which the inactivity rules count.
	CustomerAt time.Time `json:"customer_at,omitzero"` // the customer's last activity (Q3)
	AgentAt    time.Time `json:"agent_at,omitzero"`    // the last message of an agent
	ActivityAt time.Time `json:"activity_at,omitzero"` // the last message of anybody (parking)
	WarnedAt   time.Time `json:"warned_at,omitzero"`   // when the inactivity warning in force was sent
	AttendedAt time.Time `json:"attended_at,omitzero"` // since when at least one agent has been there; zero: no agent has joined
	BotAsked   time.Time `json:"bot_asked,omitzero"`   // since when the bot owes the customer an answer; zero: it does not
	Answered   bool      `json:"answered,omitempty"`   // the customer has answered a conversation that an agent started

	// WaitedSince is when the waiting began that ended as an agent last joined: a conversation that
	// is queued again keeps this waiting time (A20). Zero: StartedAt.
	WaitedSince time.Time `json:"waited_since,omitzero"`

	// LastVisible is the last sequence that each audience could see, indexed
	// by Audience: the `prev` of the next frame (DESIGN.md 3).
	LastVisible ByAudience `json:"last_visible"`

	// touched is the customer's last sign of life that has no event; see Touch.
	touched time.Time
}
