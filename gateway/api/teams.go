package api

import (
	"context"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

type teamInput struct {
	Name string `json:"name"`
}

func (a *API) teamRoutes() {
	recordRoutes(a, kind[directory.Team, teamInput]{
		name: "team", plural: "teams", read: directory.RoleAgent,
		list: (*directory.Snapshot).Teams,
		get: func(s *directory.Snapshot, id string) (directory.Team, bool) {
			return s.Team(conversation.TeamID(stream(id)))
		},
		put: func(ctx context.Context, id string, b teamInput) (directory.Team, error) {
			return a.opts.Directory.PutTeam(ctx, directory.Team{ID: conversation.TeamID(stream(id)), Name: b.Name})
		},
	})
}
