package router

import (
	"context"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
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
	services := snap.Services()
	ids := make([]conversation.ServiceID, len(services))
	for i := range services {
		ids[i] = services[i].ID
	}
	for i, c := range r.dispatch.Counts(ids) {
		b.Queues = append(b.Queues, BoardQueue{
			Service: services[i].ID, Name: services[i].Name,
			Waiting: c.Waiting, OldestSince: c.OldestSince, Offered: c.Offered, Active: c.Active,
			AgentsReady: c.Available, AgentsServed: c.LoggedIn,
		})
	}
	return b
}
