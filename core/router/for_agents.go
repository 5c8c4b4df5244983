package router

import (
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/dispatch"
	"github.com/parley-gateway/parley/core/eventlog"
)

// forAgents is the router as the Keeper of agents sees it: agents.Watcher.
type forAgents struct{ r *Router }

// Changed implements agents.Watcher.
func (f forAgents) Changed(s *acd.AgentState) {
	f.r.dispatch.Agent(s)
	if at, ok := s.NextDeadline(); ok {
		f.r.setTimer(timerID{timerAgent, s.ID}, at)
	}
	f.r.watchLost(s, time.Time{})
	f.r.watchSupervisor(s)
	f.r.readers.AgentChanged(s.ID)
}

// AppendFailed implements agents.Watcher.
func (f forAgents) AppendFailed(id conversation.AgentID, err error) {
	if eventlog.InDoubt(err) {
		f.r.doubtAgent(id)
	}
}

// Limits implements agents.Watcher.
func (f forAgents) Limits(id conversation.AgentID) acd.Limits {
	u, _ := f.r.dir.Snapshot().User(id)
	return dispatch.LimitsOf(u)
}
