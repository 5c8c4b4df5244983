package conversation

// Display is the state that people see, derived from phase, participants and
// routing requests (DESIGN.md 3).
type Display string

// Displayed states.
const (
	DisplayBot       Display = "bot"       // only a bot takes part
	DisplayQueued    Display = "queued"    // nobody takes part, a request waits
	DisplayOffered   Display = "offered"   // nobody takes part, an agent is being asked
	DisplayActive    Display = "active"    // at least one agent has joined
	DisplayParked    Display = "parked"    // idle, and kept for its owner (N16)
	DisplayWrapup    Display = "wrapup"    // ended, an agent has after-call work
	DisplayEnded     Display = "ended"     // ended, and must still be concluded
	DisplayConcluded Display = "concluded" // over
)

// Display derives the displayed state; "" for a zero state.
func (s *State) Display() Display {
	switch s.Phase {
	case PhaseConcluded:
		return DisplayConcluded
	case PhaseEnded:
		if s.inWrapup() {
			return DisplayWrapup
		}
		return DisplayEnded
	case PhaseOpen:
		return s.displayOpen()
	}
	return ""
}

func (s *State) displayOpen() Display {
	if s.agentJoined() {
		return DisplayActive
	}
	if s.Parking != nil {
		return DisplayParked
	}
	for i := range s.Requests {
		if s.Requests[i].State == Offered {
			return DisplayOffered
		}
	}
	if len(s.Requests) == 0 && s.bot() != nil {
		return DisplayBot
	}
	return DisplayQueued
}

// Participant returns an agent's entry, or nil when the agent never took part.
// The pointer is into s.
func (s *State) Participant(a AgentID) *Participant {
	for i := range s.Participants {
		if p := &s.Participants[i]; p.Who.Kind == Agent && p.Who.Agent == a {
			return p
		}
	}
	return nil
}

// JoinedAgent reports whether the agent takes part now.
func (s *State) JoinedAgent(a AgentID) bool {
	p := s.Participant(a)
	return p != nil && p.State == Joined
}

// Request returns a live routing request, or nil. The pointer is into s.
func (s *State) Request(id RequestID) *Request {
	if i := s.requestIndex(id); i >= 0 {
		return &s.Requests[i]
	}
	return nil
}

// OfferedTo returns the live request that is offered as offer, or nil. The
// pointer is into s.
func (s *State) OfferedTo(offer OfferID) *Request {
	for i := range s.Requests {
		if r := &s.Requests[i]; r.State == Offered && r.Offer == offer {
			return r
		}
	}
	return nil
}

// Personal reports whether the request invites one agent by name: when the agent declines, the
// agent's state never changes (T6), and the request ends.
func (r *Request) Personal() bool {
	return r.Target.Kind == TargetAgent && !r.InvitedBy.IsZero()
}

// Async reports whether the conversation came by a store-and-forward channel,
// whose idle exchanges are parked rather than queued again (N16, A20).
func (s *State) Async() bool {
	return s.Kind != Internal && !s.Capabilities.Connected && !s.Capabilities.Calls
}

// EndpointCapabilities returns what the i-th endpoint can carry. An index out
// of range gives none.
func (s *State) EndpointCapabilities(i int) Capabilities {
	switch {
	case i == 0:
		return s.Capabilities
	case i > 0 && i <= len(s.Added):
		return s.Added[i-1].Capabilities
	}
	return Capabilities{}
}

func (s *State) requestIndex(id RequestID) int {
	for i := range s.Requests {
		if s.Requests[i].ID == id {
			return i
		}
	}
	return -1
}

func (s *State) joinedOfKind(k AuthorKind) bool {
	for i := range s.Participants {
		if s.Participants[i].State == Joined && s.Participants[i].Who.Kind == k {
			return true
		}
	}
	return false
}

func (s *State) agentJoined() bool { return s.joinedOfKind(Agent) }

// bot returns the entry of the bot that takes part now, or nil. The pointer is into s.
func (s *State) bot() *Participant {
	for i := range s.Participants {
		if p := &s.Participants[i]; p.State == Joined && p.Who.Kind == Bot {
			return p
		}
	}
	return nil
}

// Bot returns the account of the bot that takes part in the open conversation; zero: none does.
func (s *State) Bot() AccountID {
	if b := s.bot(); b != nil && s.Phase == PhaseOpen {
		return b.Who.Bot
	}
	return AccountID{}
}

// BotSince is the sequence of the event by which the bot joined that takes part; 0: none does.
func (s *State) BotSince() uint64 {
	if b := s.bot(); b != nil {
		return b.JoinedSeq
	}
	return 0
}

func (s *State) inWrapup() bool {
	for i := range s.Participants {
		if s.Participants[i].State == Wrapup {
			return true
		}
	}
	return false
}

// joined reports whether the author takes part now.
func (s *State) joined(who Author) bool {
	for i := range s.Participants {
		if p := &s.Participants[i]; p.State == Joined && p.Who == who && (p.Mode == "" || p.Mode == ModeBarge) {
			return true
		}
	}
	return false
}
