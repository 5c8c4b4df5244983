package outbox

import (
	"errors"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// Result takes a plugin's report on a command of an account. done is called once, after the commit
// or the refusal.
func (o *Outbox) Result(account conversation.AccountID, res plugin.CommandResult, done func(plugin.Ack)) {
	o.mu.Lock()
	c := o.byID[res.Command]
	if c != nil && conversation.AccountID(c.row.Account) != account {
		c = nil
	}
	o.mu.Unlock()
	if c != nil {
		o.finish(c, res, done)
		return
	}
	// The Result is late or repeated: the row is no longer pending.
	if !o.runner.Go(func() {
		row, err := o.log.OutboxRow(o.runner.Running(), res.Command)
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			done(o.notDurable(conversation.ConversationID{}, err))
			return
		}
		if err != nil || conversation.AccountID(row.Account) != account {
			done(plugin.Ack{Status: plugin.Refused, Code: "unknown_command"})
			return
		}
		o.finish(&Command{row: row}, res, done)
	}) {
		stopping(done)
	}
}

// notDurable answers for a report that could not be appended (err): the plugin must send it again.
func (o *Outbox) notDurable(conv conversation.ConversationID, err error) plugin.Ack {
	if !errors.Is(err, ErrStopped) {
		o.logger.Warn("event not durable", "conversation_id", conv, "err", err)
	}
	return plugin.Ack{Status: plugin.Retry, Code: "unavailable"}
}

// finish applies a Result to its command's row: the row is settled, marked
// unknown, or queued for another attempt. c need not be in memory.
func (o *Outbox) finish(c *Command, res plugin.CommandResult, done func(plugin.Ack)) {
	o.mu.Lock()
	row := c.row
	waits := o.byID[row.CommandID] == c && !c.held && !c.doubtful && row.State == eventlog.OutboxQueued
	o.mu.Unlock()
	conv := conversation.ConversationID(row.Conversation)
	if row.Kind == KindProcess && res.Outcome == conversation.StatusUnknown { // an item of unknown outcome is processed again, as after the loss of its plugin: see doubt
		res.Outcome, res.Retryable = conversation.StatusFailed, true
	}
	if res.Outcome == conversation.StatusFailed && res.Retryable && o.now().Before(row.Deadline) && row.State.Pending() {
		if waits { // a repeated report: another attempt is queued already
			done(plugin.Ack{Status: plugin.Committed, Conversation: conv})
			return
		}
		o.retry(c, res, done)
		return
	}
	if row.State == eventlog.OutboxSettled && (res.Outcome != conversation.StatusSent || row.Kind == KindProcess) {
		done(plugin.Ack{Status: plugin.Duplicate, Conversation: conv, Seq: row.Seq}) // a settled row is final
		return
	}
	update := eventlog.OutboxUpdate{CommandID: row.CommandID, State: eventlog.OutboxSettled, Attempt: row.Attempt, Node: o.node}
	if res.Outcome == conversation.StatusUnknown {
		update.State = eventlog.OutboxUnknown
	}
	written := func(seq uint64, err error) {
		switch {
		case refused(err):
			o.overtaken(row, err, done)
			return
		case err != nil:
			done(o.notDurable(conv, err))
			return
		case update.State == eventlog.OutboxSettled:
			o.Settled(row)
		default:
			o.forget(row.CommandID)
		}
		done(plugin.Ack{Status: plugin.Committed, Conversation: conv, Seq: seq})
	}
	untold := func() {
		if !o.EndUntold(row, res, update, func(err error) { written(0, err) }) {
			written(0, ErrStopped)
		}
	}
	o.metrics.results.WithLabelValues(o.channel(row.Account), string(res.Outcome)).Inc()
	if row.Kind == KindProcess {
		untold()
		return
	}
	o.convs.Tell(row, res, update, func(seq uint64, err error) {
		if errors.Is(err, ErrNotFollowed) { // the conversation does not follow the message, but the row must not stay pending
			untold()
			return
		}
		written(seq, err)
	})
}

