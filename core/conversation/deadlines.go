package conversation

import "time"

// dueKind tells which rule has something to do at a deadline.
type dueKind uint8

const (
	dueOffer dueKind = iota + 1
	dueOwner
	dueWarn
	dueInactive
	dueUnanswered
	duePark
	dueParkedEnd
	dueWrapup
)

// due is one deadline: the earliest of a kind, with what it concerns.
type due struct {
	at      time.Time
	kind    dueKind
	request RequestID // dueOffer, dueOwner
	agent   AgentID   // dueWrapup
}

// NextDeadline is when Tick next has something to do; false: never, as things
// stand. It may lie in the past. All of it is derived from the state, so timers are
// rebuilt by asking again (DESIGN.md 4). A Tick at or after it always yields events.
func (s *State) NextDeadline() (time.Time, bool) {
	d := s.nextDue()
	return d.at, d.kind != 0
}

func (s *State) nextDue() due {
	var first due
	note := func(d due) {
		if first.kind == 0 || d.at.Before(first.at) {
			first = d
		}
	}
	if s.Phase == PhaseOpen {
		s.dueRequests(note)
		if !s.AttendedAt.IsZero() {
			s.dueIdle(note)
		}
		s.dueParkedEnd(note)
	}
	if s.Phase == PhaseOpen || s.Phase == PhaseEnded {
		for i := range s.Participants {
			if p := &s.Participants[i]; p.State == Wrapup && !p.WrapupUntil.IsZero() {
				note(due{at: p.WrapupUntil, kind: dueWrapup, agent: p.Who.Agent})
			}
		}
	}
	return first
}

func (s *State) dueRequests(note func(due)) {
	for i := range s.Requests {
		r := &s.Requests[i]
		switch {
		case r.State == Offered && !r.ExpiresAt.IsZero():
			note(due{at: r.ExpiresAt, kind: dueOffer, request: r.ID})
		case r.State == Queued && r.Target.Kind == TargetAgent && !r.Personal() && !s.Service.IsZero():
			note(due{at: r.WaitingSince.Add(s.Rules.OwnerFirst.Duration()), kind: dueOwner, request: r.ID})
		}
	}
}

// dueIdle finds the deadlines of a conversation in which an agent has joined:
// only then does the customer's clock run.
func (s *State) dueIdle(note func(due)) {
	r := &s.Rules
	if s.Async() && r.ParkAfter > 0 && len(s.Requests) == 0 {
		note(due{at: latest(s.ActivityAt, s.AttendedAt).Add(r.ParkAfter.Duration()), kind: duePark})
	}
	switch {
	case s.Kind == Internal:
		return
	case s.Kind == Outbound && !s.Answered:
		if r.UnansweredEnd > 0 {
			note(due{at: s.AttendedAt.Add(r.UnansweredEnd.Duration()), kind: dueUnanswered})
		}
		return
	}
	base := latest(s.CustomerAt, s.touched, s.AttendedAt)
	warn, end := r.inactivity()
	switch {
	case warn > 0 && s.WarnedAt.IsZero():
		note(due{at: base.Add(warn), kind: dueWarn})
	case end > 0 && !s.WarnedAt.IsZero():
		// From the warning on, so that who was warned late (the gateway was down)
		// still gets the time to answer.
		note(due{at: s.WarnedAt.Add(end - warn), kind: dueInactive})
	case end > 0:
		note(due{at: base.Add(end), kind: dueInactive})
	}
}

// dueParkedEnd finds the end of an exchange that no other rule ends: a parked one,
// one that only a bot handles, and one without a service while an agent keeps it open.
// What the bot says is no sign of life.
func (s *State) dueParkedEnd(note func(due)) {
	end := s.Rules.parkedEnd()
	if end <= 0 || len(s.Requests) > 0 {
		return
	}
	last := latest(s.StartedAt, s.CustomerAt, s.touched)
	switch {
	case s.Parking != nil:
		last = latest(last, s.Parking.Since, s.ActivityAt)
	case s.AttendedAt.IsZero(): // a bot alone
	case s.Service.IsZero() && s.Kind != Internal && !s.Capabilities.Calls:
		last = latest(last, s.AttendedAt, s.ActivityAt)
	default:
		return
	}
	note(due{at: last.Add(end), kind: dueParkedEnd})
}

// parkedEnd is how long what nobody attends to stays open; negative: for ever.
func (r *Rules) parkedEnd() time.Duration {
	if r.ParkedEnd == 0 {
		return DefaultParkedEnd.Duration()
	}
	return r.ParkedEnd.Duration()
}

// inactivity gives the times of warning and end after the customer's last
// activity; zero: off. A warning comes at half the time unless the service says
// otherwise (Q3), and never at or after the end.
func (r *Rules) inactivity() (warn, end time.Duration) {
	warn, end = r.InactivityWarn.Duration(), max(r.InactivityEnd.Duration(), 0)
	if warn == 0 {
		warn = (end / 2).Truncate(time.Millisecond) // as all times of a decision
	}
	if warn < 0 || end > 0 && warn >= end {
		warn = 0
	}
	return warn, end
}

func latest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.After(first) {
			first = t
		}
	}
	return first
}
