package conversation

import (
	"slices"
	"time"
)

// Bounds for the outgoing messages of store-and-forward channels whose status a State follows.
const (
	// maxPending is how many messages are followed, whatever their status. Beyond it the oldest
	// settled message is dropped, or else the oldest one that was sent: later reports about it give
	// ErrNoSuchMessage. An accepted or unknown message is never dropped: its outcome is still to
	// come, or a person must say what became of it (PR4).
	maxPending = 100
	// maxUnsent is how many messages may be accepted or unknown; beyond it ErrTooManyUnsent.
	maxUnsent = 500
)

func (s *State) applyMessage(h *MessagePosted, ev Event) {
	switch h.Author.Kind {
	case Customer:
		s.customerActive(ev.At)
		s.ActivityAt = ev.At
		s.countUnread(ev)
		s.askBot(ev.At)
		if s.Kind == Outbound {
			s.Answered = true
		}
		return
	case Agent, Supervisor:
		s.AgentAt, s.ActivityAt = ev.At, ev.At
	case Bot:
		s.ActivityAt, s.BotAsked = ev.At, time.Time{}
	case System, Outside:
	}
	if !s.EndpointCapabilities(h.Endpoint).Connected && s.Kind != Internal {
		s.follow(PendingMessage{ID: h.ID, Seq: ev.Seq, Status: StatusAccepted})
	}
}

// askBot starts the time within which the bot, if one takes part, must answer the customer. A second
// message of the customer does not start it again.
func (s *State) askBot(at time.Time) {
	if s.BotAsked.IsZero() && s.bot() != nil {
		s.BotAsked = at
	}
}

// follow adds an outgoing message to those whose status the state follows.
func (s *State) follow(m PendingMessage) {
	if len(s.Pending) >= maxPending {
		i := slices.IndexFunc(s.Pending, func(p PendingMessage) bool { return p.Status.settled() })
		if i < 0 {
			i = slices.IndexFunc(s.Pending, func(p PendingMessage) bool { return p.Status == StatusSent })
		}
		if i >= 0 {
			s.Pending = slices.Delete(s.Pending, i, i+1)
		}
	}
	s.Pending = append(s.Pending, m)
}

// tooManyUnsent reports whether so many messages wait for their outcome that no more may be added.
func (s *State) tooManyUnsent() bool {
	n := 0
	if len(s.Pending) < maxUnsent {
		return false
	}
	for i := range s.Pending {
		if st := s.Pending[i].Status; st == StatusAccepted || st == StatusUnknown {
			n++
		}
	}
	return n >= maxUnsent
}

func (s *State) applyStatus(h *MessageStatus) {
	if p := s.pending(h.Message); p != nil && h.Status.After(p.Status) {
		p.Status = h.Status
	}
}

func (s *State) applySettled(h *MessageSettled) {
	if p := s.pending(h.Message); p != nil && h.Outcome == OutcomeResend {
		p.Status = StatusAccepted
	}
}

// countUnread counts a customer's message as unread for the agent in whose Recent it waits.
func (s *State) countUnread(ev Event) {
	owner := s.waitingOwner()
	if owner.IsZero() || s.agentJoined() {
		return
	}
	u := &Unread{Owner: owner, Count: 1, At: ev.At, Seq: ev.Seq}
	if s.Unread != nil {
		u.Count += s.Unread.Count
	}
	s.Unread = u
}

// waitingOwner is the agent in whose Recent a customer's message waits; zero: none. A reply that
// went on from its owner to the service's queue still waits in the owner's Recent until an agent
// takes it. Where a service does not ask owners first there is no such agent.
func (s *State) waitingOwner() AgentID {
	switch {
	case s.Unread != nil:
		return s.Unread.Owner
	case s.Parking != nil && (s.Service.IsZero() || s.Rules.OwnerFirst > 0):
		return s.Parking.Owner
	}
	for i := range s.Requests {
		if r := &s.Requests[i]; r.Target.Kind == TargetAgent && !r.Personal() {
			return r.Target.Agent
		}
	}
	return AgentID{}
}

// WaitsFor reports whether the exchange is kept for agent a, who need not take part in it: a owns
// it while it is parked or after it ended as idle, or has unread messages in it.
func (s *State) WaitsFor(a AgentID) bool {
	return s.Parking != nil && s.Parking.Owner == a || s.Unread != nil && s.Unread.Owner == a
}

func (s *State) pending(id MessageID) *PendingMessage {
	for i := len(s.Pending) - 1; i >= 0; i-- {
		if s.Pending[i].ID == id {
			return &s.Pending[i]
		}
	}
	return nil
}

func (s *State) applyReceipt(h *Receipt) {
	m := s.mark(h.By)
	if m == nil {
		s.Marks = append(s.Marks, ReadMark{By: h.By})
		m = &s.Marks[len(s.Marks)-1]
	}
	m.Delivered, m.Read = max(m.Delivered, h.Delivered), max(m.Read, h.Read)
	if s.Unread.seenBy(h.By, h.Read) {
		s.Unread = nil
	}
}

// seenBy reports whether a receipt is by the owner and covers every unread message.
func (u *Unread) seenBy(by Author, read uint64) bool {
	return u != nil && by == (Author{Kind: Agent, Agent: u.Owner}) && read >= u.Seq
}

func (s *State) mark(by Author) *ReadMark {
	for i := range s.Marks {
		if s.Marks[i].By == by {
			return &s.Marks[i]
		}
	}
	return nil
}

// rank orders the statuses as PR5 demands; 0 = not a status.
func (st Status) rank() int {
	switch st {
	case StatusAccepted:
		return 1
	case StatusUnknown:
		return 2
	case StatusSent:
		return 3
	case StatusFailed:
		return 4
	case StatusDelivered:
		return 5
	case StatusRead:
		return 6
	}
	return 0
}

// After reports whether st is a step forward from old.
func (st Status) After(old Status) bool { return st.rank() > old.rank() }

// settled reports whether nothing more has to happen for the message: it failed or was delivered.
func (st Status) settled() bool { return st.rank() >= StatusFailed.rank() }