// EndUntold writes a row's last update without an event in the conversation. Unless the command
// succeeded, the failure is recorded on the account's stream in the same append and written to the
// process's log, since nothing else reports it (DESIGN.md 4). False: the router is stopping, and
// done is not called.
func (o *Outbox) EndUntold(row eventlog.OutboxRow, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(error)) bool {
	return o.runner.Go(func() {
		commits := o.runner.Commits()
		b := &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}}
		failed := res.Outcome == conversation.StatusFailed || res.Outcome == conversation.StatusUnknown
		var err error
		if failed {
			err = o.convs.RecordFailure(b, Failure{Row: row, Thread: o.threadOf(row), Result: res})
		}
		if err == nil {
			_, err = o.log.Append(commits, b)
		}
		var dup *eventlog.DuplicateError
		switch {
		case errors.As(err, &dup):
			// The command has its record already. The record may say that the outcome is unknown,
			// so the row still needs this update.
			_, err = o.log.Append(commits, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}})
		case err == nil && failed:
			channel := o.channel(row.Account)
			o.metrics.givenUp.WithLabelValues(channel, row.Kind).Inc()
			o.logger.Warn("command failed for good", "channel", channel, "account_id", conversation.AccountID(row.Account),
				"command", conversation.MessageID(row.CommandID), "kind", row.Kind, "outcome", res.Outcome, "code", res.Code)
		}
		done(err)
	})
}

// threadOf is the thread of a deferred item. It is "" when it cannot be read, which must not keep
// the row from ending.
func (o *Outbox) threadOf(row eventlog.OutboxRow) (thread string) {
	if row.Kind != KindProcess {
		return ""
	}
	payload, err := o.convs.OpenPayload(row)
	if err == nil {
		thread, _, err = splitDeferred(payload)
	}
	if err != nil {
		o.logger.Warn("deferred item cannot be read", "account_id", conversation.AccountID(row.Account), "err", err)
	}
	return thread
}

// overtaken answers for a Result that does not fit its row. Usually something else has settled the
// row: the provider's own report on the message, or another node. Then the Result is late, and
// nothing is left to be done.
func (o *Outbox) overtaken(was eventlog.OutboxRow, cause error, done func(plugin.Ack)) {
	conv := conversation.ConversationID(was.Conversation)
	if !o.runner.Go(func() {
		row, err := o.log.OutboxRow(o.runner.Running(), was.CommandID)
		switch {
		case errors.Is(err, eventlog.ErrNotFound):
			o.forget(was.CommandID)
			done(plugin.Ack{Status: plugin.Refused, Code: "unknown_command"})
		case err == nil && row.State == eventlog.OutboxSettled:
			o.Settled(row)
			done(plugin.Ack{Status: plugin.Duplicate, Conversation: conv, Seq: row.Seq})
		default:
			done(o.notDurable(conv, errors.Join(cause, err)))
		}
	}) {
		stopping(done)
	}
}

// retry queues a command again; later messages of its conversation wait behind it.
func (o *Outbox) retry(c *Command, res plugin.CommandResult, done func(plugin.Ack)) {
	o.mu.Lock()
	row, doubtful := c.row, c.doubtful
	o.mu.Unlock()
	if doubtful { // the command is about to be marked unknown, so this report must come again afterwards
		done(plugin.Ack{Status: plugin.Retry, Code: "unavailable"})
		return
	}
	conv := conversation.ConversationID(row.Conversation)
	backoff := min(time.Second<<min(max(row.Attempt-1, 0), 8), 5*time.Minute)
	at := o.now().Add(max(backoff, res.RetryAfter))
	update := eventlog.OutboxUpdate{CommandID: row.CommandID, State: eventlog.OutboxQueued, Attempt: row.Attempt + 1, NotBefore: at, Node: o.node}
	if !o.runner.Go(func() {
		_, err := o.log.Append(o.runner.Commits(), &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}})
		if refused(err) {
			// A status from the provider has settled the row: the message was sent after all.
			o.forget(row.CommandID)
			done(plugin.Ack{Status: plugin.Duplicate, Conversation: conv, Seq: row.Seq})
			return
		}
		if err != nil {
			done(o.notDurable(conv, err))
			return
		}
		o.metrics.results.WithLabelValues(o.channel(row.Account), "retry").Inc()
		o.mu.Lock()
		c.row.State, c.row.Attempt, c.row.NotBefore = update.State, update.Attempt, at
		c.lookup, c.maybe = false, false // the plugin says that it did not send
		o.accounts[conversation.AccountID(row.Account)].takeBack(c)
		o.mu.Unlock()
		o.poke()
		done(plugin.Ack{Status: plugin.Committed, Conversation: conv})
	}) {
		stopping(done)
	}
}
