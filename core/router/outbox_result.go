package router

import (
	"errors"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// settle takes a plugin's Result.
func (r *Router) settle(in plugin.Inbound, done func(plugin.Ack)) {
	o, res := r.outbox, *in.Result
	o.mu.Lock()
	e := o.byID[res.Command]
	if e != nil && conversation.AccountID(e.row.Account) != in.Account {
		e = nil
	}
	o.mu.Unlock()
	if e != nil {
		o.finish(e, res, done)
		return
	}
	// Late, or repeated: the row is no longer pending.
	if !r.spawn(func() {
		row, err := r.log.OutboxRow(r.ctx, res.Command)
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			done(r.ack(conversation.ConversationID{}, outcome{}, err))
			return
		}
		if err != nil || conversation.AccountID(row.Account) != in.Account {
			done(plugin.Ack{Status: plugin.Refused, Code: "unknown_command"})
			return
		}
		o.finish(&entry{row: row}, res, done)
	}) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}

// finish carries a Result out: settled, unknown, or once more later.
func (o *outbox) finish(e *entry, res plugin.CommandResult, done func(plugin.Ack)) {
	r := o.r
	conv := conversation.ConversationID(e.row.Conversation)
	if e.row.Kind == kindProcess && res.Outcome == conversation.StatusUnknown { // processed again, as after a loss: see doubt
		res.Outcome, res.Retryable = conversation.StatusFailed, true
	}
	o.mu.Lock()
	was, attempt := e.row.State, e.row.Attempt
	known := o.byID[e.row.CommandID] == e
	waits := known && !e.inflight && !e.doubtful && was == eventlog.OutboxQueued
	o.mu.Unlock()
	if res.Outcome == conversation.StatusFailed && res.Retryable && r.now().Before(e.row.Deadline) && was.Pending() {
		if waits { // the same word again: it is going to be tried
			done(plugin.Ack{Status: plugin.Committed, Conversation: conv})
			return
		}
		o.retry(e, res, done)
		return
	}
	if was == eventlog.OutboxSettled && (res.Outcome != conversation.StatusSent || e.row.Kind == kindProcess) {
		done(plugin.Ack{Status: plugin.Duplicate, Conversation: conv, Seq: e.row.Seq}) // nothing takes a settled one back
		return
	}
	state := eventlog.OutboxSettled
	if res.Outcome == conversation.StatusUnknown {
		state = eventlog.OutboxUnknown
	}
	update := eventlog.OutboxUpdate{CommandID: e.row.CommandID, State: state, Attempt: attempt, Node: r.node}
	settled := func(out outcome, err error) {
		if errors.Is(err, eventlog.ErrConflict) || errors.Is(err, eventlog.ErrNotFound) {
			o.overtaken(e, err, done)
			return
		}
		if err != nil {
			done(r.ack(conv, out, err))
			return
		}
		if state == eventlog.OutboxSettled {
			o.mu.Lock()
			row := e.row
			o.mu.Unlock()
			o.settled(row)
		} else {
			o.forget(e.row.CommandID)
		}
		done(plugin.Ack{Status: plugin.Committed, Conversation: conv, Seq: out.first})
	}
	r.metrics.results.WithLabelValues(r.channelOf(e), string(res.Outcome)).Inc()
	if e.row.Kind == kindProcess {
		o.settleAlone(e, res, update, func(err error) { settled(outcome{}, err) })
		return
	}
	account := conversation.AccountID(e.row.Account)
	r.tell(conv, word{
		account: account, seq: e.row.Seq, keys: r.providerKeys(account, res.ProviderIDs...), update: update,
		status: conversation.SetStatus{
			Message: conversation.MessageID(e.row.CommandID), Status: res.Outcome, Kind: res.Kind, Code: cut(res.Code, maxCode), Body: statusBody(res.Text),
		},
		done: func(out outcome, err error) {
			if unfollowed(err) { // the row must not stay
				o.settleAlone(e, res, update, func(err error) { settled(outcome{}, err) })
				return
			}
			settled(out, err)
		},
	})
}

// settleAlone settles a row without a word in the conversation. What did not
// succeed is recorded on the account's stream in the same append, and said in
// the process's log: nothing else tells of it (DESIGN.md 4).
func (o *outbox) settleAlone(e *entry, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(error)) {
	r := o.r
	if !r.spawn(func() {
		o.mu.Lock()
		row := e.row
		o.mu.Unlock()
		b := &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}}
		failed := res.Outcome == conversation.StatusFailed || res.Outcome == conversation.StatusUnknown
		var err error
		if failed {
			err = r.recordFailure(b, &row, res)
		}
		if err == nil {
			_, err = r.log.Append(r.commits, b)
		}
		var dup *eventlog.DuplicateError
		switch {
		case errors.As(err, &dup):
			// The command has its record, which may say that its outcome is unknown:
			// the row still waits for this word.
			_, err = r.log.Append(r.commits, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}})
		case err == nil && failed:
			r.metrics.givenUp.WithLabelValues(r.channelOf(e), row.Kind).Inc()
			r.logger.Warn("command failed for good", "channel", r.channelOf(e), "account_id", conversation.AccountID(row.Account),
				"command", conversation.MessageID(row.CommandID), "kind", row.Kind, "outcome", res.Outcome, "code", cut(res.Code, maxCode))
		}
		done(err)
	}) {
		done(ErrStopped)
	}
}

