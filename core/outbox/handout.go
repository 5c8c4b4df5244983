package outbox

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

// Run hands out commands whenever there may be one to hand out, until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := o.handOut(ctx)
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-timer.C:
		}
	}
}

// How many commands are made at a time, for all accounts and for one account: a command that a full
// window then refuses was made for nothing.
const (
	mostPicked    = 64
	mostOfAccount = 16
)

// handOut hands out all commands that can be handed out now, and returns after what time to look
// again. Nothing is recorded: until Begin a command counts as queued.
func (o *Outbox) handOut(ctx context.Context) time.Duration {
	o.mu.Lock()
	o.round++
	o.mu.Unlock()
	for ctx.Err() == nil {
		o.mu.Lock()
		picked, wait := o.pick(o.now())
		rewritten := o.rewritten
		o.mu.Unlock()
		if len(picked) == 0 {
			return wait
		}
		for _, c := range picked {
			cmd, err := o.outbound(ctx, c)
			if err != nil {
				if ctx.Err() != nil {
					return time.Hour
				}
				var named *referenceError
				if errors.As(err, &named) {
					o.abandon(c, "content", named.code)
					continue
				}
				o.logger.Warn("outbox: command cannot be made", "channel", o.channel(c.row.Account), "err", err)
				if errors.Is(err, ErrUnreadable) {
					o.abandon(c, "internal", "unreadable")
					continue
				}
				o.later(c, retryPause)
				continue
			}
			o.offer(c, cmd, rewritten)
		}
	}
	return time.Hour
}

// pick finds commands whose turn it is, and returns how long it takes until the next one may be
// tried. It needs o.mu.
func (o *Outbox) pick(now time.Time) (picked []*Command, wait time.Duration) {
	wait = time.Hour
	for id, a := range o.accounts {
		picked, wait = o.pickFrom(&a.pinned, mostOfAccount, now, picked, wait) // first, since somebody waits at the telephone
		if a.fullIn == o.round || !o.plugins[a.plugin].ready() || o.elsewhere(id, a.plugin) {
			continue
		}
		picked, wait = o.pickFrom(&a.shared, min(a.allowance(), mostPicked-len(picked)), now, picked, wait)
	}
	return picked, wait
}

// pickFrom adds commands of a turn to picked, at most most of them, and returns it with the shorter
// of wait and the time until one of the turn may be tried. It needs o.mu.
func (o *Outbox) pickFrom(t *turn, most int, now time.Time, picked []*Command, wait time.Duration) ([]*Command, time.Duration) {
	for range len(t.lanes) {
		if most <= 0 {
			break
		}
		t.next %= len(t.lanes)
		ln := t.lanes[t.next]
		c := ln.queue[0]
		t.next++
		if c.held || c.doubtful || c.late(now) || o.others.holdBack(&c.row) {
			continue
		}
		if ln.key.route != "" && (ln.fullIn == o.round || o.instances[ln.key.route] == nil) {
			continue
		}
		if d := c.row.NotBefore.Sub(now); d > 0 {
			wait = min(wait, d)
			continue
		}
		picked = append(picked, c)
		most--
	}
	return picked, wait
}

// offer gives a command to its plugin. If the plugin's window is full, the account's shared lanes,
// or the pinned lane, wait for the next round of handing out, which a Result or a new generation of
// the plugin starts. The plugin host may have room for a pinned command when it has none for
// others, so that neither keeps the other from being offered.
//
// If a conversation has been rewritten since the command was made (rewritten), it may contain what was
// masked: it is made again.
func (o *Outbox) offer(c *Command, cmd plugin.Outbound, rewritten uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.rewritten != rewritten {
		return
	}
	a := o.accounts[conversation.AccountID(c.row.Account)]
	if o.byID[c.row.CommandID] != c || a == nil || c.held || c.doubtful {
		return // the command ended meanwhile
	}
	pinned := c.row.Route != ""
	g := o.generationOf(c, a)
	if !g.ready() || !pinned && a.fullIn == o.round {
		return
	}
	a.give(c, g.instance)
	if g.port.Offer(cmd) {
		return
	}
	a.takeBack(c)
	if pinned {
		a.lanes[laneOf(&c.row)].fullIn = o.round
		return
	}
	a.fullIn, a.window = o.round, max(1, a.out)
	// The refused lane keeps its turn: otherwise the lanes behind a full window would starve.
	a.shared.next = max(0, slices.IndexFunc(a.shared.lanes, func(ln *lane) bool { return ln.queue[0] == c }))
}

