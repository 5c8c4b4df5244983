package outbox

import (
	"context"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// lookEvery is how often all commands in memory are looked at, to give up those that are over. In
// between, Expire looks as soon as the first deadline has passed.
const lookEvery = 5 * time.Second

// Expire gives up commands soon after their deadlines, until ctx ends.
func (o *Outbox) Expire(ctx context.Context) {
	o.mu.Lock()
	o.due = o.now().Add(lookEvery)
	o.mu.Unlock()
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.sooner:
		case <-timer.C:
		}
		timer.Reset(o.giveUp())
	}
}

// giveUp ends pinned commands whose generation is gone, and the commands whose deadline has passed:
// those that no plugin has taken, those that passed Begin with a plugin that never came back (it
// was removed from the configuration, or its account was deleted), and those about which a running
// plugin says nothing. A command that passed Begin may have been sent, so it ends unknown (PR4). It
// returns after what time to look again.
func (o *Outbox) giveUp() time.Duration {
	o.mu.Lock()
	now := o.now()
	o.due = now.Add(lookEvery)
	for _, c := range o.byID {
		if c.doubtful || c.held && c.instance == "" { // it is about to end, or to be tried again
			continue
		}
		switch {
		case o.homeless(c, now):
			o.end(c, instanceGone(c))
		case o.mayGoOn(c, now):
			if at := o.dueOf(c); at.After(now) && at.Before(o.due) {
				o.due = at
			}
		default:
			outcome := conversation.StatusFailed
			if c.inDoubt() {
				outcome = conversation.StatusUnknown
			}
			o.end(c, plugin.CommandResult{Command: c.row.CommandID, Outcome: outcome, Kind: "temporary", Code: "deadline"})
		}
	}
	wait := o.due.Sub(now) + time.Millisecond // a deadline counts as passed only after it
	o.mu.Unlock()
	o.endAll()
	return wait
}

// mayGoOn reports whether a command still has time, or somebody who may still tell its outcome. It
// needs o.mu.
func (o *Outbox) mayGoOn(c *Command, now time.Time) bool {
	switch {
	case !c.over(now):
		return true
	case c.held:
		return !now.After(c.row.Deadline.Add(treatmentOf(c.row.Kind).grace))
	}
	return !c.late(now) && o.generationOf(c, o.accounts[conversation.AccountID(c.row.Account)]).ready()
}

// dueOf is when giveUp must look at a command. It needs o.mu.
func (o *Outbox) dueOf(c *Command) time.Time {
	at := c.row.Deadline
	switch {
	case at.IsZero():
		at = c.since.Add(lookEvery)
	case c.held:
		at = at.Add(treatmentOf(c.row.Kind).grace)
	}
	if c.row.Route != "" && o.instances[c.row.Route] == nil {
		if grace := c.since.Add(instanceGrace); grace.Before(at) {
			at = grace
		}
	}
	return at
}

// abandon ends a command that can never be made, because its content or its recipient can no longer
// be read, or because it changes a message that the customer does not have. kind and code are those of
// the failure. A command that may have been sent before ends unknown (PR4).
func (o *Outbox) abandon(c *Command, kind, code string) {
	o.mu.Lock()
	if o.byID[c.row.CommandID] != c || c.held || c.doubtful {
		o.mu.Unlock()
		return // the command ended meanwhile
	}
	outcome := conversation.StatusFailed
	if !treatmentOf(c.row.Kind).again && (c.lookup || c.maybe) {
		outcome = conversation.StatusUnknown
	}
	o.end(c, plugin.CommandResult{Command: c.row.CommandID, Outcome: outcome, Kind: kind, Code: code})
	o.mu.Unlock()
	o.endAll()
}
