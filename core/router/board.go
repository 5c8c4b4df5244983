package router

import (
	"context"

	"github.com/parley-gateway/parley/core/acd"
)

// Board is the supervisors' view of agents and queues, from what is in memory.
func (r *Router) Board(_ context.Context) Board {
	snap := r.dir.Snapshot()
	b := Board{At: r.now().UTC()}
	for _, u := range snap.Users() {
		if u.Disabled {
			continue
		}
		r.agentsMu.Lock()
		a := r.agents[u.ID]
		r.agentsMu.Unlock()
		line := BoardAgent{ID: u.ID, Name: u.Name, Status: string(acd.StatusLoggedOut)}
		if a != nil {
			s := a.view.Load()
			line.Status, line.Reason, line.Pending, line.Since = string(s.Status()), string(s.Reason), len(s.Pending) > 0, s.Since
			line.Active, line.Wrapup, line.Load = s.Active(), s.InWrapup(), s.Load()
			if s.Offer != nil {
				line.Offers = 1
			}
		}
		b.Agents = append(b.Agents, line)
	}
	q := r.routing
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, svc := range snap.Services() {
		line := BoardQueue{Service: svc.ID, Name: svc.Name}
		if t := q.tally[svc.ID]; t != nil {
			line.Active, line.Offered = t.active, t.offered
		}
		s := q.d.Queue(svc.ID)
		line.Waiting, line.OldestSince = s.Waiting, s.OldestSince
		line.AgentsReady, line.AgentsServed = s.Available, s.LoggedIn
		b.Queues = append(b.Queues, line)
	}
	return b
}
