package acd

import (
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
)

func (d *decision) login(c Login) {
	if !d.a.LoggedIn {
		d.emit(&LoggedIn{Node: c.Node})
		return
	}
	d.connect(c.Node)
}

func (d *decision) connect(node string) {
	if d.a.Disconnected || d.a.LoggedIn && node != "" && !slices.Contains(d.a.Nodes, node) {
		d.emit(&Connected{Node: node})
	}
}

func (d *decision) logout(c Logout) error {
	if !d.a.LoggedIn {
		return nil
	}
	if d.a.Offer != nil {
		return ErrOfferPending
	}
	cause := c.Cause
	if cause == "" {
		cause = conversation.CauseLogout
	}
	d.emit(&LoggedOut{Cause: cause})
	return nil
}

func (d *decision) ready() error {
	switch {
	case !d.a.LoggedIn:
		return ErrLoggedOut
	case !d.a.Ready:
		d.emit(&Ready{})
	case len(d.a.Pending) > 0:
		d.emit(&PendingCleared{})
	}
	return nil
}

func (d *decision) notReady(c BeNotReady) error {
	if !d.a.LoggedIn {
		return ErrLoggedOut
	}
	reason := c.Reason
	if reason == "" {
		reason = ReasonManual
	}
	switch {
	case !d.a.Ready && d.a.Reason != reason:
		d.emit(&NotReady{Reason: reason})
	case !d.a.Ready, slices.Contains(d.a.Pending, reason):
	case d.inHand():
		d.emit(&PendingNotReady{Reason: reason})
	default:
		d.emit(&NotReady{Reason: reason})
	}
	return nil
}

func (d *decision) disconnect(c Disconnect) {
	if !d.a.LoggedIn || d.a.Disconnected {
		return
	}
	if c.Node != "" && len(d.a.Nodes) > 0 {
		switch {
		case !slices.Contains(d.a.Nodes, c.Node):
			return
		case len(d.a.Nodes) > 1:
			d.emit(&LeftNode{Node: c.Node, Ignorable: true})
			return
		}
	}
	grace := c.Grace
	if grace <= 0 {
		grace = Grace
	}
	d.emit(&Disconnected{GraceUntil: d.now.Add(grace)})
}

// tick ends the grace period of a lost connection: the agent becomes Not Ready (connection) at
// once, even with work in hand, and is still in that mode after connecting again.
func (d *decision) tick() error {
	if d.a.GraceUntil.IsZero() || d.a.GraceUntil.After(d.now) {
		return nil
	}
	if d.a.Offer != nil {
		return ErrOfferPending
	}
	d.emit(&NotReady{Reason: ReasonConnection})
	return nil
}

func (d *decision) dropOffer(cause conversation.Cause) {
	if o := d.a.Offer; o != nil {
		d.emit(&OfferEnded{Offer: o.Offer, Conversation: o.Conversation, Invite: o.Invite, Cause: cause})
	}
}
