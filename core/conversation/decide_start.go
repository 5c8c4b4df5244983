package conversation

import (
	"fmt"
	"time"
)

func decideStart(s *State, c *Start, now time.Time) ([]Event, error) {
	if s.Phase != "" {
		return nil, ErrAlreadyStarted
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	d := &decision{s: &State{}, now: now}
	d.emit(&Started{
		ID: c.ID, Kind: c.Kind, Channel: c.Channel, Endpoint: c.Endpoint, Contact: c.Contact,
		Capabilities: c.Capabilities, ProviderAt: clean(c.ProviderAt), ReceivedAt: clean(c.ReceivedAt),
	}, c.Body)
	if !c.Service.IsZero() || c.Rules != (Rules{}) {
		d.emit(&Assigned{Service: c.Service, Rules: c.Rules}, c.AssignedBody)
	}
	if c.Page != nil {
		d.emit(&PageVisited{}, c.Page)
	}
	if c.Kind != Inbound {
		d.emit(&ParticipantJoined{Who: Author{Kind: Agent, Agent: c.Owner}}, c.OwnerBody)
	}
	direct := c.Kind == Inbound && c.Service.IsZero() && c.Bot.IsZero()
	if direct { // parked first: the message waits for its owner (O1)
		d.emit(&Parked{Owner: c.Owner, Cause: CauseStart}, nil)
	}
	// The message comes before the request, so that an agent who sees the offer sees its text too
	// (B1).
	if err := d.first(c.First); err != nil {
		return nil, err
	}
	if c.Kind == Inbound && !direct {
		if err := d.route(c); err != nil {
			return nil, err
		}
	}
	return d.events, d.err
}

func (c *Start) check() error {
	switch {
	case c.ID.IsZero():
		return fmt.Errorf("%w: start without an id", ErrInvalid)
	case c.Kind != Inbound && c.Kind != Outbound && c.Kind != Internal:
		return fmt.Errorf("%w: start of unknown kind", ErrInvalid)
	case c.Kind != Inbound && c.Owner.IsZero():
		return fmt.Errorf("%w: start by nobody", ErrInvalid)
	case c.Service.IsZero() && c.Owner.IsZero() && c.Bot.IsZero():
		return fmt.Errorf("%w: start for nobody", ErrInvalid)
	}
	return nil
}

// first adds the message that comes with a start.
func (d *decision) first(p *Post) error {
	if p == nil {
		return nil
	}
	if err := p.check(d.s, d.now); err != nil {
		return err
	}
	d.emit(p.head(), p.Body)
	return nil
}

// route asks a bot or the service's queue to handle a new inbound conversation.
func (d *decision) route(c *Start) error {
	if !c.Bot.IsZero() {
		d.emit(&ParticipantJoined{Who: Author{Kind: Bot, Bot: c.Bot}}, c.BotBody)
		return nil
	}
	return d.askOwnerOrQueue(c.Owner, c.Request, CauseStart)
}

// askOwnerOrQueue makes the routing request for a reply. The owner is asked first when there is one
// and the service gives owners time (Rules.OwnerFirst); otherwise the service's queue is asked.
func (d *decision) askOwnerOrQueue(owner AgentID, id RequestID, cause Cause) error {
	target := Target{Kind: TargetService, Service: d.s.Service}
	if !owner.IsZero() && d.s.Rules.OwnerFirst > 0 {
		target = Target{Kind: TargetAgent, Agent: owner}
	}
	return d.request(&RoutingRequested{Request: id, Target: target, Cause: cause, WaitingSince: d.now})
}

// request emits a new routing request after checking its id.
func (d *decision) request(h *RoutingRequested) error {
	if h.Request.IsZero() {
		return fmt.Errorf("%w: no id for the routing request", ErrInvalid)
	}
	if d.s.Request(h.Request) != nil {
		return fmt.Errorf("%w: routing request id is in use", ErrInvalid)
	}
	d.emit(h, nil)
	return nil
}
