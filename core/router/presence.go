package router

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/agents"
	"github.com/parley-gateway/parley/core/conversation"
)

// AgentConnected counts a new socket of an agent; the first one logs the agent in or ends a lost
// connection (A20). Every successful call must be followed by one of AgentDisconnected.
func (r *Router) AgentConnected(ctx context.Context, id conversation.AgentID) error {
	if _, err := r.user(id); err != nil {
		return err
	}
	return r.agents.Connected(ctx, id)
}

// AgentDisconnected counts a closed socket. When it was the agent's last one, the grace period
// begins.
func (r *Router) AgentDisconnected(id conversation.AgentID) { r.agents.Disconnected(id) }

// agentTick ends the grace period of an agent who lost the connection: the offer that is being
// presented goes back to its queue and the agent is Not Ready (A20).
func (r *Router) agentTick(id conversation.AgentID) {
	s := r.agents.State(id)
	if s.GraceUntil.IsZero() {
		return
	}
	if s.GraceUntil.After(r.now()) {
		r.setTimer(timerID{timerAgent, id}, s.GraceUntil)
		return
	}
	if err := r.stepBack(r.ctx, id, acd.Tick{}, conversation.CauseConnection); err != nil && !errors.Is(err, ErrStopped) {
		r.logger.Warn("agent's grace could not be ended", "agent_id", id, "err", err)
		r.timers.Set(timerID{timerAgent, id}, r.now().Add(time.Second))
	}
}

// stepBack carries out a command with which an agent stops taking offers (Logout, Tick), together
// with the end of the offer that is being presented to that agent: conversation and agent change in
// one append. With two appends, the request would be offered anew to the agent, who is still Ready
// after the first, and the second would end that offer in the agent's stream alone.
func (r *Router) stepBack(ctx context.Context, id conversation.AgentID, cmd acd.Command, cause conversation.Cause) error {
	for attempt := 0; ; attempt++ {
		err := r.tryStepBack(ctx, id, cmd, cause)
		if !errors.Is(err, acd.ErrOfferPending) && !errors.Is(err, conversation.ErrOfferGone) || attempt == maxRetries {
			return err
		}
	}
}

// tryStepBack fails with acd.ErrOfferPending or conversation.ErrOfferGone when the agent's offer
// changed in the meantime.
func (r *Router) tryStepBack(ctx context.Context, id conversation.AgentID, cmd acd.Command, cause conversation.Cause) error {
	offer := r.agents.State(id).Offer
	if offer == nil {
		return r.agents.Command(ctx, id, cmd)
	}
	_, err := r.live(offer.Conversation).do(ctx, &task{
		cmd:  conversation.Decline{Offer: offer.Offer, Agent: id, Cause: cause},
		with: &acd.ForAgent{Agent: id, Command: cmd},
	})
	switch {
	case errors.Is(err, agents.ErrNothingToDo):
		return nil
	case errors.Is(err, conversation.ErrOfferGone), errors.Is(err, conversation.ErrEnded), errors.Is(err, ErrNotFound):
		return r.dropGhost(ctx, id, offer, cause)
	}
	return err
}

