package ingest

import (
	"sync"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// templates keeps the newest list of templates of each account, in memory: a plugin sends them anew
// with each session.
type templates struct {
	mu sync.RWMutex
	of map[conversation.AccountID][]plugin.Template
}

// SetTemplates replaces the templates of an account, which must not be changed afterwards. Those of
// accounts that are gone are dropped.
func (g *Ingest) SetTemplates(account conversation.AccountID, list []plugin.Template) {
	snap := g.dir.Snapshot()
	g.templates.mu.Lock()
	defer g.templates.mu.Unlock()
	if g.templates.of == nil {
		g.templates.of = map[conversation.AccountID][]plugin.Template{}
	}
	if list == nil {
		list = []plugin.Template{} // told: there are none
	}
	g.templates.of[account] = list
	for id := range g.templates.of {
		if _, ok := snap.Account(id); !ok {
			delete(g.templates.of, id)
		}
	}
}

// Templates returns the templates of an account, which must not be changed; nil: its plugin
// has not told them to this node, empty: there are none.
func (g *Ingest) Templates(account conversation.AccountID) []plugin.Template {
	g.templates.mu.RLock()
	defer g.templates.mu.RUnlock()
	return g.templates.of[account]
}
