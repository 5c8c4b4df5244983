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
func (i *Ingest) SetTemplates(account conversation.AccountID, list []plugin.Template) {
	snap := i.dir.Snapshot()
	i.templates.mu.Lock()
	defer i.templates.mu.Unlock()
	if i.templates.of == nil {
		i.templates.of = map[conversation.AccountID][]plugin.Template{}
	}
	i.templates.of[account] = list
	for id := range i.templates.of {
		if _, ok := snap.Account(id); !ok {
			delete(i.templates.of, id)
		}
	}
}

// Templates returns the templates of an account, which must not be changed; nil: none are known.
func (i *Ingest) Templates(account conversation.AccountID) []plugin.Template {
	i.templates.mu.RLock()
	defer i.templates.mu.RUnlock()
	return i.templates.of[account]
}