// later makes a command wait for a time before it is tried again.
func (o *Outbox) later(c *Command, d time.Duration) {
	o.mu.Lock()
	c.row.NotBefore = o.now().Add(d)
	o.mu.Unlock()
}

// outbound makes the command for the plugin from the log.
func (o *Outbox) outbound(ctx context.Context, pending *Command) (plugin.Outbound, error) {
	o.mu.Lock()
	c := *pending // a copy, since a late Result may change the command meanwhile
	o.mu.Unlock()
	out := plugin.Outbound{
		Command: c.row.CommandID, Account: conversation.AccountID(c.row.Account), Conversation: conversation.ConversationID(c.row.Conversation),
		Pinned: c.row.Route != "", Attempt: c.row.Attempt, MaybeSent: c.maybe, Deadline: c.row.Deadline,
	}
	if !out.Deadline.IsZero() { // the system's clock, with which plugins compare it, may differ (FT19)
		out.Deadline = time.Now().Add(out.Deadline.Sub(o.now()))
	}
	if c.row.Kind != KindSend {
		payload, err := c.body, error(nil)
		if payload == nil {
			payload, err = o.openPayload(ctx, c.row)
		}
		if err != nil {
			return out, err
		}
		return out, readPayload(c.row.Kind, payload, &out)
	}
	m, err := o.message(ctx, &c)
	if err != nil {
		return out, err
	}
	out.Thread = m.To.Thread
	if c.lookup {
		out.Lookup = &plugin.LookupCommand{Message: m.ID}
		return out, nil
	}
	out.Send = &plugin.SendCommand{Message: m.ID, To: m.To.Address, Parts: m.Parts, Author: m.Author}
	return out, o.refer(ctx, &c.row, &m, out.Send)
}

// message returns what a command sends, and to whom.
func (o *Outbox) message(ctx context.Context, c *Command) (Message, error) {
	conv := conversation.ConversationID(c.row.Conversation)
	if c.body == nil {
		return o.convs.Message(ctx, conv, c.row.Seq)
	}
	var body conversation.MessageBody
	if err := json.Unmarshal(c.body, &body); err != nil {
		return Message{}, fmt.Errorf("outbox: decode message %d of %s: %w", c.row.Seq, conv, err)
	}
	to, err := o.convs.Recipient(ctx, conv, c.endpoint)
	return Message{
		ID: conversation.MessageID(c.row.CommandID), Parts: body.Parts, Author: body.Name, To: to, ReplyTo: c.replyTo, Endpoint: c.endpoint,
	}, err
}

// Begin records that a command is about to leave for the provider (plugin.Core).
func (o *Outbox) Begin(ctx context.Context, account conversation.AccountID, command [16]byte, instance string) (bool, error) {
	o.mu.Lock()
	c := o.byID[command]
	has := func() bool {
		return c != nil && conversation.AccountID(c.row.Account) == account && c.held && c.instance == instance
	}
	ok := has() && (c.row.Route != "" || !o.elsewhere(account, c.plugin)) // another node may be sending it
	var row eventlog.OutboxRow
	if ok {
		row = c.row
	}
	o.mu.Unlock()
	if !ok {
		return false, nil
	}
	_, err := o.log.Append(ctx, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{o.update(row, eventlog.OutboxBegun)}})
	if refused(err) { // the row is settled, or belongs to another node or did so meanwhile, so this node may not send it
		o.lost(ctx, row)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !has() { // the generation has gone meanwhile, so this instance may not send it
		return false, nil
	}
	c.row.State = eventlog.OutboxBegun
	return true, nil
}

// refused reports whether an update does not fit its row, or there is no such row.
func refused(err error) bool {
	return errors.Is(err, eventlog.ErrConflict) || errors.Is(err, eventlog.ErrNotFound)
}
