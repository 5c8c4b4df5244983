package conversation

// Who may be invited into a call, may hear whom, may answer it and may command it (DESIGN.md 3; SPEC.md C2,
// H2, H3). These are bounds: a call may always bring fewer people together than may hear each other,
// as when somebody is on hold. The zero Author, or one of the kind Outside, is somebody outside, such as the person
// whom an agent consults by telephone; nobody but the call knows of it. A supervisor in barge acts as agents do.

// Names of call commands that have rules of their own. They are the fields of CallCommand in the contract.
const (
	CallDial   = "dial"
	CallInvite = "invite"
	CallAnswer = "answer"
	CallHear   = "hear"
	CallHold   = "hold"
	CallMute   = "mute"
	CallVideo  = "video"
	CallHangUp = "hang_up"
)

// LegHears lists the legs that a leg of a call hears.
type LegHears struct {
	Leg   LegID
	Hears []LegID
}

// voice is the widest audience that may hear what somebody says in a call; zero: nobody may. It is the
// audience of what the same person writes (H2, H4).
func (s *State) voice(who Author) Audience {
	switch who.Kind {
	case Customer, Outside, "":
		return AudienceCustomer
	case Agent, Bot:
		if s.joined(who) {
			return AudienceCustomer
		}
	case Supervisor:
		switch s.ModeOf(who.Agent) {
		case ModeBarge:
			return AudienceCustomer
		case ModeCoach:
			return AudienceAgent
		case ModeMonitor:
		}
	case System:
	}
	return 0
}

// ear is the audience as which somebody listens to a call; zero: somebody who may hear nothing.
func (s *State) ear(who Author) Audience {
	switch who.Kind {
	case Customer, Outside, "":
		return AudienceCustomer
	case Bot:
		if s.joined(who) {
			return AudienceBot
		}
	case Agent:
		if s.joined(who) {
			return AudienceAgent
		}
	case Supervisor:
		if s.ModeOf(who.Agent) != "" {
			return AudienceSupervisor
		}
	case System:
	}
	return 0
}

// MayHear reports whether listener may hear speaker in a call of the conversation. Everybody hears
// customers, agents, bots, supervisors in barge and people outside. Agents and supervisors also hear a
// supervisor who coaches. Nobody hears one who monitors. Who does not take part hears and is heard by nobody.
func (s *State) MayHear(listener, speaker Author) bool {
	v := s.voice(speaker)
	return s.Phase == PhaseOpen && v != 0 && s.ear(listener).Sees(v)
}

// Hearing is the most that the legs of a call may hear of each other: for each leg that has not ended the
// other such legs whose parties its party may hear, in the order of the call's legs. Legs that may hear nobody have an
// empty list. It is nil for what is no live call.
func (s *State) Hearing(id SessionID) []LegHears {
	x := s.Session(id)
	if x == nil || x.Kind != SessionCall {
		return nil
	}
	out := []LegHears{}
	for i := range x.Legs {
		if x.Legs[i].State == LegEnded {
			continue
		}
		h := LegHears{Leg: x.Legs[i].ID, Hears: []LegID{}}
		for j := range x.Legs {
			if i != j && x.Legs[j].State != LegEnded && s.MayHear(x.Legs[i].Party, x.Legs[j].Party) {
				h.Hears = append(h.Hears, x.Legs[j].ID)
			}
		}
		out = append(out, h)
	}
	return out
}

// MayRing reports whether somebody may have a leg in a call of the conversation: who may hear something, and the agent to whom the
// conversation is being offered, whose telephone rings before the offer is accepted.
func (s *State) MayRing(who Author) bool {
	if s.Phase != PhaseOpen {
		return false
	}
	if who.Kind == Agent && s.offeredTo(who.Agent) {
		return true
	}
	return s.ear(who) != 0
}

func (s *State) offeredTo(a AgentID) bool {
	for i := range s.Requests {
		if s.Requests[i].State == Offered && s.Requests[i].Agent == a {
			return true
		}
	}
	return false
}

