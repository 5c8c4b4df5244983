package conversation

import "fmt"

func (d *decision) visit(c Visit) error {
	if c.Body == nil {
		return fmt.Errorf("%w: page without a body", ErrInvalid)
	}
	// Readers of the customer's circle do not see the PageVisited event, so they need an event of
	// their own to learn that the warning is cancelled.
	if err := d.touch(); err != nil {
		return err
	}
	d.emit(&PageVisited{}, c.Body)
	return nil
}

func (d *decision) touch() error {
	if !d.s.WarnedAt.IsZero() {
		d.emit(&InactivityCancelled{}, nil)
	}
	return nil
}

func (d *decision) updateCustomer(c UpdateCustomer) error {
	if d.s.Phase == PhaseConcluded {
		return ErrEnded
	}
	if c.Body == nil {
		return fmt.Errorf("%w: customer without a body", ErrInvalid)
	}
	d.emit(&CustomerUpdated{}, c.Body)
	return nil
}

func (d *decision) linkContact(c LinkContact) error {
	switch {
	case d.s.Phase == PhaseConcluded:
		return ErrEnded
	case c.Contact.IsZero():
		return fmt.Errorf("%w: link to no contact", ErrInvalid)
	case c.Contact == d.s.Contact:
		return nil
	}
	d.emit(&ContactLinked{Contact: c.Contact, By: c.By}, nil)
	return nil
}

func (d *decision) changeConsent(c ChangeConsent) error {
	d.emit(&ConsentChanged{Out: c.Out}, c.Body)
	return nil
}

// maxEndpoints bounds how many endpoints one conversation may have.
const maxEndpoints = 16

func (d *decision) addEndpoint(c AddEndpoint) error {
	for _, e := range d.s.Endpoints {
		if e == c.Endpoint {
			return nil
		}
	}
	if len(d.s.Endpoints) >= maxEndpoints {
		return fmt.Errorf("%w: more than %d endpoints", ErrInvalid, maxEndpoints)
	}
	d.emit(&EndpointAdded{Channel: c.Channel, Endpoint: c.Endpoint, Capabilities: c.Capabilities}, c.Body)
	return nil
}

func (d *decision) customerEnd(c CustomerEnd) error {
	cause := c.Cause
	if cause == "" {
		cause = CauseCustomer
	}
	d.end(Author{Kind: Customer}, cause)
	return nil
}
