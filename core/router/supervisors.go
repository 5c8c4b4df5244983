package router

import (
	"context"
	"errors"
	"math"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// watchSupervisor sets the timer that ends the supervision of somebody who is gone: after a logout, or
// when the grace period of a lost connection is over (A20).
func (r *Router) watchSupervisor(s *acd.AgentState) {
	if s.Away() && len(s.Supervises) > 0 {
		r.setTimer(timerID{timerSupervisor, s.ID}, r.now())
	}
}

// superviseNoMore ends what somebody who is gone supervises, and sets the timer again for what could
// not be ended.
func (r *Router) superviseNoMore(id conversation.AgentID) {
	s := r.agents.State(id)
	if !s.Away() {
		return // came back before anybody looked
	}
	cause := conversation.CauseConnection
	if !s.LoggedIn {
		cause = conversation.CauseLogout
	}
	if err := r.endSupervision(r.ctx, s, cause); err != nil && !errors.Is(err, ErrStopped) {
		r.logger.Warn("supervision by somebody who is gone could not be ended", "agent_id", id, "err", err)
		r.timers.Set(timerID{timerSupervisor, id}, r.now().Add(retryPause))
	}
}

// endSupervision ends all that an agent supervises. A conversation that cannot be written does not keep
// the others.
func (r *Router) endSupervision(ctx context.Context, s *acd.AgentState, cause conversation.Cause) error {
	var errs []error
	for _, conv := range s.Supervises {
		// The conversation is read from the log first: what this node has of it in memory may lack what
		// the agent's stream, which another node has written, knows already.
		out, err := r.live(conv).do(ctx, &task{reload: math.MaxUint64, cmd: conversation.Supervise{Agent: s.ID, Cause: cause}})
		if err == nil && out.last == 0 || conversation.Code(err) != "" || errors.Is(err, ErrNotFound) {
			// Nobody supervises there: an earlier version has ended it in the conversation alone.
			err = r.agents.Command(ctx, s.ID, acd.EndSupervision{Conversation: conv})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
