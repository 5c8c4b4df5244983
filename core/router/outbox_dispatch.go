package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// run hands out commands whenever something may have become possible.
func (o *outbox) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := o.dispatch(ctx)
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-timer.C:
		}
	}
}

// Commands that are made at a time, for all accounts and for one: what a full
// window refuses was made in vain.
const (
	mostPicked    = 64
	mostOfAccount = 16
)

// pick finds commands whose turn it is, and how long until the next one may be
// tried. It needs o.mu.
func (o *outbox) pick(now time.Time) (picked []*entry, wait time.Duration) {
	wait = time.Hour
	for _, b := range o.accounts {
		if b.full == o.round || o.ports[b.plugin] == nil {
			continue
		}
		mine, room := 0, b.room()
		for range len(b.turn) {
			if len(picked) == mostPicked || mine == room {
				break
			}
			b.next %= len(b.turn)
			e := b.turn[b.next].queue[0]
			b.next++
			if e.inflight || e.doubtful || e.late(now) {
				continue
			}
			if d := e.row.NotBefore.Sub(now); d > 0 {
				wait = min(wait, d)
				continue
			}
			picked = append(picked, e)
			mine++
		}
	}
	return picked, wait
}

// late reports whether a command's time is over: it is given up. What is asked
// for with a lookup goes on being asked for.
func (e *entry) late(now time.Time) bool {
	return !e.lookup && e.row.State != eventlog.OutboxBegun && e.over(now)
}

func (e *entry) over(now time.Time) bool {
	return !e.row.Deadline.IsZero() && now.After(e.row.Deadline)
}

// answerGrace is how long after a command's deadline a plugin that has it may
// still give its Result.
const answerGrace = 5 * time.Minute

// giveUp ends the commands whose time is over: those that nobody has taken, those
// that passed Begin with a plugin that never came back (it was taken out of the
// configuration, or its account was deleted), and those of which a plugin
// that is there says nothing. What passed Begin may have been sent, so it ends
// unknown (PR4).
func (o *outbox) giveUp() {
	now := o.r.now()
	over := map[*entry]conversation.Status{}
	o.mu.Lock()
	for _, e := range o.byID {
		if !e.over(now) || e.doubtful {
			continue
		}
		b := o.accounts[conversation.AccountID(e.row.Account)]
		switch {
		case e.inflight && e.instance == "": // ends already
			continue
		case e.inflight && !now.After(e.row.Deadline.Add(answerGrace)):
			continue
		case !e.inflight && !e.late(now) && o.ports[b.plugin] != nil:
			continue
		}
		b.stop(e)
		e.inflight = true // nobody picks it again
		over[e] = conversation.StatusFailed
		if e.row.Kind == kindSend && (e.lookup || e.row.State == eventlog.OutboxBegun) {
			over[e] = conversation.StatusUnknown
		}
	}
	o.mu.Unlock()
	for e, outcome := range over {
		o.insist(e, plugin.CommandResult{Command: e.row.CommandID, Outcome: outcome, Kind: "temporary", Code: "deadline"})
	}
}

// dispatch hands out what can be handed out now, and tells after what time to
// look again. Nothing is recorded: until Begin a command is as good as queued.
func (o *outbox) dispatch(ctx context.Context) time.Duration {
	o.mu.Lock()
	o.round++
	o.mu.Unlock()
	for ctx.Err() == nil {
		o.mu.Lock()
		now := o.r.now()
		picked, wait := o.pick(now)
		o.mu.Unlock()
		if len(picked) == 0 {
			return wait
		}
		for _, e := range picked {
			cmd, err := o.command(ctx, e)
			if err != nil {
				if ctx.Err() != nil {
					return time.Hour
				}
				o.r.logger.Warn("outbox: command cannot be made", "channel", o.r.channelOf(e), "err", err)
				if keyLost(err) || errors.Is(err, errUnreadable) {
					o.abandon(e)
					continue
				}
				o.later(e, retryPause)
				continue
			}
			o.offer(e, cmd)
		}
	}
	return time.Hour
}

// abandon ends a command that can never be made. One that may have been sent
// before ends unknown (PR4).
func (o *outbox) abandon(e *entry) {
	o.mu.Lock()
	if o.byID[e.row.CommandID] != e || e.inflight || e.doubtful {
		o.mu.Unlock()
		return // settled meanwhile
	}
	e.inflight = true // nobody picks it again
	outcome := conversation.StatusFailed
	if e.row.Kind == kindSend && (e.lookup || e.maybe) {
		outcome = conversation.StatusUnknown
	}
	o.mu.Unlock()
	o.insist(e, plugin.CommandResult{Command: e.row.CommandID, Outcome: outcome, Kind: "internal", Code: "unreadable"})
}

