package api

import (
	"context"
	"net/http"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/auth"
)

type inviteesOutput struct {
	Body struct {
		Agents   []inviteeView `json:"agents"`
		Services []ServiceRef  `json:"services"`
	}
}

type inviteeView struct {
	ID     conversation.AgentID `json:"id" format:"uuid"`
	Name   string               `json:"name"`
	Status string               `json:"status" enum:"logged_out,not_ready,ready,busy,acw"`
}

// directoryRoutes lists the agents and services that an agent may invite (T1, T3): of colleagues it
// shows only name and state.
func (a *API) directoryRoutes() {
	register(a, op("directory", http.MethodGet, "/directory", "directory", "Agents and services that may be invited", directory.RoleAgent), directory.RoleAgent,
		func(ctx context.Context, _ auth.Identity, _ *struct{}) (*inviteesOutput, error) {
			status := map[conversation.AgentID]string{}
			for _, line := range a.opts.Router.Board(ctx).Agents {
				status[line.ID] = line.Status
			}
			records := a.opts.Directory.Snapshot()
			out := &inviteesOutput{}
			out.Body.Agents, out.Body.Services = []inviteeView{}, []ServiceRef{}
			for _, u := range records.Users() {
				if u.Disabled {
					continue
				}
				v := inviteeView{ID: u.ID, Name: u.Name, Status: "logged_out"}
				if s := status[u.ID]; s != "" {
					v.Status = s
				}
				out.Body.Agents = append(out.Body.Agents, v)
			}
			for _, s := range records.Services() {
				out.Body.Services = append(out.Body.Services, ServiceRef{ID: s.ID, Name: s.Name})
			}
			return out, nil
		})
}
