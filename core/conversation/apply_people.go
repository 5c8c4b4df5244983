package conversation

import "time"

func (s *State) applyPeople(head Head, at time.Time) bool {
	switch h := head.(type) {
	case *ParticipantJoined:
		p := Participant{Who: h.Who, State: Joined, JoinedAt: at}
		if h.Who.Kind == Bot {
			p.JoinedSeq = s.Seq + 1
		}
		s.setParticipant(p)
		if h.Who.Kind == Agent {
			s.Unread = nil
			if s.AttendedAt.IsZero() {
				s.AttendedAt = at
			}
			s.handTools(Author{})
		}
		if h.Who.Kind == Bot && !s.ActivityAt.IsZero() { // the customer has written already
			s.askBot(at)
		}
	case *ParticipantLeft:
		s.applyLeft(h.Who)
	case *WrapupStarted:
		if p := s.Participant(h.Agent); p != nil {
			p.State, p.WrapupUntil = Wrapup, h.Until
		}
	case *WrapupEnded:
		if p := s.Participant(h.Agent); p != nil {
			p.State, p.WrapupUntil = Left, time.Time{}
		}
	default:
		return false
	}
	return true
}

// setParticipant adds a participant, or replaces the entry of one who took part before.
func (s *State) setParticipant(p Participant) {
	for i := range s.Participants {
		if s.Participants[i].Who == p.Who {
			s.Participants[i] = p
			return
		}
	}
	s.Participants = append(s.Participants, p)
}

func (s *State) applyLeft(who Author) {
	for i := range s.Participants {
		if p := &s.Participants[i]; p.Who == who && p.State == Joined {
			p.State = Left
		}
	}
	if who.Kind == Bot {
		s.BotAsked = time.Time{}
	}
	if who.Kind == Agent {
		s.handTools(who)
	}
	// The customer's inactivity clock runs only while an agent has joined.
	if !s.agentJoined() {
		s.AttendedAt, s.WarnedAt = time.Time{}, time.Time{}
	}
}
