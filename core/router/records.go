package router

import (
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

// service is what the router needs of a service's record.
type service struct {
	name    string
	record  directory.Service
	warning string
}

// rules are the service's rules for conversations on a channel with these capabilities, whatever
// other channels are added later.
func (s *service) rules(c *conversation.Capabilities) conversation.Rules {
	return s.record.RulesFor(c.MediumOf())
}

func (r *Router) service(id conversation.ServiceID) (service, bool) {
	s, ok := r.dir.Snapshot().Service(id)
	return service{name: s.Name, record: s, warning: s.Texts.InactivityWarning}, ok
}

func (r *Router) serviceName(id conversation.ServiceID) string {
	s, _ := r.dir.Snapshot().Service(id)
	return s.Name
}

func (r *Router) user(id conversation.AgentID) (directory.User, error) {
	u, ok := r.dir.Snapshot().User(id)
	if !ok || u.Disabled {
		return u, fmt.Errorf("router: %w", ErrUnknownAgent)
	}
	return u, nil
}
