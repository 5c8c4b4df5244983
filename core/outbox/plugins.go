package outbox

import (
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// generation is the latest generation of a plugin.
type generation struct {
	instance string
	port     plugin.CommandPort // nil: the generation is gone
	info     plugin.Info
}

// ready reports whether the generation can take commands. A plugin that never connected has no
// generation (nil).
func (g *generation) ready() bool { return g != nil && g.port != nil }

// oneNode reports whether the plugin said that one node at a time serves an account.
func (g *generation) oneNode(account conversation.AccountID) bool {
	return g != nil && g.info.OneNodeOf(account)
}

// PluginReady registers a generation through which the outbox can send (plugin.Core).
func (o *Outbox) PluginReady(id, instance string, port plugin.CommandPort) {
	info := port.Info()
	var doubtful []*Command
	o.mu.Lock()
	g := &generation{instance: instance, port: port, info: info}
	o.plugins[id], o.instances[instance] = g, g
	for _, c := range o.byID {
		a := o.accounts[conversation.AccountID(c.row.Account)]
		if a == nil || a.plugin != id || c.held || c.doubtful || c.lookup || c.row.State != eventlog.OutboxBegun || c.row.Route != "" {
			continue
		}
		c.doubtful = true
		doubtful = append(doubtful, c) // it began with a plugin of an earlier process of this node
	}
	o.mu.Unlock()
	for _, c := range doubtful {
		o.doubt(c, info)
	}
	o.poke()
}

// PluginInfo replaces what a generation says of itself (plugin.Core).
func (o *Outbox) PluginInfo(id, instance string, info plugin.Info) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if g := o.plugins[id]; g != nil && g.instance == instance {
		g.info = info
	}
}

// Pass gives a command that has no row to a plugin's latest generation. It never blocks. False: the
// command is lost, because the plugin is away or takes no more now.
func (o *Outbox) Pass(id string, cmd plugin.Outbound) bool {
	o.mu.Lock()
	g := o.plugins[id]
	var port plugin.CommandPort
	if g.ready() {
		port = g.port
	}
	o.mu.Unlock()
	return port != nil && port.Offer(cmd)
}

// PluginRoom says that a plugin's full window has room again (plugin.Core).
func (o *Outbox) PluginRoom() { o.poke() }

// PluginGone removes a generation, and decides what happens to the commands that it had
// (plugin.Core). The rows tell which of them passed Begin. Commands that are pinned to it fail.
func (o *Outbox) PluginGone(id, instance string) {
	var doubtful []*Command
	var info plugin.Info
	o.mu.Lock()
	if g := o.plugins[id]; g != nil {
		info = g.info
		if g.instance == instance {
			g.port = nil
		}
	}
	delete(o.instances, instance)
	o.ended.add(instance)
	for _, c := range o.byID {
		if c.row.Route == instance {
			if !c.held || c.instance != "" {
				o.end(c, instanceGone(c))
			}
			continue
		}
		if !c.held || c.instance != instance {
			continue
		}
		a := o.accounts[conversation.AccountID(c.row.Account)]
		a.takeBack(c)
		if c.row.State == eventlog.OutboxBegun {
			c.doubtful = true
			doubtful = append(doubtful, c)
			continue
		}
		c.row.State = eventlog.OutboxQueued
		c.row.Attempt++
		o.endSuperseded(a.lanes[laneOf(&c.row)])
	}
	o.mu.Unlock()
	o.endAll()
	for _, c := range doubtful {
		o.doubt(c, info)
	}
	o.poke()
}

// doubt decides what happens to a command that passed Begin and lost its plugin: it is sent again
// if that does no harm, the plugin is asked for its outcome, or its outcome is unknown (PR4).
func (o *Outbox) doubt(c *Command, info plugin.Info) {
	o.mu.Lock()
	switch send := c.row.Kind == KindSend; {
	case send && info.IdempotentSend || treatmentOf(c.row.Kind).again:
		c.row.State, c.maybe, c.doubtful = eventlog.OutboxQueued, true, false
		c.row.Attempt++
		o.mu.Unlock()
	case send && info.CanLookup:
		c.lookup, c.doubtful = true, false
		o.mu.Unlock()
	default: // the command stays doubtful until the log says unknown
		o.mu.Unlock()
		o.insist(c, plugin.CommandResult{Command: c.row.CommandID, Outcome: conversation.StatusUnknown, Kind: "internal", Code: "plugin_lost"})
	}
}