// offer hands a command out. When the window is full, its account waits until
// dispatch is called again: a Result or a new generation does that.
func (o *outbox) offer(e *entry, cmd plugin.Outbound) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.accounts[conversation.AccountID(e.row.Account)]
	if o.byID[e.row.CommandID] != e || b == nil || e.inflight || e.doubtful {
		return // settled meanwhile
	}
	p := o.ports[b.plugin]
	if p == nil || b.full == o.round {
		return
	}
	b.start(e, p.instance)
	if p.port.Offer(cmd) {
		return
	}
	b.stop(e)
	b.full, b.window = o.round, max(1, b.flight)
	// It keeps its turn: else the lanes behind a full window would starve.
	b.next = max(0, slices.IndexFunc(b.turn, func(ln *lane) bool { return ln.queue[0] == e }))
}

// start notes that a command is at the plugin.
func (b *box) start(e *entry, instance string) {
	e.inflight, e.instance = true, instance
	b.flight++
	if b.window > 0 {
		b.window = max(b.window, b.flight)
	}
}

// stop notes that a command is no longer at the plugin, if it was. A nil box
// has none.
func (b *box) stop(e *entry) {
	if b != nil && e.instance != "" {
		b.flight--
	}
	e.inflight, e.instance = false, ""
}

func (o *outbox) later(e *entry, d time.Duration) {
	o.mu.Lock()
	e.row.NotBefore = o.r.now().Add(d)
	o.mu.Unlock()
}

// insist carries out an outcome of the router's own, however long the store refuses it.
func (o *outbox) insist(e *entry, res plugin.CommandResult) {
	o.finish(e, res, func(a plugin.Ack) {
		if a.Status == plugin.Retry {
			o.r.after(retryPause, func() { o.insist(e, res) })
		}
	})
}

// command makes the plugin's command from the log.
func (o *outbox) command(ctx context.Context, e *entry) (plugin.Outbound, error) {
	out := plugin.Outbound{
		Command: e.row.CommandID, Account: conversation.AccountID(e.row.Account), Conversation: conversation.ConversationID(e.row.Conversation),
		Attempt: e.row.Attempt, MaybeSent: e.maybe, Deadline: e.row.Deadline,
	}
	if !out.Deadline.IsZero() { // plugins compare it with the system's clock (FT19)
		out.Deadline = time.Now().Add(out.Deadline.Sub(o.r.now()))
	}
	if e.row.Kind == kindProcess {
		payload, err := o.r.vault.Open(e.row.KeyID, e.row.Account[:], e.row.Payload)
		if err != nil {
			return out, err
		}
		out.Thread, out.Process, err = splitDeferred(payload)
		return out, err
	}
	m, start, err := o.message(ctx, e)
	if err != nil {
		return out, err
	}
	out.Thread = start.thread
	if e.lookup {
		out.Lookup = &plugin.LookupCommand{Message: m.id}
		return out, nil
	}
	out.Send = &plugin.SendCommand{Message: m.id, To: start.address, Parts: m.parts, Author: m.name}
	return out, nil
}

// message is what a command sends, and to whom.
func (o *outbox) message(ctx context.Context, e *entry) (outgoingMessage, recipient, error) {
	conv := conversation.ConversationID(e.row.Conversation)
	if e.body == nil {
		return o.r.outgoing(ctx, conv, e.row.Seq)
	}
	var body conversation.MessageBody
	if err := json.Unmarshal(e.body, &body); err != nil {
		return outgoingMessage{}, recipient{}, fmt.Errorf("router: decode message %d of %s: %w", e.row.Seq, conv, err)
	}
	to, err := o.r.recipientOf(ctx, conv, e.endpoint)
	return outgoingMessage{id: conversation.MessageID(e.row.CommandID), parts: body.Parts, name: body.Name}, to, err
}

// Begin records that a command is about to leave for the provider (plugin.Core).
func (r *Router) Begin(ctx context.Context, account conversation.AccountID, command [16]byte, instance string) (bool, error) {
	o := r.outbox
	o.mu.Lock()
	e := o.byID[command]
	mine := func() bool {
		return e != nil && conversation.AccountID(e.row.Account) == account && e.inflight && e.instance == instance
	}
	ok, attempt := mine(), 0
	if ok {
		attempt = e.row.Attempt
	}
	o.mu.Unlock()
	if !ok {
		return false, nil
	}
	update := eventlog.OutboxUpdate{CommandID: command, State: eventlog.OutboxBegun, Attempt: attempt, Node: r.node}
	_, err := r.log.Append(ctx, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{update}})
	if errors.Is(err, eventlog.ErrConflict) || errors.Is(err, eventlog.ErrNotFound) { // settled from elsewhere: nobody's to send
		o.forget(command)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !mine() { // the generation went meanwhile and the command is another's: no leave to send
		return false, nil
	}
	e.row.State = eventlog.OutboxBegun
	return true, nil
}
