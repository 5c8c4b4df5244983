package conversation

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Mode is how a supervisor takes part in a conversation (DESIGN.md 3).
type Mode string

// The modes of supervisors.
const (
	ModeMonitor Mode = "monitor" // listens; only supervisors and the audit see it
	ModeCoach   Mode = "coach"   // speaks to agents; agents see it too
	ModeBarge   Mode = "barge"   // speaks to everybody, who all see it
)

// circle is the widest audience that sees a supervisor of mode m; zero if there is no such mode.
func (m Mode) circle() Audience {
	switch m {
	case ModeMonitor:
		return AudienceSupervisor
	case ModeCoach:
		return AudienceAgent
	case ModeBarge:
		return AudienceCustomer
	}
	return 0
}

// Event types for what concerns supervisors, and what agents say among themselves.
const (
	TypeSupervisorJoined Type = "supervisor.joined/1"
	TypeSupervisorLeft   Type = "supervisor.left/1"
	TypeNote             Type = "note/1"
)

// SupervisorJoined: a supervisor takes part in this mode. The audience of the event is the one that
// sees a supervisor of this mode. A change of mode is therefore two events, a SupervisorLeft for the
// audience of the old mode and a SupervisorJoined for that of the new one: agents must not learn that
// somebody who coached them listens now. Body: NameBody.
type SupervisorJoined struct {
	Agent  AgentID  `json:"agent"`
	Mode   Mode     `json:"mode"`
	Circle Audience `json:"audience"`
}

// SupervisorLeft: a supervisor no longer takes part in this mode.
type SupervisorLeft struct {
	Agent  AgentID  `json:"agent"`
	Mode   Mode     `json:"mode"` // the mode that has ended
	Cause  Cause    `json:"cause"`
	Circle Audience `json:"audience"`
}

// Note is a message that agents and supervisors see and the customer does not: a private note, or
// what a supervisor says as coach. Body: MessageBody.
type Note struct {
	ID       MessageID  `json:"id"`
	Author   Author     `json:"author"`
	ClientID string     `json:"client_id,omitempty"` // made by the author's device; a retry is the same note
	Kinds    []PartKind `json:"kinds"`
	Blobs    []BlobID   `json:"blobs,omitempty"`
}

// Type implements Head.
func (*SupervisorJoined) Type() Type { return TypeSupervisorJoined }

// Audience implements Head.
func (h *SupervisorJoined) Audience() Audience { return h.Circle.or(TypeSupervisorJoined) }

// Type implements Head.
func (*SupervisorLeft) Type() Type { return TypeSupervisorLeft }

// Audience implements Head.
func (h *SupervisorLeft) Audience() Audience { return h.Circle.or(TypeSupervisorLeft) }

// Type implements Head.
func (*Note) Type() Type { return TypeNote }

// Audience implements Head.
func (*Note) Audience() Audience { return types[TypeNote].audience }

func (s *State) applySupervision(head Head, ev Event) bool {
	switch h := head.(type) {
	case *SupervisorJoined:
		s.setParticipant(Participant{Who: Author{Kind: Supervisor, Agent: h.Agent}, State: Joined, JoinedAt: ev.At, Mode: h.Mode})
	case *SupervisorLeft:
		if p := s.supervisor(h.Agent); p != nil {
			p.State, p.Mode = Left, ""
		}
	case *Note:
	default:
		return false
	}
	return true
}

// supervisor returns the entry of somebody who supervises or supervised, or nil. The pointer is
// into s.
func (s *State) supervisor(a AgentID) *Participant {
	for i := range s.Participants {
		if p := &s.Participants[i]; p.Who == (Author{Kind: Supervisor, Agent: a}) {
			return p
		}
	}
	return nil
}

// ModeOf is how somebody supervises the conversation at present; "" means not at all.
func (s *State) ModeOf(a AgentID) Mode {
	if p := s.supervisor(a); p != nil {
		return p.Mode
	}
	return ""
}

// maxSupervisors bounds how many supervisors one conversation remembers.
const maxSupervisors = 32

