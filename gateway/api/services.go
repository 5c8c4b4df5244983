package api

import (
	"context"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

type serviceInput struct {
	Name         string                  `json:"name"`
	Skills       []string                `json:"skills,omitempty" maxItems:"100" doc:"What an agent must all have"`
	Rules        conversation.Rules      `json:"rules" doc:"Durations in milliseconds; 0 switches a rule off, but for inactivity_warn, where 0 is half of inactivity_end and -1 is off. wrapup_limit -1 is without limit. skills is made by the server"`
	Dispositions []directory.Disposition `json:"dispositions,omitempty" maxItems:"200"`
	Features     []string                `json:"features,omitempty" maxItems:"100"`
	Texts        directory.Texts         `json:"texts,omitempty"`
	Teams        []conversation.TeamID   `json:"teams,omitempty" maxItems:"1000"`
	Users        []conversation.AgentID  `json:"users,omitempty" maxItems:"10000"`
}

func (a *API) serviceRoutes() {
	recordRoutes(a, kind[directory.Service, serviceInput]{
		name: "service", plural: "services", read: directory.RoleAgent,
		list: (*directory.Snapshot).Services,
		get: func(s *directory.Snapshot, id string) (directory.Service, bool) {
			return s.Service(conversation.ServiceID(stream(id)))
		},
		put: func(ctx context.Context, id string, b serviceInput) (directory.Service, error) {
			return a.opts.Directory.PutService(ctx, directory.Service{
				ID: conversation.ServiceID(stream(id)), Name: b.Name, Skills: b.Skills, Rules: b.Rules, Dispositions: b.Dispositions,
				Features: b.Features, Texts: b.Texts, Teams: b.Teams, Users: b.Users,
			})
		},
	})
}
