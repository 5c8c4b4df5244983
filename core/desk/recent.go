package desk

import (
	"context"
	"errors"
	"sync"

	"github.com/parley-gateway/parley/core/conversation"
)

// RecentSeen records that the agent has seen what waits in Recent: nothing in it is unread any
// more, on any device (O2).
func (d *Desk) RecentSeen(ctx context.Context, agent conversation.AgentID) error {
	items := d.o.Readers.Recent(agent).Items
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() {
			t := Step{Decide: func(s *conversation.State) (p Plan, _ error) {
				if s.WaitsFor(agent) { // else the conversation does not wait for the agent any more
					p.Command = conversation.Mark{By: conversation.Author{Kind: conversation.Agent, Agent: agent}, Read: s.Seq}
				}
				return p, nil
			}}
			if _, errs[i] = d.o.Conversations.Do(ctx, item.Conversation, t); errors.Is(errs[i], ErrNotFound) {
				errs[i] = nil
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
