package conversation

import (
	"slices"
	"time"
)

func (s *State) applySession(head Head, at time.Time) bool {
	switch h := head.(type) {
	case *SessionRequested:
		if s.Session(h.Session) == nil {
			s.Sessions = append(s.Sessions, Session{
				ID: h.Session, Kind: h.Kind, Plugin: h.Plugin, Account: h.Account, Pin: h.Pin,
				State: SessionStateRequested, Circle: h.Circle, By: h.By, For: h.For, RequestedAt: at,
			})
		}
	case *SessionChanged:
		s.applySessionChanged(h, at)
	case *SessionEnded:
		s.applySessionEnded(h, at)
	case *SessionLeg:
		if x := s.Session(h.Session); x != nil {
			if l := x.leg(h.Leg.ID); l != nil {
				*l = h.Leg
			} else {
				x.Legs = append(x.Legs, h.Leg)
			}
		}
	case *SessionPanel:
		if x := s.Session(h.Session); x != nil {
			x.Revision = h.Revision
		}
	case *SessionCustomerPanel:
		if x := s.Session(h.Session); x != nil {
			x.CustomerRevision = h.Revision
		}
	case *SessionNoted:
		if x := s.Session(h.Session); x != nil {
			x.NotedRevision = max(x.NotedRevision, h.Revision)
		} else if x := s.EndedTool(h.Session); x != nil {
			x.NotedRevision = max(x.NotedRevision, h.Revision)
		}
	case *SessionDigits, *SessionRecorded, *SessionCommand, *SessionCommandFailed:
	default:
		return false
	}
	return true
}

func (s *State) applySessionChanged(h *SessionChanged, at time.Time) {
	x := s.Session(h.Session)
	if x == nil {
		return
	}
	if h.State == SessionStateActive && x.State != SessionStateActive {
		x.ActiveAt = at
		if x.Kind == SessionCall {
			s.Answered = true
			s.customerActive(at)
		}
	}
	x.State = h.State
	if h.Pin != (Pin{}) {
		x.Pin = h.Pin
	}
}

// applySessionEnded takes the session out of the state. The end of a call starts the clocks of
// inactivity, parking and a silent bot anew, since the customer was active until then.
func (s *State) applySessionEnded(h *SessionEnded, at time.Time) {
	i := s.sessionIndex(h.Session)
	if i < 0 {
		return
	}
	if x := &s.Sessions[i]; x.Kind == SessionCall && x.State == SessionStateActive {
		s.customerActive(at)
		s.ActivityAt = at
		if !s.BotAsked.IsZero() {
			s.BotAsked = at
		}
	}
	if x := &s.Sessions[i]; x.Kind == SessionTool {
		if len(s.EndedTools) == maxSessions {
			s.EndedTools = slices.Delete(s.EndedTools, 0, 1)
		}
		s.EndedTools = append(s.EndedTools, EndedTool{ID: x.ID, Account: x.Account, Circle: x.Circle, NotedRevision: x.NotedRevision})
	}
	if s.Sessions = slices.Delete(s.Sessions, i, i+1); len(s.Sessions) == 0 {
		s.Sessions = nil // nil and not empty, so that the state equals one decoded from JSON
	}
}

// handTools gives an agent's tools to the agent who has taken part longest of those who are left. When
// nobody is left they wait for the next agent who joins (M8).
func (s *State) handTools(from Author) {
	var next Author
	var since time.Time
	for i := range s.Participants {
		p := &s.Participants[i]
		if p.State == Joined && p.Who.Kind == Agent && (next.Kind == "" || p.JoinedAt.Before(since)) {
			next, since = p.Who, p.JoinedAt
		}
	}
	for i := range s.Sessions {
		if x := &s.Sessions[i]; x.Kind == SessionTool && x.For == from {
			x.For = next
		}
	}
}
