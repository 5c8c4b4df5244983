package acd

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Grace is the time after a lost connection during which the agent's mode stays as it is (A20).
const Grace = 30 * time.Second

// Refusals of Decide. They may come wrapped; test with errors.Is.
var (
	// ErrLoggedOut: the command needs a logged-in agent.
	ErrLoggedOut = errors.New("acd: agent is logged out")
	// ErrUnavailable: the agent is not Ready, is disconnected, or is in after-call work.
	ErrUnavailable = errors.New("acd: agent takes no offers")
	// ErrOfferPending: something is being presented to the agent.
	ErrOfferPending = errors.New("acd: agent has an offer")
	// ErrNoCapacity: the agent has too little free capacity (A18).
	ErrNoCapacity = errors.New("acd: agent has no capacity")
	// ErrOfferGone: the agent holds no such offer.
	ErrOfferGone = errors.New("acd: offer is gone")
	// ErrInvalid: the command contradicts itself or lacks an id.
	ErrInvalid = errors.New("acd: invalid command")
)

// Code is the published code of a refusal, "" when err is none of this package's.
func Code(err error) string {
	for _, c := range []struct {
		err  error
		code string
	}{
		{ErrLoggedOut, "logged_out"}, {ErrUnavailable, "unavailable"}, {ErrOfferPending, "offer_pending"},
		{ErrNoCapacity, "no_capacity"}, {ErrOfferGone, "offer_gone"}, {ErrInvalid, "invalid"},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return ""
}

// Decide turns a command into the events of the agent's stream that carry it out, numbered from
// a.Seq+1 and dated now (UTC, whole milliseconds). It is pure, as conversation.Decide is. No events
// and no error: the state is already as the command asks.
func Decide(a *AgentState, cmd Command, now time.Time) ([]conversation.Event, error) {
	if a == nil {
		a = &AgentState{}
	}
	d := &decision{a: a.Clone(), now: now.UTC().Truncate(time.Millisecond)}
	if err := d.run(cmd); err != nil {
		return nil, err
	}
	return d.events, d.err
}

// decision applies each event to a copy of the state as soon as it is emitted, so that later rules
// of the same decision see it.
type decision struct {
	a      *AgentState
	now    time.Time
	events []conversation.Event
	err    error // an error of Apply, which can only be a fault of this package
}

func (d *decision) emit(h conversation.Head) {
	ev := conversation.Event{Seq: d.a.Seq + 1, At: d.now, Head: h}
	if err := d.a.Apply(ev); err != nil && d.err == nil {
		d.err = err
	}
	d.events = append(d.events, ev)
}

func (d *decision) run(cmd Command) error {
	switch c := cmd.(type) {
	case Login:
		d.login(c)
	case Logout:
		return d.logout(c)
	case BeReady:
		return d.ready()
	case BeNotReady:
		return d.notReady(c)
	case Present:
		return d.present(c)
	case Accepted:
		return d.accepted(c)
	case EndOffer:
		d.endOffer(c)
	case Engage:
		return d.engage(c)
	case StartWrapup:
		d.startWrapup(c)
	case Release:
		d.release(c)
	case Supervise:
		return d.supervise(c)
	case EndSupervision:
		if slices.Contains(d.a.Supervises, c.Conversation) {
			d.emit(&SupervisionEnded{Conversation: c.Conversation, Ignorable: true})
		}
	case Disconnect:
		d.disconnect(c)
	case Connect:
		d.connect(c.Node)
	case Tick:
		return d.tick()
	default:
		return fmt.Errorf("%w: unknown command %T", ErrInvalid, cmd)
	}
	return nil
}

// applyPending turns a pending Not Ready into Not Ready once nothing is in hand (A10, A12, A15).
func (d *decision) applyPending() {
	if len(d.a.Pending) > 0 && !d.inHand() {
		d.emit(&NotReady{Reason: d.a.Pending[0], Also: slices.Clone(d.a.Pending[1:])})
	}
}

// unready makes the agent Not Ready now, or, with work in hand, when that work ends.
func (d *decision) unready(r Reason) {
	switch {
	case !d.a.Ready:
	case len(d.a.Pending) == 0 && !d.inHand():
		d.emit(&NotReady{Reason: r})
	default:
		if !slices.Contains(d.a.Pending, r) {
			d.emit(&PendingNotReady{Reason: r})
		}
		d.applyPending()
	}
}

// inHand reports whether the agent handles an interaction or is being presented an offer. An
// invitation that is being presented does not count (T6).
func (d *decision) inHand() bool {
	return len(d.a.Work) > 0 || d.a.Offer != nil && !d.a.Offer.Invite
}
