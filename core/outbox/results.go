package outbox

import (
	"errors"
	"fmt"
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
		o.finish(c, o.unlessSwitchedOff(c, res), done)
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
		late := &Command{row: row}
		o.finish(late, o.unlessSwitchedOff(late, res), done)
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

// finish applies a plugin's Result, or an outcome that the outbox decided (insist), to its command's row:
// the row is settled, marked unknown, or queued for another attempt. c need not be in memory.
func (o *Outbox) finish(c *Command, res plugin.CommandResult, done func(plugin.Ack)) {
	o.mu.Lock()
	row := c.row // a copy, since c may change meanwhile
	waits := o.byID[row.CommandID] == c && !c.held && !c.doubtful && row.State == eventlog.OutboxQueued
	o.mu.Unlock()
	conv := conversation.ConversationID(row.Conversation)
	if treatmentOf(row.Kind).again && res.Outcome == conversation.StatusUnknown { // tried again, as after the loss of its plugin: see doubt
		res.Outcome, res.Retryable = conversation.StatusFailed, true
	}
	if res.Outcome == conversation.StatusFailed && res.Retryable && o.now().Before(row.Deadline) && row.State.Pending() {
		if waits { // a repeated report: another attempt is queued already
			done(plugin.Ack{Status: plugin.Committed, Conversation: conv})
			return
		}
		if at := o.nextAttempt(row, res); at.Before(row.Deadline) {
			o.retry(c, at, done)
			return
		}
	}
	if row.State == eventlog.OutboxSettled && (res.Outcome != conversation.StatusSent || row.Kind != KindSend) {
		done(plugin.Ack{Status: plugin.Duplicate, Conversation: conv, Seq: row.Seq}) // a settled row is final
		return
	}
	update := o.update(row, eventlog.OutboxSettled)
	if res.Outcome == conversation.StatusUnknown && row.Kind == KindSend { // a receipt or a person tells later; of the other kinds nobody will
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
		o.metrics.ended.WithLabelValues(kindLabel(row.Kind), string(res.Outcome)).Inc()
		done(plugin.Ack{Status: plugin.Committed, Conversation: conv, Seq: seq})
	}
	untold := func() {
		if !o.EndUntold(row, res, update, func(err error) { written(0, err) }) {
			written(0, ErrStopped)
		}
	}
	o.metrics.results.WithLabelValues(o.channel(row.Account), string(res.Outcome)).Inc()
	told := func(seq uint64, err error) {
		if errors.Is(err, ErrNotFollowed) { // the conversation does not follow the command, but the row must not stay pending
			untold()
			return
		}
		written(seq, err)
	}
	switch {
	case row.Kind == KindSend:
		o.convs.Tell(row, res, update, told)
	case row.Kind == KindCall && res.Outcome != conversation.StatusSent:
		if !o.runner.Go(func() { o.callFailed(row, res, update, told) }) {
			told(0, ErrStopped)
		}
	default:
		untold()
	}
}

// callFailed lets the conversation of a row of KindCall tell that its command failed. A command that
// can never be read names no call, so no conversation can tell of it.
func (o *Outbox) callFailed(row eventlog.OutboxRow, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(uint64, error)) {
	var out plugin.Outbound
	payload, err := o.openPayload(o.runner.Commits(), row)
	if err == nil {
		err = readPayload(row.Kind, payload, &out)
	}
	switch {
	case errors.Is(err, ErrUnreadable):
		done(0, fmt.Errorf("%w: %w", ErrNotFollowed, err))
	case err != nil:
		done(0, err)
	default:
		o.convs.CallFailed(row, out.Call, res, update, done)
	}
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

// threadOf is the thread of a command that has a payload. It is "" when it cannot be read, which
// must not keep the row from ending.
func (o *Outbox) threadOf(row eventlog.OutboxRow) (thread string) {
	if row.Kind == KindSend {
		return ""
	}
	payload, err := o.openPayload(o.runner.Commits(), row)
	if err == nil {
		thread, _, err = splitThread(payload)
	}
	if err != nil {
		o.logger.Warn("payload of a command cannot be read", "kind", row.Kind, "account_id", conversation.AccountID(row.Account), "err", err)
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
		case err == nil && (row.Node != o.node || row.Epoch != was.Epoch): // another node has the command, or had it meanwhile, and the report is of before
			o.drop(was, row.State.Pending())
			o.ReadAgain()
			done(plugin.Ack{Status: plugin.Duplicate, Conversation: conv, Seq: row.Seq})
		default:
			done(o.notDurable(conv, errors.Join(cause, err)))
		}
	}) {
		stopping(done)
	}
}

// nextAttempt is when a command that has failed for now is tried again.
func (o *Outbox) nextAttempt(row eventlog.OutboxRow, res plugin.CommandResult) time.Time {
	backoff := min(time.Second<<min(max(row.Attempt-1, 0), 8), 5*time.Minute)
	return o.now().Add(max(backoff, res.RetryAfter))
}

// retry queues a command again; the later ones of its lane wait behind it.
func (o *Outbox) retry(c *Command, at time.Time, done func(plugin.Ack)) {
	o.mu.Lock()
	row, doubtful := c.row, c.doubtful
	o.mu.Unlock()
	if doubtful { // the command is about to be marked unknown, so this report must come again afterwards
		done(plugin.Ack{Status: plugin.Retry, Code: "unavailable"})
		return
	}
	conv := conversation.ConversationID(row.Conversation)
	update := o.update(row, eventlog.OutboxQueued)
	update.Attempt, update.NotBefore = row.Attempt+1, at
	if !o.runner.Go(func() {
		_, err := o.log.Append(o.runner.Commits(), &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}})
		if refused(err) {
			// A status from the provider has settled the row: the message was sent after all. Or
			// another node has the row, or had it meanwhile.
			o.lost(o.runner.Running(), row)
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
		if !c.held || c.instance != "" { // else the outbox is about to end it
			a := o.accounts[conversation.AccountID(row.Account)]
			a.takeBack(c)
			if o.byID[row.CommandID] == c {
				o.endSuperseded(a.lanes[laneOf(&c.row)])
			}
		}
		o.mu.Unlock()
		o.endAll()
		o.poke()
		done(plugin.Ack{Status: plugin.Committed, Conversation: conv})
	}) {
		stopping(done)
	}
}
