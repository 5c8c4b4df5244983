package router

import (
	"errors"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// settle takes a plugin's Result.
func (r *Router) settle(in pluginhost.Inbound, done func(pluginhost.Ack)) {
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
			done(pluginhost.Ack{Status: pluginhost.Refused, Code: "unknown_command"})
			return
		}
		o.finish(&entry{row: row}, res, done)
	}) {
		done(pluginhost.Ack{Status: pluginhost.Retry, Code: "stopping"})
	}
}

// finish carries a Result out: settled, unknown, or once more later.
func (o *outbox) finish(e *entry, res pluginhost.CommandResult, done func(pluginhost.Ack)) {
	r := o.r
	conv := conversation.ConversationID(e.row.Conversation)
	o.mu.Lock()
	was, attempt := e.row.State, e.row.Attempt
	known := o.byID[e.row.CommandID] == e
	waits := known && !e.inflight && !e.doubtful && was == eventlog.OutboxQueued
	o.mu.Unlock()
	if res.Outcome == conversation.StatusFailed && res.Retryable && r.now().Before(e.row.Deadline) && pending(was) {
		if waits { // the same word again: it is going to be tried
			done(pluginhost.Ack{Status: pluginhost.Committed, Conversation: conv})
			return
		}
		o.retry(e, res, done)
		return
	}
	if was == eventlog.OutboxSettled && (res.Outcome != conversation.StatusSent || e.row.Kind == kindProcess) {
		done(pluginhost.Ack{Status: pluginhost.Duplicate, Conversation: conv, Seq: e.row.Seq}) // nothing takes a settled one back
		return
	}
	state := eventlog.OutboxSettled
	if res.Outcome == conversation.StatusUnknown {
		state = eventlog.OutboxUnknown
	}
	update := []eventlog.OutboxUpdate{{CommandID: e.row.CommandID, State: state, Attempt: attempt, Node: r.node}}
	settled := func(out outcome, err error) {
		if err != nil {
			done(r.ack(conv, out, err))
			return
		}
		o.mu.Lock()
		if o.byID[e.row.CommandID] == e {
			o.remove(e)
		}
		o.mu.Unlock()
		o.poke()
		done(pluginhost.Ack{Status: pluginhost.Committed, Conversation: conv, Seq: out.first})
	}
	// alone settles the row without a word in the conversation.
	alone := func() {
		if !r.spawn(func() {
			_, err := r.log.Append(r.commits, &eventlog.Batch{OutboxUpdates: update})
			if errors.Is(err, eventlog.ErrConflict) || errors.Is(err, eventlog.ErrNotFound) {
				err = nil // settled by another word already
			}
			settled(outcome{}, err)
		}) {
			done(pluginhost.Ack{Status: pluginhost.Retry, Code: "stopping"})
		}
	}
	r.metrics.results.WithLabelValues(r.channelOf(e), string(res.Outcome)).Inc()
	if e.row.Kind == kindProcess {
		alone()
		return
	}
	account := conversation.AccountID(e.row.Account)
	cmd := conversation.SetStatus{Message: conversation.MessageID(e.row.CommandID), Status: res.Outcome, Kind: res.Kind, Code: res.Code, Body: statusBody(res.Text)}
	var external []eventlog.Key
	for _, id := range res.ProviderIDs {
		if id != "" {
			external = append(external, r.externalKey(account, id))
		}
	}
	l := r.live(conv)
	var submit func(external []eventlog.Key)
	submit = func(external []eventlog.Key) {
		l.submit(&task{cmd: cmd, outbox: update, account: account, external: external, externalSeq: e.row.Seq, done: func(out outcome, err error) {
			switch {
			case err == nil && out.duplicate && len(external) > 0:
				submit(nil) // its ids are known already, which says nothing about the row
			case err != nil && (conversation.Code(err) != "" || errors.Is(err, ErrNotFound)):
				alone() // the conversation no longer follows the message: the row must not stay
			default:
				settled(out, err)
			}
		}})
	}
	submit(external)
}

func pending(s eventlog.OutboxState) bool {
	return s == eventlog.OutboxQueued || s == eventlog.OutboxDispatched || s == eventlog.OutboxBegun
}

// retry queues a command once more; later messages of its conversation wait behind it.
func (o *outbox) retry(e *entry, res pluginhost.CommandResult, done func(pluginhost.Ack)) {
	r := o.r
	o.mu.Lock()
	attempt, doubtful := e.row.Attempt, e.doubtful
	o.mu.Unlock()
	if doubtful { // being settled as unknown: its word counts afterwards
		done(pluginhost.Ack{Status: pluginhost.Retry, Code: "unavailable"})
		return
	}
	backoff := min(time.Second<<min(max(attempt-1, 0), 8), 5*time.Minute)
	at := r.now().Add(max(backoff, res.RetryAfter))
	update := eventlog.OutboxUpdate{CommandID: e.row.CommandID, State: eventlog.OutboxQueued, Attempt: attempt + 1, NotBefore: at, Node: r.node}
	if !r.spawn(func() {
		if _, err := r.log.Append(r.commits, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}}); err != nil {
			done(r.ack(conversation.ConversationID(e.row.Conversation), outcome{}, err))
			return
		}
		r.metrics.results.WithLabelValues(r.channelOf(e), "retry").Inc()
		o.mu.Lock()
		e.row.State, e.row.Attempt, e.row.NotBefore = eventlog.OutboxQueued, attempt+1, at
		e.inflight, e.instance, e.lookup, e.maybe = false, "", false, false // the plugin says: not sent
		o.mu.Unlock()
		o.poke()
		done(pluginhost.Ack{Status: pluginhost.Committed, Conversation: conversation.ConversationID(e.row.Conversation)})
	}) {
		done(pluginhost.Ack{Status: pluginhost.Retry, Code: "stopping"})
	}
}
