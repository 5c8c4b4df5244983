package desk

import (
	"context"

	"github.com/parley-gateway/parley/core/conversation"
)

// Board returns the supervisors' view of agents and queues. It is made from memory, without reading
// the log.
func (d *Desk) Board(_ context.Context) Board {
	snap := d.o.Directory.Snapshot()
	b := Board{At: d.o.Now().UTC()}
	for _, u := range snap.Users() {
		if u.Disabled {
			continue
		}
		s := d.o.Agents.State(u.ID)
		line := BoardAgent{
			ID: u.ID, Name: u.Name, Status: string(s.Status()), Reason: string(s.Reason), Pending: len(s.Pending) > 0, Since: s.Since,
			Active: s.Active(), Wrapup: s.InWrapup(), Load: s.Load(),
		}
		if s.Offer != nil {
			line.Offers = 1
		}
		b.Agents = append(b.Agents, line)
	}
	services := snap.Services()
	ids := make([]conversation.ServiceID, len(services))
	for i := range services {
		ids[i] = services[i].ID
	}
	for i, c := range d.o.Dispatch.Counts(ids) {
		b.Queues = append(b.Queues, BoardQueue{
			Service: services[i].ID, Name: services[i].Name,
			Waiting: c.Waiting, OldestSince: c.OldestSince, Offered: c.Offered, Active: c.Active,
			AgentsReady: c.Available, AgentsServed: c.LoggedIn,
		})
	}
	return b
}
