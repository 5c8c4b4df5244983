package outbox

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// CodeInstanceGone is the code of a pinned command's failure when its generation is gone.
const CodeInstanceGone = "instance_gone"

// instanceGrace is how long a pinned command waits for a generation of which the outbox has not
// heard: a plugin can report a call shortly before the host says that its generation is ready.
const instanceGrace = 5 * time.Second

// homeless reports whether the generation to which a command is pinned is gone: it was here and has
// ended, it belonged to an earlier process of this node or to another node, or it does not come. It
// needs o.mu.
func (o *Outbox) homeless(c *Command, now time.Time) bool {
	route := c.row.Route
	if route == "" || o.instances[route] != nil {
		return false
	}
	return c.old || c.row.Epoch > 0 || o.ended.has(route) || !now.Before(c.since.Add(instanceGrace))
}

// instanceGone is how a homeless command ends. It is never given to another generation, which would
// know nothing of the call; and a call that its generation has begun to change ended with that
// generation.
func instanceGone(c *Command) plugin.CommandResult {
	return plugin.CommandResult{Command: c.row.CommandID, Outcome: conversation.StatusFailed, Kind: "internal", Code: CodeInstanceGone}
}

// generationOf returns the generation that may get a command now; nil: none. It needs o.mu.
func (o *Outbox) generationOf(c *Command, a *account) *generation {
	if c.row.Route != "" {
		return o.instances[c.row.Route]
	}
	return o.plugins[a.plugin]
}

// recentNames holds the names that were added last. The zero value is empty.
type recentNames struct {
	set  map[string]struct{}
	ring []string
	next int // index in ring of the oldest, once ring is full
}

// maxNames bounds a recentNames.
const maxNames = 256

func (n *recentNames) has(name string) bool {
	_, ok := n.set[name]
	return ok
}

func (n *recentNames) add(name string) {
	if n.has(name) {
		return
	}
	if n.set == nil {
		n.set = map[string]struct{}{}
	}
	if len(n.ring) < maxNames {
		n.ring = append(n.ring, name)
	} else {
		delete(n.set, n.ring[n.next])
		n.ring[n.next] = name
		n.next = (n.next + 1) % maxNames
	}
	n.set[name] = struct{}{}
}
