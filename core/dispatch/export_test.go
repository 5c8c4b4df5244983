package dispatch

import (
	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// SetProfile sets an agent's profile as the directory would.
func (a *Assigner) SetProfile(id conversation.AgentID, p acd.Profile) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dispatcher.SetProfile(id, p)
}
