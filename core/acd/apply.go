package acd

import (
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Apply folds one event of the agent's stream into a. It fails as conversation.State.Apply does,
// with conversation.ErrSequence or conversation.ErrUnknownType, and then leaves a unchanged.
func (a *AgentState) Apply(ev conversation.Event) error {
	if ev.Seq != a.Seq+1 {
		return fmt.Errorf("%w: seq %d after %d", conversation.ErrSequence, ev.Seq, a.Seq)
	}
	if ev.Head == nil {
		return fmt.Errorf("%w: no head", conversation.ErrUnknownType)
	}
	before := a.Status()
	if _, ignored := ev.Head.(*conversation.Ignored); !ignored && !a.applyMode(ev.Head, ev.At) && !a.applyWork(ev.Head, ev.At) {
		return fmt.Errorf("%w %q", conversation.ErrUnknownType, ev.Head.Type())
	}
	a.Seq = ev.Seq
	if a.Status() != before || a.Since.IsZero() {
		a.Since = ev.At
	}
	return nil
}

func (a *AgentState) applyMode(head conversation.Head, at time.Time) bool {
	switch h := head.(type) {
	case *LoggedIn:
		a.LoggedIn, a.LoggedInAt = true, at
		a.setMode(false, ReasonLogin)
		a.Nodes = nil
		a.connect(h.Node)
	case *LoggedOut:
		a.LoggedIn, a.LoggedInAt = false, time.Time{}
		a.setMode(false, "")
		a.Nodes = nil
		a.connect("")
	case *Ready:
		a.setMode(true, "")
		a.IdleSince = at
	case *NotReady:
		a.setMode(false, h.Reason)
		if h.Reason == ReasonConnection { // the grace period is over
			a.GraceUntil = time.Time{}
		}
	case *PendingNotReady:
		if len(a.Pending) == 0 {
			a.PendingAt = at
		}
		if !slices.Contains(a.Pending, h.Reason) {
			a.Pending = append(a.Pending, h.Reason)
		}
	case *PendingCleared:
		a.Pending, a.PendingAt = nil, time.Time{}
	case *Disconnected:
		a.Disconnected, a.DisconnectedAt, a.GraceUntil = true, at, h.GraceUntil
		a.Nodes = nil
	case *Connected:
		a.connect(h.Node)
	case *LeftNode:
		if a.Nodes = slices.DeleteFunc(a.Nodes, func(n string) bool { return n == h.Node }); len(a.Nodes) == 0 {
			a.Nodes = nil // nil and not empty, so that the state equals one decoded from JSON
		}
	default:
		return false
	}
	return true
}

func (a *AgentState) setMode(ready bool, reason Reason) {
	a.Ready, a.Reason = ready, reason
	a.Pending, a.PendingAt = nil, time.Time{}
}

func (a *AgentState) connect(node string) {
	a.Disconnected, a.DisconnectedAt, a.GraceUntil = false, time.Time{}, time.Time{}
	if node != "" && !slices.Contains(a.Nodes, node) {
		a.Nodes = append(a.Nodes, node)
	}
}

func (a *AgentState) applyWork(head conversation.Head, at time.Time) bool {
	switch h := head.(type) {
	case *Offered:
		a.Offer = &HeldOffer{
			Offer: h.Offer, Conversation: h.Conversation, Request: h.Request, Medium: h.Medium,
			Share: h.Share, Invite: h.Invite, At: at, ExpiresAt: h.ExpiresAt,
		}
	case *OfferEnded:
		if a.Offer != nil && a.Offer.Offer == h.Offer {
			a.Offer = nil
		}
	case *Engaged:
		a.dropWork(h.Conversation)
		a.Work = append(a.Work, Work{Conversation: h.Conversation, Medium: h.Medium, Share: h.Share, Since: at})
		a.IdleSince = at
	case *WrapupStarted:
		if w := a.Holds(h.Conversation); w != nil {
			w.Wrapup, w.WrapupSince, w.WrapupUntil = true, at, h.Until
		}
	case *Released:
		a.dropWork(h.Conversation)
		a.IdleSince = at
	case *SupervisionStarted:
		if !slices.Contains(a.Supervises, h.Conversation) {
			a.Supervises = append(a.Supervises, h.Conversation)
		}
	case *SupervisionEnded:
		a.Supervises = slices.DeleteFunc(a.Supervises, func(c conversation.ConversationID) bool { return c == h.Conversation })
		if len(a.Supervises) == 0 {
			a.Supervises = nil // nil and not empty, so that the state equals one decoded from JSON
		}
	default:
		return false
	}
	return true
}

func (a *AgentState) dropWork(c conversation.ConversationID) {
	i := a.workIndex(c)
	if i < 0 {
		return
	}
	if a.Work = slices.Delete(a.Work, i, i+1); len(a.Work) == 0 {
		a.Work = nil // nil and not empty, so that the state equals one decoded from JSON
	}
}
