package conversation

import "time"

// SessionKind tells what a session inside a conversation is (DESIGN.md 3).
type SessionKind string

// The kinds of sessions.
const (
	SessionCall SessionKind = "call" // people talk; the media never come near the core
	SessionTool SessionKind = "tool" // co-browse, remote assistance, a form
)

// SessionState is how far a session has come. It only moves forward. There is no state
// for the end: a session that has ended is taken out of State.
type SessionState string

// The states of a live session, in their order.
const (
	SessionStateRequested SessionState = "requested" // somebody asked for it; the plugin has not answered yet
	SessionStateWaiting   SessionState = "waiting"   // the plugin has it; the other side has not joined yet
	SessionStateActive    SessionState = "active"    // both sides take part
)

func (s SessionState) rank() int {
	switch s {
	case SessionStateRequested:
		return 1
	case SessionStateWaiting:
		return 2
	case SessionStateActive:
		return 3
	}
	return 0
}

// Pin names the one process that holds what a session lives on: its media, a relay, a
// socket. The zero Pin names no process.
type Pin struct {
	Node     string `json:"node,omitempty"`
	Instance string `json:"instance,omitempty"` // the plugin's generation, unique
}

// Session is a live call or tool inside a conversation.
type Session struct {
	ID          SessionID    `json:"id"`
	Kind        SessionKind  `json:"kind"`
	Plugin      string       `json:"plugin"`
	Account     AccountID    `json:"account,omitzero"`
	Pin         Pin          `json:"pin,omitzero"`
	State       SessionState `json:"state"`
	Circle      Audience     `json:"audience"`     // the widest audience that learns of the session
	By          Author       `json:"by"`           // who asked for the session
	For         Author       `json:"for,omitzero"` // who takes part with the customer; zero: the next agent who joins
	RequestedAt time.Time    `json:"requested_at"`
	ActiveAt    time.Time    `json:"active_at,omitzero"`
	Revision    uint64       `json:"revision,omitempty"` // revision of a tool's panel; 0: the tool has shown none
	// CustomerRevision is the revision of the panel that a tool shows the customer; 0: it has shown none.
	CustomerRevision uint64 `json:"customer_revision,omitempty"`
	// NotedRevision is the highest revision that a tool has added a line with; 0: none.
	NotedRevision uint64 `json:"noted_revision,omitempty"`
	Legs          []Leg  `json:"legs,omitempty"` // legs of a call, ended ones included
}

// EndedTool is what is known of a tool's session that has ended.
type EndedTool struct {
	ID            SessionID `json:"id"`
	Account       AccountID `json:"account,omitzero"`
	Circle        Audience  `json:"audience"`
	NotedRevision uint64    `json:"noted_revision,omitempty"` // as Session's
}

// EndedTool returns a tool's session that ended not long ago, or nil. The pointer is into s.
func (s *State) EndedTool(id SessionID) *EndedTool {
	for i := range s.EndedTools {
		if s.EndedTools[i].ID == id {
			return &s.EndedTools[i]
		}
	}
	return nil
}

// LegKind tells how a party of a call is reached.
type LegKind string

// The kinds of legs.
const (
	LegSIP LegKind = "sip"
	LegWeb LegKind = "web" // a browser, by WebRTC
)

// LegState is how far a leg of a call has come. It only moves forward, except that up
// and held alternate as often as a party is put on hold.
type LegState string

// The states of a leg.
const (
	LegDialling LegState = "dialling"
	LegRinging  LegState = "ringing"
	LegEarly    LegState = "early" // early media: RFC 3261 21.1.5
	LegUp       LegState = "up"
	LegHeld     LegState = "held"
	LegEnded    LegState = "ended"
)

func (s LegState) rank() int {
	switch s {
	case LegDialling:
		return 1
	case LegRinging:
		return 2
	case LegEarly:
		return 3
	case LegUp, LegHeld:
		return 4
	case LegEnded:
		return 5
	}
	return 0
}

// Leg is one party's part in a call.
type Leg struct {
	ID    LegID    `json:"id"`
	Party Author   `json:"party"` // Outside: somebody else on the telephone; zero only in logs before that kind
	Kind  LegKind  `json:"kind"`
	State LegState `json:"state"`
	Audio bool     `json:"audio,omitempty"`
	Video bool     `json:"video,omitempty"`
	Muted bool     `json:"muted,omitempty"`
	Cause Cause    `json:"cause,omitempty"` // why the leg ended
	Code  string   `json:"code,omitempty"`  // the provider's code for the end of the leg: "486"
	// Circle is the widest audience that learns of the leg, that of the supervisor whose leg it is; zero: all agents.
	Circle Audience `json:"audience,omitzero"`
}

// Audience is the widest audience that may know of the leg.
func (l *Leg) Audience() Audience { return l.Circle.or(TypeSessionLeg) }

// Session returns a live session, or nil. The pointer is into s.
func (s *State) Session(id SessionID) *Session {
	if i := s.sessionIndex(id); i >= 0 {
		return &s.Sessions[i]
	}
	return nil
}

func (s *State) sessionIndex(id SessionID) int {
	for i := range s.Sessions {
		if s.Sessions[i].ID == id {
			return i
		}
	}
	return -1
}

// CallActive reports whether people talk: the conversation then neither ends for
// inactivity nor is parked or queued again.
func (s *State) CallActive() bool {
	for i := range s.Sessions {
		if s.Sessions[i].Kind == SessionCall && s.Sessions[i].State == SessionStateActive {
			return true
		}
	}
	return false
}

func (s *Session) leg(id LegID) *Leg {
	for i := range s.Legs {
		if s.Legs[i].ID == id {
			return &s.Legs[i]
		}
	}
	return nil
}
