package conversation

import (
	"encoding/json"
	"fmt"
)

// enter makes an agent take part. If the agent was in after-call work, that work ends.
func (d *decision) enter(a AgentID, body json.RawMessage) {
	p := d.s.Participant(a)
	if p != nil && p.State == Joined {
		return
	}
	if m := d.s.ModeOf(a); m != "" {
		d.superviseNoMore(a, m, CauseAccepted)
	}
	if p != nil && p.State == Wrapup {
		d.emit(&WrapupEnded{Agent: a, Cause: CauseAccepted}, nil)
	}
	d.emit(&ParticipantJoined{Who: Author{Kind: Agent, Agent: a}}, body)
}

func (d *decision) join(c Join) error {
	switch {
	case c.Agent.IsZero():
		return fmt.Errorf("%w: join of nobody", ErrInvalid)
	case d.s.JoinedAgent(c.Agent):
		return ErrAlreadyJoined
	}
	if d.s.Parking != nil {
		d.emit(&Unparked{Owner: d.s.Parking.Owner, Cause: CauseAgent}, nil)
	}
	// An agent has come, so requests to the queue or to an owner are withdrawn. Invitations by
	// agents who stay in the conversation are kept, except those that invite this agent.
	alone := !d.s.agentJoined()
	d.cancelWhere(CauseWithdrawn, func(r *Request) bool {
		return r.Target.Kind != TargetAgent && alone || r.Target.Agent == c.Agent || r.InvitedBy.IsZero()
	})
	d.enter(c.Agent, c.Body)
	return nil
}

func (d *decision) botJoin(c BotJoin) error {
	switch {
	case c.Bot.IsZero():
		return fmt.Errorf("%w: join of no bot", ErrInvalid)
	case d.s.bot() != nil:
		return ErrAlreadyJoined
	case d.s.Parking != nil:
		return ErrParked
	}
	d.emit(&ParticipantJoined{Who: Author{Kind: Bot, Bot: c.Bot}}, c.Body)
	return nil
}

func (d *decision) botLeave(c BotLeave) error {
	bot := d.s.bot()
	if bot == nil || !c.Bot.IsZero() && c.Bot != bot.Who.Bot {
		return ErrNotJoined
	}
	cause, who := c.Cause, bot.Who
	if cause == "" {
		cause = CauseBot
	}
	if c.Note != nil {
		if c.NoteID.IsZero() {
			return fmt.Errorf("%w: note without an id", ErrInvalid)
		}
		d.emit(&Note{ID: c.NoteID, Author: who, Kinds: []PartKind{PartText}}, c.Note)
	}
	if c.End {
		d.end(who, cause)
		return nil
	}
	return d.handOver(who, cause, &c)
}

// handOver takes a bot out. With nobody else in or asked, the service's queue gets the conversation;
// without a service nobody could come, and it ends.
func (d *decision) handOver(bot Author, cause Cause, to *BotLeave) error {
	alone := !d.s.agentJoined() && len(d.s.Requests) == 0
	service, rules := d.s.Service, (*Rules)(nil)
	if !to.Service.IsZero() && to.Service != service {
		service, rules = to.Service, to.Rules
	}
	switch {
	case alone && service.IsZero():
		d.end(bot, cause)
		return nil
	case alone && to.Request.IsZero():
		return fmt.Errorf("%w: no id for the routing request", ErrInvalid)
	}
	d.emit(&ParticipantLeft{Who: bot, Cause: cause}, nil)
	if !alone {
		return nil
	}
	return d.request(&RoutingRequested{
		Request: to.Request, Target: Target{Kind: TargetService, Service: service},
		Cause: CauseBot, WaitingSince: d.now, Rules: rules,
	})
}

// leave carries out an agent's End Chat.
func (d *decision) leave(c Leave) error {
	if !d.s.JoinedAgent(c.Agent) {
		return ErrNotJoined
	}
	if d.othersJoined(c.Agent) || d.queueAsked() {
		d.exit(c.Agent, CauseAgent, true)
		return nil
	}
	if len(d.s.Requests) == 0 {
		d.end(Author{Kind: Agent, Agent: c.Agent}, CauseAgent)
		return nil
	}
	// Only invitations that name one agent are left: nobody would remain in the conversation (T5).
	switch {
	case !c.Queue:
		return ErrInvitePending
	case d.s.Service.IsZero():
		return ErrNoService
	}
	d.cancelWhere(CauseCancelled, anyRequest)
	d.exit(c.Agent, CauseAgent, true)
	return d.request(&RoutingRequested{
		Request: c.Request, Target: Target{Kind: TargetService, Service: d.s.Service},
		Cause: CauseTransfer, InvitedBy: c.Agent, WaitingSince: d.now,
	})
}