func (d *decision) supervise(c Supervise) error {
	old := d.s.ModeOf(c.Agent)
	switch {
	case c.Agent.IsZero() || c.Mode != "" && c.Mode.circle() == 0:
		return fmt.Errorf("%w: supervision by nobody, or in an unknown mode", ErrInvalid)
	case c.Mode == old:
		return nil
	case c.Mode != "" && d.s.JoinedAgent(c.Agent):
		return ErrAlreadyJoined
	case c.Mode != "" && d.s.Parking != nil:
		return ErrParked
	case d.s.supervisor(c.Agent) == nil && d.s.supervisors() >= maxSupervisors:
		return fmt.Errorf("%w: more than %d supervisors", ErrInvalid, maxSupervisors)
	}
	if old != "" {
		cause := CauseSupervisor
		if c.Mode == "" && c.Cause != "" {
			cause = c.Cause
		}
		d.superviseNoMore(c.Agent, old, cause)
	}
	if c.Mode != "" {
		d.emit(&SupervisorJoined{Agent: c.Agent, Mode: c.Mode, Circle: c.Mode.circle()}, c.Body)
		d.showLegs(c.Agent)
	}
	return nil
}

// circleOf is the audience that learns of somebody's legs; zero: all agents.
func (s *State) circleOf(party Author) Audience {
	if party.Kind != Supervisor || s.ModeOf(party.Agent) == "" {
		return 0
	}
	return max(s.ModeOf(party.Agent).circle(), AudienceAgent) // customers and bots learn of no legs
}

// showLegs shows the legs of a supervisor whose mode has changed to those who see the supervisor now, and
// ends them for those who do not any more.
func (d *decision) showLegs(a AgentID) {
	who := Author{Kind: Supervisor, Agent: a}
	for i := range d.s.Sessions {
		id := d.s.Sessions[i].ID
		for _, l := range d.s.Sessions[i].Legs { // the slice's elements change, its length does not
			circle := d.s.circleOf(who)
			if l.Party != who || l.State == LegEnded || l.Circle == circle {
				continue
			}
			gone, now := l, l
			gone.State, gone.Cause, gone.Code = LegEnded, CauseSupervisor, ""
			d.emit(&SessionLeg{Session: id, Leg: gone}, nil)
			now.Circle = circle
			d.emit(&SessionLeg{Session: id, Leg: now}, nil)
		}
	}
}

func (s *State) supervisors() (n int) {
	for i := range s.Participants {
		if s.Participants[i].Who.Kind == Supervisor {
			n++
		}
	}
	return n
}

func (d *decision) superviseNoMore(a AgentID, mode Mode, cause Cause) {
	d.emit(&SupervisorLeft{Agent: a, Mode: mode, Cause: cause, Circle: mode.circle()}, nil)
}

// addNote adds a note by an agent who has joined, or by a supervisor whom agents see.
func (d *decision) addNote(c AddNote) error {
	switch {
	case c.ID.IsZero() || len(c.Kinds) == 0 || c.Body == nil:
		return fmt.Errorf("%w: note without an id, parts or body", ErrInvalid)
	case slices.ContainsFunc(c.Kinds, func(k PartKind) bool { return k != PartText && k != PartRichText && k != PartFile }):
		return fmt.Errorf("%w: a note is text and files", ErrUnsupported)
	}
	switch c.Author.Kind {
	case Agent:
		if !d.s.JoinedAgent(c.Author.Agent) {
			return ErrNotJoined
		}
	case Supervisor:
		if m := d.s.ModeOf(c.Author.Agent); m != ModeCoach && m != ModeBarge {
			return ErrNotJoined
		}
	default:
		return fmt.Errorf("%w: a note is an agent's or a supervisor's", ErrInvalid)
	}
	d.emit(&Note{ID: c.ID, Author: c.Author, ClientID: c.ClientID, Kinds: c.Kinds, Blobs: c.Blobs}, c.Body)
	return nil
}

// Supervise lets a supervisor take part, in another mode, or no more (Mode ""). Whether the user
// may supervise is for the caller to check. An agent who joins leaves supervision first. Body: NameBody.
type Supervise struct {
	Agent AgentID
	Mode  Mode
	Cause Cause // of the end, if Mode is ""; "" = supervisor
	Body  json.RawMessage
}

// AddNote adds a Note. Body: MessageBody.
type AddNote struct {
	ID       MessageID
	Author   Author
	ClientID string
	Kinds    []PartKind
	Blobs    []BlobID
	Body     json.RawMessage
}

func (Supervise) command() {}
func (AddNote) command()   {}
