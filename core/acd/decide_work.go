package acd

import (
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
)

func (d *decision) present(c Present) error {
	switch {
	case c.Offer.IsZero() || c.Conversation.IsZero() || c.Request.IsZero():
		return fmt.Errorf("%w: offer without ids", ErrInvalid)
	case c.Share < 0 || c.Spare < 0:
		return fmt.Errorf("%w: negative share", ErrInvalid)
	case !d.a.LoggedIn:
		return ErrLoggedOut
	case d.a.Offer != nil:
		return ErrOfferPending
	case c.Invite && !d.a.Invitable(), !c.Invite && !d.a.Offerable():
		return ErrUnavailable
	case !c.Invite && !d.fits(c):
		return ErrNoCapacity
	}
	d.emit(&Offered{
		Offer: c.Offer, Conversation: c.Conversation, Request: c.Request, Medium: c.Medium,
		Share: c.Share, Invite: c.Invite, ExpiresAt: c.ExpiresAt,
	})
	return nil
}

func (d *decision) fits(c Present) bool {
	var h InHand
	h.read(d.a)
	return c.Limits.Fits(&h, Need{Medium: c.Medium, Share: c.Share, Spare: c.Spare})
}

func (d *decision) accepted(c Accepted) error {
	o := d.a.Offer
	if o == nil || o.Offer != c.Offer {
		return ErrOfferGone
	}
	held := *o
	d.dropOffer(conversation.CauseAccepted)
	d.emit(&Engaged{Conversation: held.Conversation, Medium: held.Medium, Share: held.Share})
	return nil
}

func (d *decision) endOffer(c EndOffer) {
	o := d.a.Offer
	if o == nil || o.Offer != c.Offer {
		return
	}
	invite := o.Invite
	d.dropOffer(c.Cause)
	switch {
	case invite: // an invitation never changes the invitee's state (T6)
	case c.Cause == conversation.CauseRejected:
		d.unready(ReasonRejected)
	case c.Cause == conversation.CauseExpired:
		d.unready(ReasonExpired)
	default: // back to the former state (A19), or to Not Ready if that is pending
		d.applyPending()
	}
}

func (d *decision) engage(c Engage) error {
	if c.Conversation.IsZero() || c.Share < 0 {
		return fmt.Errorf("%w: engaged with nothing", ErrInvalid)
	}
	if w := d.a.Holds(c.Conversation); w != nil && !w.Wrapup {
		return nil
	}
	d.emit(&Engaged{Conversation: c.Conversation, Medium: c.Medium, Share: c.Share})
	return nil
}

func (d *decision) startWrapup(c StartWrapup) {
	if w := d.a.Holds(c.Conversation); w != nil && !w.Wrapup {
		d.emit(&WrapupStarted{Conversation: c.Conversation, Until: c.Until})
	}
}

func (d *decision) release(c Release) {
	if d.a.Holds(c.Conversation) == nil {
		return
	}
	d.emit(&Released{Conversation: c.Conversation, Cause: c.Cause})
	d.applyPending()
}

// maxSupervised bounds how many conversations an agent supervises at once, which an agent's row lists.
const maxSupervised = 200

func (d *decision) supervise(c Supervise) error {
	switch {
	case slices.Contains(d.a.Supervises, c.Conversation):
		return nil
	case c.Conversation.IsZero():
		return fmt.Errorf("%w: supervision of nothing", ErrInvalid)
	case d.a.Away():
		return ErrLoggedOut
	case len(d.a.Supervises) >= maxSupervised:
		return ErrNoCapacity
	}
	d.emit(&SupervisionStarted{Conversation: c.Conversation, Ignorable: true})
	return nil
}
