package conversation

import "time"

// dueKind tells which rule has a deadline.
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
	dueBot
	dueSession
)

// due is one deadline: its rule, and the request or agent that it concerns.
type due struct {
	at      time.Time
	kind    dueKind
	request RequestID // for dueOffer and dueOwner
	agent   AgentID   // for dueWrapup
	session SessionID // for dueSession
}

// NextDeadline is when Tick next has something to do; false: there is no deadline. The time may lie
// in the past. Every deadline is derived from the state, so timers are rebuilt by calling
// NextDeadline again (DESIGN.md 4). A Tick at or after it always yields events.
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
		for i := range s.Sessions {
			if at := s.Sessions[i].requestExpires(); !at.IsZero() {
				note(due{at: at, kind: dueSession, session: s.Sessions[i].ID})
			}
		}
		if !s.CallActive() { // during a call the customer is active, even if nothing is written
			if !s.AttendedAt.IsZero() {
				s.dueIdle(note)
			}
			s.dueParkedEnd(note)
			s.dueBot(note)
		}
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

// dueIdle finds the deadlines of a conversation in which an agent has joined: an idle customer is
// warned, or the exchange is parked, only while an agent is there.
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
		// The end is counted from the warning on, so that a customer who was warned late (because
		// the gateway was down) still gets the full time to answer.
		note(due{at: s.WarnedAt.Add(end - warn), kind: dueInactive})
	case end > 0:
		note(due{at: base.Add(end), kind: dueInactive})
	}
}

// dueParkedEnd finds the end of an exchange that no other rule ends: a parked one, one that only a
// bot handles, and one without a service while an agent keeps it open. A bot's messages do not
// count as activity.
func (s *State) dueParkedEnd(note func(due)) {
	end := s.Rules.parkedEnd()
	if end <= 0 || len(s.Requests) > 0 {
		return
	}
	last := latest(s.StartedAt, s.CustomerAt, s.touched)
	switch {
	case s.Parking != nil:
		last = latest(last, s.Parking.Since, s.ActivityAt)
	case s.AttendedAt.IsZero(): // only a bot takes part
	case s.Service.IsZero() && s.Kind != Internal && !s.Capabilities.Calls:
		last = latest(last, s.AttendedAt, s.ActivityAt)
	default:
		return
	}
	note(due{at: last.Add(end), kind: dueParkedEnd})
}

// dueBot finds when a bot that handles the conversation alone, and does not answer, hands it over to
// the service's queue.
func (s *State) dueBot(note func(due)) {
	silence := s.Rules.BotSilence
	if silence == 0 {
		silence = DefaultBotSilence
	}
	if silence > 0 && !s.BotAsked.IsZero() && s.AttendedAt.IsZero() && len(s.Requests) == 0 && !s.Service.IsZero() {
		note(due{at: s.BotAsked.Add(silence.Duration()), kind: dueBot})
	}
}

// parkedEnd is how long an exchange stays open that nobody attends to; negative: for ever.
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
		warn = (end / 2).Truncate(time.Millisecond) // whole milliseconds, as all times of a decision
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