// dropGhost ends an offer in the agent's stream alone, after the conversation has said that it has
// no such offer. It may have said so from a state in memory that is behind the log, so the
// conversation is read from the log first, and an offer that it has after all is left alone.
// dropGhost always fails: with conversation.ErrOfferGone, or with the error that prevented it.
func (r *Router) dropGhost(ctx context.Context, id conversation.AgentID, offer *acd.HeldOffer, cause conversation.Cause) error {
	held := false
	_, err := r.live(offer.Conversation).do(ctx, &task{
		reload: math.MaxUint64,
		read:   func(s *conversation.State) { held = s.OfferedTo(offer.Offer) != nil },
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if !held {
		if err := r.agents.Command(ctx, id, acd.EndOffer{Offer: offer.Offer, Cause: cause}); err != nil {
			return err
		}
	}
	return fmt.Errorf("router: offer %s: %w", offer.Offer, conversation.ErrOfferGone)
}

// dropOrphans takes back offers that a conversation's row names but that the agents' streams know
// nothing of. Earlier versions could leave such offers; without an offer timeout no other agent
// would ever be asked.
func (r *Router) dropOrphans(s *conversation.State) {
	for i := range s.Requests {
		q := &s.Requests[i]
		if q.State != conversation.Offered {
			continue
		}
		offer, id, conv := q.Offer, q.Agent, s.ID
		if o := r.agents.State(id).Offer; o != nil && o.Offer == offer {
			continue
		}
		r.spawn(func() { r.dropOrphan(conv, id, offer) })
	}
}

func (r *Router) dropOrphan(conv conversation.ConversationID, id conversation.AgentID, offer conversation.OfferID) {
	// The rows of conversations and agents were read one after the other: an offer made in between
	// is in the agent's stream by now.
	held, err := r.agents.Holds(id, offer)
	if err == nil && !held {
		_, err = r.live(conv).do(r.ctx, &task{cmd: conversation.Decline{Offer: offer, Agent: id, Cause: conversation.CauseConnection}})
	}
	if err == nil || errors.Is(err, conversation.ErrOfferGone) || errors.Is(err, conversation.ErrEnded) || errors.Is(err, ErrNewer) || r.ctx.Err() != nil {
		return // a conversation that a newer node keeps is left for that node to mend
	}
	r.logger.Warn("offer that no agent holds could not be taken back", "conversation_id", conv, "agent_id", id, "err", err)
	r.after(retryPause, func() { r.dropOrphan(conv, id, offer) })
}

// watchLost sets the timer after which a lost agent's conversations are handed on (A20), not before
// from. The time differs by conversation, so requeueLost sets the timer again for those that are not
// due.
func (r *Router) watchLost(s *acd.AgentState, from time.Time) {
	at := s.DisconnectedAt
	switch {
	case !s.LoggedIn && len(s.Work) > 0: // Logout did not reach all of the agent's conversations
		at = s.Since
	case !s.Disconnected || s.Active() == 0:
		return
	}
	if at.Before(from) {
		at = from
	}
	r.setTimer(timerID{timerRequeue, s.ID}, at.Add(retryPause))
}

// noCall sees to the agents of a conversation without an active call: such a call keeps the
// conversation with an agent who is gone, also when it ends at another node.
func (r *Router) noCall(s *conversation.State) {
	if s.CallActive() {
		return
	}
	for i := range s.Participants {
		if p := &s.Participants[i]; p.State == conversation.Joined && p.Who.Kind == conversation.Agent {
			r.watchLost(r.agents.State(p.Who.Agent), r.now())
		}
	}
}

// requeueLost hands on the conversations of an agent who is gone for longer than
// each conversation's service allows, and sets the timer for the rest.
func (r *Router) requeueLost(id conversation.AgentID) {
	s := r.agents.State(id)
	if s.LoggedIn && !s.Disconnected {
		return
	}
	next := time.Time{}
	for _, w := range s.Work {
		if w.Wrapup && s.LoggedIn {
			continue
		}
		if !s.LoggedIn { // after-call work ends, too, since the agent is not there to do it
			if !r.handOn(w.Conversation, id, conversation.CauseLogout) {
				next = r.now().Add(retryPause)
			}
			continue
		}
		var wait time.Duration
		_, err := r.live(w.Conversation).do(r.ctx, &task{read: func(st *conversation.State) { wait = st.Rules.RequeueAfter.Duration() }})
		if err != nil && !errors.Is(err, ErrNotFound) {
			next = r.now().Add(retryPause)
			continue
		}
		if err != nil || wait == 0 {
			continue
		}
		at := s.DisconnectedAt.Add(wait)
		if at.After(r.now()) {
			if next.IsZero() || at.Before(next) {
				next = at
			}
			continue
		}
		if !r.handOn(w.Conversation, id, conversation.CauseConnection) {
			next = r.now().Add(retryPause)
		}
	}
	if !next.IsZero() {
		r.setTimer(timerID{timerRequeue, id}, next)
	}
}

// handOn hands on the conversation of an agent who is gone. False: it must be tried again. A call that
// is active keeps the conversation until noCall.
func (r *Router) handOn(conv conversation.ConversationID, id conversation.AgentID, cause conversation.Cause) bool {
	err := r.requeue(conv, id, cause)
	if err == nil || errors.Is(err, conversation.ErrCallActive) {
		return true
	}
	if !errors.Is(err, ErrStopped) {
		r.logger.Warn("conversation of an agent who is gone could not be handed on", "conversation_id", conv, "agent_id", id, "err", err)
	}
	return false
}

func (r *Router) requeue(conv conversation.ConversationID, id conversation.AgentID, cause conversation.Cause) error {
	_, err := r.live(conv).do(r.ctx, &task{cmd: conversation.Requeue{Agent: id, Cause: cause, Request: conversation.NewID[conversation.RequestID]()}})
	if errors.Is(err, conversation.ErrNotJoined) || errors.Is(err, conversation.ErrEnded) {
		return nil
	}
	return err
}

// Logout ends an agent's working day: the offer that is being presented and web chats go back to
// their queues, texts are parked (N16), after-call work and supervision end.
func (r *Router) Logout(ctx context.Context, id conversation.AgentID) error {
	if err := r.stepBack(ctx, id, acd.Logout{Cause: conversation.CauseLogout}, conversation.CauseLogout); err != nil {
		return err
	}
	s := r.agents.State(id)
	errs := []error{r.endSupervision(ctx, s, conversation.CauseLogout)}
	for _, w := range s.Work {
		if w.Wrapup {
			_, err := r.live(w.Conversation).do(ctx, &task{cmd: conversation.FinishWrapup{Agent: id, Cause: conversation.CauseLogout}})
			if !errors.Is(err, conversation.ErrNoWrapup) {
				errs = append(errs, err)
			}
			continue
		}
		err := r.requeue(w.Conversation, id, conversation.CauseLogout)
		if !errors.Is(err, conversation.ErrCallActive) { // the call goes on; noCall sees to the rest
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