// overtaken answers for a Result that the row does not take. Usually something
// else has settled the row: the provider's own word on the message, or another
// node. Then the Result is late, and nothing is left to be done.
func (o *outbox) overtaken(e *entry, cause error, done func(plugin.Ack)) {
	r := o.r
	conv := conversation.ConversationID(e.row.Conversation)
	if !r.spawn(func() {
		row, err := r.log.OutboxRow(r.ctx, e.row.CommandID)
		switch {
		case errors.Is(err, eventlog.ErrNotFound):
			o.forget(e.row.CommandID)
			done(plugin.Ack{Status: plugin.Refused, Code: "unknown_command"})
		case err == nil && row.State == eventlog.OutboxSettled:
			o.settled(row)
			done(plugin.Ack{Status: plugin.Duplicate, Conversation: conv, Seq: row.Seq})
		default:
			done(r.ack(conv, outcome{}, errors.Join(cause, err)))
		}
	}) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}

// settled takes a command out of memory that is done with for good, and keeps
// for a while what it was: the provider's later words are about it.
func (o *outbox) settled(row eventlog.OutboxRow) {
	row.State, row.Payload = eventlog.OutboxSettled, nil
	o.mu.Lock()
	o.past.add(row)
	o.mu.Unlock()
	o.forget(row.CommandID)
}

// known is the row of a command that memory holds, as the log has it or has
// had it: only a settled one stays as it is.
func (o *outbox) known(command [16]byte) (eventlog.OutboxRow, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e := o.byID[command]; e != nil {
		return e.row, true
	}
	row, ok := o.past.rows[command]
	return row, ok
}

// maxPast bounds the settled commands in memory (about 300 bytes each).
const maxPast = 8192

// past are the commands that were settled last.
type past struct {
	rows map[[16]byte]eventlog.OutboxRow
	ring [][16]byte
	next int // in ring, once it is full: the oldest
}

func (p *past) add(row eventlog.OutboxRow) {
	if _, ok := p.rows[row.CommandID]; ok {
		return
	}
	if len(p.ring) < maxPast {
		p.ring = append(p.ring, row.CommandID)
	} else {
		delete(p.rows, p.ring[p.next])
		p.ring[p.next] = row.CommandID
		p.next = (p.next + 1) % maxPast
	}
	p.rows[row.CommandID] = row
}

// forget takes a command out of memory that is no longer pending.
func (o *outbox) forget(command [16]byte) {
	o.mu.Lock()
	if e := o.byID[command]; e != nil {
		o.remove(e)
	}
	o.mu.Unlock()
	o.poke()
}

// retry queues a command once more; later messages of its conversation wait behind it.
func (o *outbox) retry(e *entry, res plugin.CommandResult, done func(plugin.Ack)) {
	r := o.r
	o.mu.Lock()
	attempt, doubtful := e.row.Attempt, e.doubtful
	o.mu.Unlock()
	if doubtful { // being settled as unknown: its word counts afterwards
		done(plugin.Ack{Status: plugin.Retry, Code: "unavailable"})
		return
	}
	backoff := min(time.Second<<min(max(attempt-1, 0), 8), 5*time.Minute)
	at := r.now().Add(max(backoff, res.RetryAfter))
	update := eventlog.OutboxUpdate{CommandID: e.row.CommandID, State: eventlog.OutboxQueued, Attempt: attempt + 1, NotBefore: at, Node: r.node}
	if !r.spawn(func() {
		_, err := r.log.Append(r.commits, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}})
		if errors.Is(err, eventlog.ErrConflict) || errors.Is(err, eventlog.ErrNotFound) {
			// A status of the provider's settled it: it was sent after all.
			o.forget(e.row.CommandID)
			done(plugin.Ack{Status: plugin.Duplicate, Conversation: conversation.ConversationID(e.row.Conversation), Seq: e.row.Seq})
			return
		}
		if err != nil {
			done(r.ack(conversation.ConversationID(e.row.Conversation), outcome{}, err))
			return
		}
		r.metrics.results.WithLabelValues(r.channelOf(e), "retry").Inc()
		o.mu.Lock()
		e.row.State, e.row.Attempt, e.row.NotBefore = eventlog.OutboxQueued, attempt+1, at
		e.lookup, e.maybe = false, false // the plugin says: not sent
		o.accounts[conversation.AccountID(e.row.Account)].stop(e)
		o.mu.Unlock()
		o.poke()
		done(plugin.Ack{Status: plugin.Committed, Conversation: conversation.ConversationID(e.row.Conversation)})
	}) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}
