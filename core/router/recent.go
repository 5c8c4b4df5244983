package router

import (
	"context"
	"errors"
	"sync"

	"github.com/parley-gateway/parley/core/conversation"
)

// RecentSeen records that the agent has seen what waits in Recent: nothing in it is unread any
// more, on any device (O2).
func (r *Router) RecentSeen(ctx context.Context, agent conversation.AgentID) error {
	items := r.readers.Recent(agent).Items
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() {
			t := &task{prepare: func(t *task, s *conversation.State) error {
				t.cmd = nil
				if s.WaitsFor(agent) { // else the conversation does not wait for the agent any more
					t.cmd = conversation.Mark{By: conversation.Author{Kind: conversation.Agent, Agent: agent}, Read: s.Seq}
				}
				return nil
			}}
			if _, errs[i] = r.live(item.Conversation).do(ctx, t); errors.Is(errs[i], ErrNotFound) {
				errs[i] = nil
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
