package conversation

import "time"

// tick carries out what is due, earliest first. The loop ends, because each step removes its own
// deadline; only a warning is followed by a new one, the later end of the conversation.
func (d *decision) tick(c Tick) error {
	for {
		due, before := d.s.nextDue(), len(d.events)
		if due.kind == 0 || due.at.After(d.now) {
			return nil
		}
		if d.carryOut(due, c); len(d.events) == before || d.err != nil {
			return nil //nolint:nilerr // the caller reads d.err
		}
	}
}

func (d *decision) carryOut(due due, c Tick) {
	switch due.kind {
	case dueOffer:
		d.endOffer(d.s.Request(due.request), CauseExpired)
	case dueOwner:
		d.passOn(d.s.Request(due.request))
	case dueWarn:
		h := &InactivityWarned{}
		if warn, end := d.s.Rules.inactivity(); end > 0 {
			h.EndsAt = clean(d.now.Add(end - warn))
		}
		d.emit(h, c.Warning)
	case dueInactive, dueParkedEnd:
		d.end(Author{Kind: System}, CauseInactivity)
	case dueUnanswered:
		d.end(Author{Kind: System}, CauseUnanswered)
	case duePark:
		d.setAside(d.owner(), CauseIdle)
	case dueBot:
		d.err = d.handOver(d.s.bot().Who, CauseExpired, &BotLeave{Request: c.Request})
	case dueSession:
		d.sessionOver(d.s.Session(due.session), Author{Kind: System}, CauseFailed, CodeNoAnswer)
	case dueWrapup:
		d.endWrapup(due.agent, "", CauseExpired, nil)
	}
}

// owner is the agent to whom an idle exchange belongs: the one who has taken part longest.
func (d *decision) owner() AgentID {
	var owner AgentID
	var since time.Time
	for i := range d.s.Participants {
		p := &d.s.Participants[i]
		if p.State == Joined && p.Who.Kind == Agent && (owner.IsZero() || p.JoinedAt.Before(since)) {
			owner, since = p.Who.Agent, p.JoinedAt
		}
	}
	return owner
}
