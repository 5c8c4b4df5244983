package conversation

import (
	"errors"
	"fmt"
	"time"
)

// ErrSequence stops a fold: the event's sequence number does not follow the last one.
var ErrSequence = errors.New("conversation: event out of sequence")

// Apply folds one event into s. It reads the head only. The event's sequence must be the next one
// (else ErrSequence) and its head one of this package's types (else ErrUnknownType); after an error
// s is unchanged. Apply does not check whether the event was allowed: Decide did so before the
// event was written.
func (s *State) Apply(ev Event) error {
	if ev.Seq != s.Seq+1 {
		return fmt.Errorf("%w: seq %d after %d", ErrSequence, ev.Seq, s.Seq)
	}
	if ev.Head == nil {
		return fmt.Errorf("%w: no head", ErrUnknownType)
	}
	if !s.applyHead(ev.Head, ev) {
		return fmt.Errorf("%w %q", ErrUnknownType, ev.Head.Type())
	}
	s.Seq = ev.Seq
	for a := int(ev.Head.Audience()); a < len(s.LastVisible); a++ {
		s.LastVisible[a] = ev.Seq
	}
	return nil
}

func (s *State) applyHead(head Head, ev Event) bool {
	switch h := head.(type) {
	case *MessagePosted:
		s.applyMessage(h, ev)
	case *MessageStatus:
		s.applyStatus(h)
	case *Receipt:
		s.applyReceipt(h)
	case *Started:
		s.applyStarted(h, ev.At)
	case *Assigned:
		s.Service, s.Rules = h.Service, h.Rules
	case *EndpointAdded:
		s.Endpoints = append(s.Endpoints, h.Endpoint)
		s.Added = append(s.Added, AddedEndpoint{Channel: h.Channel, Capabilities: h.Capabilities})
	case *CustomerUpdated, *ContentRewritten, *MessageNamed, *Ignored:
	case *ContactLinked:
		s.Contact = h.Contact
	case *PageVisited, *InactivityCancelled:
		s.customerActive(ev.At)
	case *InactivityWarned:
		s.WarnedAt = ev.At
	case *Parked:
		s.Parking = &Parking{Owner: h.Owner, Since: ev.At}
	case *Unparked:
		s.Parking, s.WaitedSince = nil, ev.At
	case *ConsentChanged:
		s.OptedOut = h.Out
	case *MessageSettled:
		s.applySettled(h)
	case *WindowChanged:
		s.applyWindow(h)
	case *FlagSet:
		s.Flagged = true
	case *FlagCleared:
		s.Flagged = false
	case *Ended:
		s.Phase, s.EndedAt, s.EndCause, s.EndedBy = PhaseEnded, ev.At, h.Cause, h.By
		if h.Cause != CauseInactivity { // ended as idle, it had been parked, and its owner may still have unread messages in it (O1)
			s.Parking, s.Unread = nil, nil
		}
	case *Concluded:
		s.Phase = PhaseConcluded
	default:
		return s.applyRouting(head, ev.At) || s.applyPeople(head, ev.At) || s.applySession(head, ev.At) || s.applySupervision(head, ev)
	}
	return true
}

func (s *State) applyStarted(h *Started, at time.Time) {
	s.Phase, s.StartedAt = PhaseOpen, at
	s.ID, s.Kind, s.Channel, s.Contact = h.ID, h.Kind, h.Channel, h.Contact
	s.Capabilities = h.Capabilities
	s.Endpoints = []Endpoint{h.Endpoint}
	if h.Kind == Inbound {
		s.CustomerAt = at
	}
}

// customerActive restarts the time after which an idle customer is warned (Q3).
func (s *State) customerActive(at time.Time) { s.CustomerAt, s.WarnedAt = at, time.Time{} }

// Touch restarts the customer's inactivity time for signs of life that have no event, mostly
// typing. The mark is part of the live state but not of the fold: no row contains it, so it is lost
// when the conversation is loaded again; then at worst a warning comes too early. Call it on the
// live state, after Decide(Touch{}).
func (s *State) Touch(at time.Time) {
	if at = clean(at); at.After(s.touched) {
		s.touched = at
	}
}
