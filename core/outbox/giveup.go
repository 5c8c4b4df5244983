package outbox

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// answerGrace is how long after a command's deadline a plugin that holds the command may still give
// its Result.
const answerGrace = 5 * time.Minute

// giveUp ends the commands whose deadline has passed: those that no plugin has taken, those that
// passed Begin with a plugin that never came back (it was removed from the configuration, or its
// account was deleted), and those about which a running plugin says nothing. A command that passed
// Begin may have been sent, so it ends unknown (PR4).
func (o *Outbox) giveUp() {
	now := o.now()
	over := map[*Command]conversation.Status{}
	o.mu.Lock()
	for _, c := range o.byID {
		if !c.over(now) || c.doubtful {
			continue
		}
		a := o.accounts[conversation.AccountID(c.row.Account)]
		switch {
		case c.held && c.instance == "": // the outbox is already ending it
			continue
		case c.held && !now.After(c.row.Deadline.Add(answerGrace)):
			continue
		case !c.held && !c.late(now) && o.plugins[a.plugin].ready():
			continue
		}
		a.takeBack(c)
		c.held = true
		over[c] = conversation.StatusFailed
		if c.row.Kind == KindSend && (c.lookup || c.row.State == eventlog.OutboxBegun) {
			over[c] = conversation.StatusUnknown
		}
	}
	o.mu.Unlock()
	for c, outcome := range over {
		o.insist(c, plugin.CommandResult{Command: c.row.CommandID, Outcome: outcome, Kind: "temporary", Code: "deadline"})
	}
}

// abandon ends a command that can never be made, because its content or its recipient can no longer
// be read. A command that may have been sent before ends unknown (PR4).
func (o *Outbox) abandon(c *Command) {
	o.mu.Lock()
	if o.byID[c.row.CommandID] != c || c.held || c.doubtful {
		o.mu.Unlock()
		return // the command ended meanwhile
	}
	c.held = true
	outcome := conversation.StatusFailed
	if c.row.Kind == KindSend && (c.lookup || c.maybe) {
		outcome = conversation.StatusUnknown
	}
	o.mu.Unlock()
	o.insist(c, plugin.CommandResult{Command: c.row.CommandID, Outcome: outcome, Kind: "internal", Code: "unreadable"})
}

// insist applies an outcome that the outbox itself decided, and repeats this for as long as the
// store refuses it.
func (o *Outbox) insist(c *Command, res plugin.CommandResult) {
	o.finish(c, res, func(a plugin.Ack) {
		if a.Status == plugin.Retry {
			o.runner.After(retryPause, func() { o.insist(c, res) })
		}
	})
}