func (d *decision) othersJoined(a AgentID) bool {
	for i := range d.s.Participants {
		p := &d.s.Participants[i]
		if p.State == Joined && p.Who.Kind == Agent && p.Who.Agent != a {
			return true
		}
	}
	return false
}

// queueAsked reports whether a live request waits in a queue or in the directory. Such a request
// keeps a conversation open in which nobody takes part (T4).
func (d *decision) queueAsked() bool {
	for i := range d.s.Requests {
		if !d.s.Requests[i].Personal() {
			return true
		}
	}
	return false
}

// exit makes one agent leave. After-call work follows if the service grants it and wrapup is set,
// that is, if the agent is there to do it.
func (d *decision) exit(a AgentID, cause Cause, wrapup bool) {
	d.emit(&ParticipantLeft{Who: Author{Kind: Agent, Agent: a}, Cause: cause}, nil)
	if wrapup && d.s.Rules.WrapupLimit != 0 {
		d.emit(&WrapupStarted{Agent: a, Until: d.wrapupUntil()}, nil)
	}
}

func (d *decision) requeue(c Requeue) error {
	cause := c.Cause
	if cause == "" {
		cause = CauseConnection
	}
	p := d.s.Participant(c.Agent)
	switch {
	case p == nil || p.State == Left:
		return ErrNotJoined
	case p.State == Wrapup:
		d.endWrapup(c.Agent, "", cause, nil)
		return nil
	case d.othersJoined(c.Agent) || d.queueAsked():
		d.exit(c.Agent, cause, false)
		return nil
	case d.s.CallActive():
		return ErrCallActive
	case d.s.Async() || d.s.Service.IsZero():
		d.setAside(c.Agent, cause)
		return nil
	}
	since := d.s.WaitedSince
	if since.IsZero() {
		since = d.s.StartedAt
	}
	d.cancelWhere(CauseWithdrawn, anyRequest)
	d.exit(c.Agent, cause, false)
	return d.request(&RoutingRequested{
		Request: c.Request, Target: Target{Kind: TargetService, Service: d.s.Service},
		Cause: CauseRequeue, WaitingSince: since,
	})
}

func (d *decision) park(c Park) error {
	if !d.s.JoinedAgent(c.Owner) {
		return ErrNotJoined
	}
	cause := c.Cause
	if cause == "" {
		cause = CauseManual
	}
	if d.othersJoined(c.Owner) || d.queueAsked() {
		d.exit(c.Owner, cause, false)
		return nil
	}
	if d.s.CallActive() {
		return ErrCallActive
	}
	d.setAside(c.Owner, cause)
	return nil
}

// setAside parks the conversation: all requests and tools end, and all agents and bots leave.
func (d *decision) setAside(owner AgentID, cause Cause) {
	d.cancelWhere(CauseWithdrawn, anyRequest)
	d.endSessions(Author{Kind: System}, cause, anySession)
	d.everybodyOut(cause, false)
	d.emit(&Parked{Owner: owner, Cause: cause}, nil)
}

// everybodyOut makes all agents and bots leave.
func (d *decision) everybodyOut(cause Cause, wrapup bool) {
	for i := range d.s.Participants {
		switch p := &d.s.Participants[i]; {
		case p.State != Joined:
		case p.Who.Kind == Agent:
			d.exit(p.Who.Agent, cause, wrapup)
		case p.Who.Kind == Supervisor:
			d.superviseNoMore(p.Who.Agent, p.Mode, cause)
		default:
			d.emit(&ParticipantLeft{Who: p.Who, Cause: cause}, nil)
		}
	}
}

func (d *decision) flag(c Flag) error {
	switch {
	case !d.s.JoinedAgent(c.By):
		return ErrNotJoined
	case c.On == d.s.Flagged:
	case c.On:
		d.emit(&FlagSet{By: c.By}, nil)
	default:
		d.emit(&FlagCleared{By: c.By}, nil)
	}
	return nil
}
