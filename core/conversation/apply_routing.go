package conversation

import (
	"slices"
	"time"
)

func (s *State) applyRouting(head Head, at time.Time) bool {
	switch h := head.(type) {
	case *RoutingRequested:
		s.applyRequested(h)
	case *RoutingOffered:
		if r := s.Request(h.Request); r != nil {
			r.State, r.Offer, r.Agent, r.ExpiresAt = Offered, h.Offer, h.Agent, h.ExpiresAt
		}
	case *RoutingDeclined:
		s.applyDeclined(h)
	case *RoutingCancelled:
		s.dropRequest(h.Request)
	case *JoinedBy:
		if r := s.Request(h.Request); r != nil && !r.Personal() {
			s.WaitedSince = r.WaitingSince
		}
		s.dropRequest(h.Request)
	default:
		return false
	}
	return true
}

func (s *State) applyRequested(h *RoutingRequested) {
	r := Request{
		ID: h.Request, Target: h.Target, State: Queued, Cause: h.Cause, InvitedBy: h.InvitedBy,
		WaitingSince: h.WaitingSince, DeclinedBy: slices.Clone(h.DeclinedBy), Rules: h.Rules,
	}
	if len(r.DeclinedBy) == 0 {
		r.DeclinedBy = nil // nil and not empty, so that the state equals one decoded from JSON
	}
	if i := s.requestIndex(h.Request); i >= 0 {
		s.Requests[i] = r
		return
	}
	s.Requests = append(s.Requests, r)
}

func (s *State) applyDeclined(h *RoutingDeclined) {
	r := s.Request(h.Request)
	if r == nil {
		return
	}
	if r.Personal() {
		s.dropRequest(h.Request)
		return
	}
	r.State, r.Offer, r.Agent, r.ExpiresAt = Queued, OfferID{}, AgentID{}, time.Time{}
	if refused(h.Cause) && !slices.Contains(r.DeclinedBy, h.Agent) {
		r.DeclinedBy = append(r.DeclinedBy, h.Agent)
	}
}

// refused reports whether the agent turned an offer down or let it expire, as opposed to a lost
// connection. An agent who refused is skipped while others qualify (A16).
func refused(c Cause) bool { return c == CauseRejected || c == CauseExpired }

func (s *State) dropRequest(id RequestID) {
	i := s.requestIndex(id)
	if i < 0 {
		return
	}
	if s.Requests = slices.Delete(s.Requests, i, i+1); len(s.Requests) == 0 {
		s.Requests = nil // nil and not empty, so that the state equals one decoded from JSON
	}
}
