package api

import (
	"context"

	"github.com/parley-gateway/parley/core/directory"
)

type skillInput struct {
	Name  string `json:"name" doc:"Lower case; with replace it must be the one in the path"`
	Title string `json:"title,omitempty"`
}

func (a *API) skillRoutes() {
	recordRoutes(a, kind[directory.Skill, skillInput]{
		name: "skill", plural: "skills", read: directory.RoleAgent,
		list: (*directory.Snapshot).Skills,
		get:  (*directory.Snapshot).Skill,
		put: func(ctx context.Context, id string, b skillInput) (directory.Skill, error) {
			if id != "" && b.Name != id {
				return directory.Skill{}, NewFault("invalid", Detail{"name", "must be the one in the path"})
			}
			return a.opts.Directory.PutSkill(ctx, directory.Skill{Name: b.Name, Title: b.Title})
		},
	})
}
