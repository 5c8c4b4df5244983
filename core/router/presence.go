package router

import (
	"context"
	"errors"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// AgentConnected counts a socket of an agent's in; the first one logs the
// agent in or ends a lost connection (A20). Every successful call is paired
// with one of AgentDisconnected.
func (r *Router) AgentConnected(ctx context.Context, id conversation.AgentID) error {
	if _, err := r.user(id); err != nil {
		return err
	}
	a := r.agent(id)
	a.mu.Lock()
	a.sockets++
	a.mu.Unlock()
	if err := r.command(ctx, id, acd.Login{}); err != nil {
		r.AgentDisconnected(id)
		return err
	}
	return nil
}

// AgentDisconnected counts a socket out. When it was the last, the agent's grace begins.
func (r *Router) AgentDisconnected(id conversation.AgentID) {
	a := r.agent(id)
	a.mu.Lock()
	a.sockets--
	last := a.sockets == 0
	a.mu.Unlock()
	if last {
		r.spawn(func() { r.disconnect(a) })
	}
}

func (r *Router) disconnect(a *agent) {
	a.mu.Lock()
	back := a.sockets > 0
	a.mu.Unlock()
	if back {
		return
	}
	if err := r.commandNow(a.id, acd.Disconnect{}); err != nil && !errors.Is(err, ErrStopped) {
		r.logger.Warn("agent's lost connection not recorded", "agent_id", a.id, "err", err)
		r.after(retryPause, func() { r.disconnect(a) })
		return
	}
	r.stillHere(a) // a socket that came in between has found the agent connected
}

// stillHere takes a lost connection back that another node has recorded, or a
// late goroutine of this one, while the agent has a socket here.
func (r *Router) stillHere(a *agent) {
	a.mu.Lock()
	here := a.sockets > 0
	a.mu.Unlock()
	if s := a.view.Load(); here && s.LoggedIn && s.Disconnected {
		if err := r.commandNow(a.id, acd.Connect{}); err != nil && !errors.Is(err, ErrStopped) {
			r.logger.Warn("agent's connection not recorded", "agent_id", a.id, "err", err)
		}
	}
}

// agentTick ends a lost connection's grace: what is being presented goes back
// to its queue first, then the agent is Not Ready (A20).
func (r *Router) agentTick(id conversation.AgentID) {
	s := r.agent(id).view.Load()
	if s.GraceUntil.IsZero() {
		return
	}
	if s.GraceUntil.After(r.now()) {
		r.timers.set(timerID{timerAgent, id}, s.GraceUntil)
		return
	}
	r.withdraw(s, conversation.CauseConnection)
	if err := r.commandNow(id, acd.Tick{}); err != nil && !errors.Is(err, ErrStopped) {
		r.logger.Warn("agent's grace could not be ended", "agent_id", id, "err", err)
		r.timers.set(timerID{timerAgent, id}, r.now().Add(time.Second))
	}
}

// withdraw takes back what is being presented to an agent.
func (r *Router) withdraw(s *acd.AgentState, cause conversation.Cause) {
	if s.Offer == nil {
		return
	}
	_, err := r.live(s.Offer.Conversation).do(r.ctx, &task{cmd: conversation.Decline{Offer: s.Offer.Offer, Agent: s.ID, Cause: cause}})
	if err != nil && !errors.Is(err, conversation.ErrOfferGone) && !errors.Is(err, conversation.ErrEnded) {
		r.logger.Warn("offer could not be withdrawn", "conversation_id", s.Offer.Conversation, "err", err)
	}
}

// watchLost sets the timer after which a lost agent's conversations are
// handed on (A20): each has its own time, so the timer looks again.
func (r *Router) watchLost(s *acd.AgentState) {
	if s.Active() == 0 {
		return
	}
	switch {
	case !s.LoggedIn: // Logout did not reach all of them
		r.timers.set(timerID{timerRequeue, s.ID}, s.Since.Add(retryPause))
	case s.Disconnected:
		r.timers.set(timerID{timerRequeue, s.ID}, s.DisconnectedAt.Add(retryPause))
	}
}

// requeueLost hands on the conversations of an agent who is gone for longer than
// each conversation's service allows, and sets the timer for the rest.
func (r *Router) requeueLost(id conversation.AgentID) {
	s := r.agent(id).view.Load()
	if s.LoggedIn && !s.Disconnected {
		return
	}
	next := time.Time{}
	for _, w := range s.Work {
		if w.Wrapup {
			continue
		}
		if !s.LoggedIn {
			if err := r.requeue(w.Conversation, id, conversation.CauseLogout); err != nil && !errors.Is(err, ErrStopped) {
				r.logger.Warn("conversation of an agent who logged out could not be handed on", "conversation_id", w.Conversation, "err", err)
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
		if err := r.requeue(w.Conversation, id, conversation.CauseConnection); err != nil && !errors.Is(err, ErrStopped) {
			r.logger.Warn("conversation of a lost agent could not be queued again", "conversation_id", w.Conversation, "err", err)
			next = r.now().Add(retryPause)
		}
	}
	if !next.IsZero() {
		r.timers.set(timerID{timerRequeue, id}, next)
	}
}

func (r *Router) requeue(conv conversation.ConversationID, id conversation.AgentID, cause conversation.Cause) error {
	_, err := r.live(conv).do(r.ctx, &task{cmd: conversation.Requeue{Agent: id, Cause: cause, Request: conversation.NewID[conversation.RequestID]()}})
	if errors.Is(err, conversation.ErrNotJoined) || errors.Is(err, conversation.ErrEnded) {
		return nil
	}
	return err
}

// Logout ends an agent's working day: what is presented goes back, web chats
// go back to their queues, texts are parked (N16), after-call work ends.
func (r *Router) Logout(ctx context.Context, id conversation.AgentID) error {
	s := r.agent(id).view.Load()
	r.withdraw(s, conversation.CauseLogout)
	if err := r.command(ctx, id, acd.Logout{Cause: conversation.CauseLogout}); err != nil {
		return err
	}
	s = r.agent(id).view.Load()
	var errs []error
	for _, w := range s.Work {
		if w.Wrapup {
			_, err := r.live(w.Conversation).do(ctx, &task{cmd: conversation.FinishWrapup{Agent: id, Cause: conversation.CauseLogout}})
			if !errors.Is(err, conversation.ErrNoWrapup) {
				errs = append(errs, err)
			}
			continue
		}
		errs = append(errs, r.requeue(w.Conversation, id, conversation.CauseLogout))
	}
	return errors.Join(errs...)
}
