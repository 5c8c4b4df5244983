package outbox

import (
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// ending is a command that the outbox itself ends, and with what outcome.
type ending struct {
	c   *Command
	res plugin.CommandResult // without an Outcome: a newer command replaces this one
}

// end takes a command from whoever has it and notes that the outbox ends it. It needs o.mu; the
// caller calls endAll afterwards.
func (o *Outbox) end(c *Command, res plugin.CommandResult) {
	o.accounts[conversation.AccountID(c.row.Account)].takeBack(c)
	c.held = true
	o.ending = append(o.ending, ending{c, res})
}

// endAll ends the commands that end has noted.
func (o *Outbox) endAll() {
	o.mu.Lock()
	list := o.ending
	o.ending = nil
	o.mu.Unlock()
	for _, e := range list {
		if e.res.Outcome == "" {
			o.supersede(e.c)
		} else {
			o.insist(e.c, e.res)
		}
	}
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

// endSuperseded ends the read marks of a lane that no plugin has and that a newer mark replaces. It
// needs o.mu; the caller calls endAll afterwards.
func (o *Outbox) endSuperseded(ln *lane) {
	if ln.key.kind != KindMarkRead || ln.key.of == (eventlog.StreamID{}) {
		return
	}
	for _, c := range ln.queue[:len(ln.queue)-1] {
		if !c.held && !c.doubtful && c.row.State == eventlog.OutboxQueued {
			o.end(c, plugin.CommandResult{})
		}
	}
}

// supersede settles a command without a word, since a newer one says all that it would have said.
// Until that is durable the newer one waits behind it.
func (o *Outbox) supersede(c *Command) {
	row := o.rowOf(c)
	o.runner.Go(func() {
		_, err := o.log.Append(o.runner.Commits(), &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{o.update(row, eventlog.OutboxSettled)}})
		switch {
		case err == nil:
			o.metrics.ended.WithLabelValues(kindLabel(row.Kind), "superseded").Inc()
			o.Settled(row)
		case refused(err):
			o.drop(row, false) // a read mark
		default:
			o.runner.After(retryPause, func() { o.supersede(c) })
		}
	})
}

// rowOf returns a copy of a command's row.
func (o *Outbox) rowOf(c *Command) eventlog.OutboxRow {
	o.mu.Lock()
	defer o.mu.Unlock()
	return c.row
}

// update makes the update of a row of this node to a state.
func (o *Outbox) update(row eventlog.OutboxRow, state eventlog.OutboxState) eventlog.OutboxUpdate {
	return eventlog.OutboxUpdate{CommandID: row.CommandID, State: state, Attempt: row.Attempt, Node: o.node, Epoch: row.Epoch}
}
