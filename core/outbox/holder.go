package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// begunGrace is how long a node has served an account before it takes over commands that another
// node has begun: that node's plugin may still be waiting for its provider, and then reports.
const begunGrace = 30 * time.Second

// elsewhere reports whether an account is one that one node at a time serves, and that node is not
// this one. Its commands that are not pinned then wait until the node that serves the account claims
// them. It needs o.mu.
func (o *Outbox) elsewhere(account conversation.AccountID, plugin string) bool {
	if o.leases == nil {
		return false
	}
	if !o.plugins[plugin].oneNode(account) {
		return false
	}
	_, _, held := o.leases.Lease(account)
	return !held
}

// unlessSwitchedOff returns a plugin's report, and makes a failure retryable if the plugin may have
// refused the command only because its account was switched off on this node meanwhile, even if it is
// on again: the plugin has not begun it. An outcome that the outbox decided does not come here: it is
// final whichever node serves the account.
func (o *Outbox) unlessSwitchedOff(c *Command, res plugin.CommandResult) plugin.CommandResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	if res.Outcome != conversation.StatusFailed || o.leases == nil || c.row.State != eventlog.OutboxQueued || c.row.Route != "" {
		return res
	}
	if !o.plugins[c.plugin].oneNode(conversation.AccountID(c.row.Account)) {
		return res
	}
	_, since, held := o.leases.Lease(c.row.Account)
	res.Retryable = res.Retryable || !held || since.After(c.given)
	return res
}

// claim gives the commands of accounts that this node serves, and no other one may serve, to this
// node; the next reading takes them into memory. Only while this node has the account's lease do the
// appends succeed. The node that had a command learns of it when it begins or changes it
// (eventlog.OutboxUpdate.Fits). Pinned commands stay with the node of their generation.
func (o *Outbox) claim(ctx context.Context, rows []eventlog.OutboxRow) error {
	if o.leases == nil {
		return nil
	}
	of := map[eventlog.StreamID][][16]byte{}
	for i := range rows {
		row := &rows[i]
		if row.Node == o.node || row.Route != "" {
			continue
		}
		_, since, held := o.leases.Lease(row.Account)
		if held && (row.State == eventlog.OutboxQueued || time.Since(since) > begunGrace) {
			of[row.Account] = append(of[row.Account], row.CommandID)
		}
	}
	claimed := 0
	for account, ids := range of {
		n, err := o.claimOf(ctx, account, ids)
		if err != nil {
			return fmt.Errorf("claim the commands of an account: %w", err)
		}
		claimed += n
	}
	if claimed > 0 {
		o.logger.Info("outbox: took the commands of accounts that this node serves from other nodes", "count", claimed)
		o.ReadAgain()
	}
	return nil
}

func (o *Outbox) claimOf(ctx context.Context, account eventlog.StreamID, ids [][16]byte) (n int, err error) {
	for chunk := range slices.Chunk(ids, mostTakenOver) {
		lease, _, held := o.leases.Lease(account)
		if !held {
			return n, nil
		}
		b := &eventlog.Batch{Lease: lease}
		for _, id := range chunk {
			b.OutboxUpdates = append(b.OutboxUpdates, eventlog.OutboxUpdate{CommandID: id, Node: o.node})
		}
		_, err := o.log.Append(ctx, b)
		if errors.Is(err, eventlog.ErrFenced) { // another node has the account now
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n += len(chunk)
	}
	return n, nil
}
