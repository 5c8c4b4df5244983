package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/auth"
)

type auditInput struct {
	After int64 `query:"after" minimum:"0" doc:"Entries with a greater sequence"`
	Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type auditView struct {
	Seq      int64       `json:"seq" doc:"1..n without holes"`
	At       time.Time   `json:"at"`
	Actor    audit.Actor `json:"actor,omitzero"`
	Action   string      `json:"action"`
	Object   string      `json:"object,omitempty"`
	ObjectID string      `json:"object_id,omitempty"`
	Objects  []string    `json:"objects,omitempty" doc:"Ids of a list's records, or of parts of the record"`
	Fields   []string    `json:"fields,omitempty"`
	Reason   string      `json:"reason,omitempty"`
}

func (a *API) auditRoutes() {
	register(a, op("list-audit", http.MethodGet, "/audit", "audit", "Read the audit trail, oldest first", directory.RoleAdmin), directory.RoleAdmin,
		func(ctx context.Context, _ auth.Identity, in *auditInput) (*listOfOutput[auditView], error) {
			entries, err := a.opts.Directory.Trail().List(ctx, in.After, in.Limit)
			if err != nil {
				return nil, err
			}
			out := &listOfOutput[auditView]{}
			out.Body.Items = []auditView{}
			for _, e := range entries {
				out.Body.Items = append(out.Body.Items, auditView(e))
			}
			return out, nil
		})
}
