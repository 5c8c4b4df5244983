package conversation

import (
	"fmt"
	"time"
)

// maxRequests bounds the live routing requests of one conversation.
const maxRequests = 16

func (d *decision) offer(c Offer) error {
	r := d.s.Request(c.Request)
	switch {
	case r == nil:
		return ErrNoSuchRequest
	case r.State == Offered:
		return ErrAlreadyOffered
	case c.Offer.IsZero() || c.Agent.IsZero():
		return fmt.Errorf("%w: offer without an id or agent", ErrInvalid)
	case d.s.OfferedTo(c.Offer) != nil:
		return fmt.Errorf("%w: offer id is in use", ErrInvalid)
	case r.Target.Kind == TargetAgent && r.Target.Agent != c.Agent:
		return fmt.Errorf("%w: the request asks for another agent", ErrInvalid)
	case d.s.JoinedAgent(c.Agent):
		return ErrAlreadyJoined
	}
	h := &RoutingOffered{Request: c.Request, Offer: c.Offer, Agent: c.Agent, Invite: r.Personal(), Epoch: c.Epoch}
	if t := d.s.RulesOf(r).OfferTimeout; t > 0 {
		h.ExpiresAt = clean(d.now.Add(t.Duration()))
	}
	d.emit(h, nil)
	return nil
}

// RulesOf are the rules under which a request waits and is offered: the target
// service's, or the conversation's own.
func (s *State) RulesOf(r *Request) *Rules {
	if r.Rules != nil {
		return r.Rules
	}
	return &s.Rules
}

func (d *decision) accept(c Accept) error {
	r := d.s.OfferedTo(c.Offer)
	if r == nil || r.Agent != c.Agent {
		return ErrOfferGone
	}
	request := *r
	d.emit(&JoinedBy{Agent: c.Agent, Request: request.ID, Offer: c.Offer}, nil)
	// A transfer, and a bot's hand-over, assign the new service; an invitation to help leaves the
	// service as it is.
	if (request.Cause == CauseTransfer || request.Cause == CauseBot) && request.Rules != nil && request.Target.Service != d.s.Service {
		d.emit(&Assigned{Service: request.Target.Service, Rules: *request.Rules}, c.AssignedBody)
	}
	d.enter(c.Agent, c.Body)
	return nil
}

func (d *decision) decline(c Decline) error {
	r := d.s.OfferedTo(c.Offer)
	if r == nil || r.Agent != c.Agent {
		return ErrOfferGone
	}
	cause := c.Cause
	if cause == "" {
		cause = CauseRejected
	}
	d.endOffer(r, cause)
	return nil
}

// endOffer ends an offer without a join.
func (d *decision) endOffer(r *Request, cause Cause) {
	id := r.ID
	d.emit(&RoutingDeclined{Request: id, Offer: r.Offer, Agent: r.Agent, Cause: cause}, nil)
	if left := d.s.Request(id); left != nil && left.Target.Kind == TargetAgent && refused(cause) {
		d.passOn(left)
	}
}

// passOn sends a reply that its owner does not take to the service's queue, keeping its waiting
// time (N16). Owners are asked first only where there is a service.
func (d *decision) passOn(r *Request) {
	d.emit(&RoutingRequested{
		Request: r.ID, Target: Target{Kind: TargetService, Service: d.s.Service},
		Cause: r.Cause, WaitingSince: r.WaitingSince, DeclinedBy: r.DeclinedBy,
	}, nil)
}

func (d *decision) invite(c Invite) error {
	if !d.s.JoinedAgent(c.By) {
		return ErrNotJoined
	}
	if err := d.checkTarget(c); err != nil {
		return err
	}
	cause := CauseInvite
	if c.Transfer {
		cause = CauseTransfer
	}
	h := &RoutingRequested{Request: c.Request, Target: c.Target, Cause: cause, InvitedBy: c.By, WaitingSince: d.now}
	if c.Target.Kind != TargetAgent {
		h.Rules = c.Rules
	}
	return d.request(h)
}

func (d *decision) checkTarget(c Invite) error {
	t := c.Target
	switch t.Kind {
	case TargetAgent:
		if t.Agent.IsZero() || !t.Service.IsZero() || t.Agent == c.By {
			return fmt.Errorf("%w: invitation of no other agent", ErrInvalid)
		}
		if d.s.JoinedAgent(t.Agent) {
			return ErrAlreadyJoined
		}
	case TargetService, TargetDirectory:
		if t.Service.IsZero() || !t.Agent.IsZero() {
			return fmt.Errorf("%w: invitation of no service", ErrInvalid)
		}
	default:
		return fmt.Errorf("%w: invitation of an unknown kind of target", ErrInvalid)
	}
	for i := range d.s.Requests {
		if d.s.Requests[i].Target == t {
			return ErrAlreadyInvited
		}
	}
	if len(d.s.Requests) >= maxRequests {
		return fmt.Errorf("%w: more than %d live requests", ErrInvalid, maxRequests)
	}
	return nil
}

func (d *decision) cancelInvite(c CancelInvite) error {
	r := d.s.Request(c.Request)
	switch {
	case !d.s.JoinedAgent(c.By): // checked first, so that only participants learn whether there is such a request
		return ErrNotJoined
	case r == nil || r.InvitedBy.IsZero():
		return ErrNoSuchRequest
	}
	d.cancel(r, CauseCancelled)
	return nil
}

func (d *decision) cancel(r *Request, cause Cause) {
	d.emit(&RoutingCancelled{Request: r.ID, Offer: r.Offer, Agent: r.Agent, Cause: cause}, nil)
}

// cancelWhere cancels every live request for which match is true.
func (d *decision) cancelWhere(cause Cause, match func(*Request) bool) {
	for i := 0; i < len(d.s.Requests); {
		if r := &d.s.Requests[i]; match(r) {
			d.cancel(r, cause) // also removes the request from d.s.Requests
			continue
		}
		i++
	}
}

func anyRequest(*Request) bool { return true }

// wrapupUntil is when after-call work that begins now has to end; zero: no limit.
func (d *decision) wrapupUntil() time.Time {
	if d.s.Rules.WrapupLimit < 0 {
		return time.Time{}
	}
	return clean(d.now.Add(d.s.Rules.WrapupLimit.Duration()))
}