// MayBeginCall reports whether somebody may ask for a call in the conversation: the customer, and agents and
// bots who take part (C2), and the gateway itself.
func (s *State) MayBeginCall(by Author) bool {
	switch by.Kind {
	case Customer, System:
		return s.Phase == PhaseOpen
	case Agent, Bot, Supervisor:
		return s.Phase == PhaseOpen && s.joined(by)
	case Outside:
	}
	return false
}

// MayInvite reports whether by may have a call ring for whom. An agent who takes part may bring in
// everybody except supervisors, of whom agents may not even know; supervisors who monitor or coach bring in themselves
// alone; bots the customer and themselves; customers themselves. The gateway itself carries out what was decided
// already, and may bring in everybody who may have a leg.
func (s *State) MayInvite(by, whom Author) bool {
	if !s.MayRing(whom) {
		return false
	}
	switch by.Kind {
	case System:
		return true
	case Agent, Supervisor:
		return by == whom && by.Kind == Supervisor || s.joined(by) && whom.Kind != Supervisor
	case Bot:
		return s.joined(by) && (whom.Kind == Customer || whom == by)
	case Customer:
		return by == whom
	case Outside:
	}
	return false
}

// MayAnswer reports whether somebody may take a call: one that the customer, or somebody outside, has begun is
// taken by agents and bots who take part, or by the gateway itself; one that our side has begun is taken by
// the customer. Supervisors who monitor or coach take none.
func (s *State) MayAnswer(x *Session, by Author) bool {
	if s.Phase != PhaseOpen || x == nil || x.Kind != SessionCall {
		return false
	}
	theirs := x.By.Kind == Customer || x.By.Kind == "" || x.By.Kind == Outside
	switch by.Kind {
	case System:
		return theirs
	case Agent, Bot, Supervisor:
		return theirs && s.joined(by)
	case Customer:
		return !theirs
	case Outside:
	}
	return false
}

// knowsLeg reports whether somebody may know that a leg is there: a supervisor's leg is known to those who see
// the supervisor.
func (s *State) knowsLeg(who Author, l *Leg) bool {
	return who.Kind == System || who == l.Party || s.ear(who).Sees(l.Audience())
}

// mayCommand reports whether the author of a command for a call may give it.
func (s *State) mayCommand(x *Session, c *CommandCall) bool {
	switch c.What {
	case CallDial, CallInvite:
		return s.MayInvite(c.By, c.Party)
	case CallAnswer:
		return s.MayAnswer(x, c.By)
	case CallHear:
		return (c.By.Kind == System || c.By.Kind != Customer && s.joined(c.By)) && s.mayHearAll(x, c.Hears)
	}
	own := x.leg(c.Leg) != nil && x.leg(c.Leg).Party == c.By
	switch c.By.Kind {
	case System, Agent, Bot: // that agents and bots take part was checked
		return true
	case Customer:
		return c.What == CallHangUp && c.Leg.IsZero() || own && ownLeg(c.What)
	case Supervisor:
		return s.joined(c.By) || own && ownLeg(c.What)
	case Outside:
	}
	return false
}

// ownLeg reports whether a command is one that everybody may give for the own leg.
func ownLeg(what string) bool {
	return what == CallHold || what == CallMute || what == CallVideo || what == CallHangUp
}

// mayHearAll reports whether a call may bring its legs together as hears says. Legs that are not there, or
// have ended, may not be named.
func (s *State) mayHearAll(x *Session, hears []LegHears) bool {
	for _, h := range hears {
		to := x.leg(h.Leg)
		if to == nil || to.State == LegEnded {
			return false
		}
		for _, id := range h.Hears {
			if from := x.leg(id); from == nil || from.State == LegEnded || from == to || !s.MayHear(to.Party, from.Party) {
				return false
			}
		}
	}
	return true
}
