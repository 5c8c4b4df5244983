package outbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

const (
	// nodeTTL is how long a node keeps its rows without having renewed its lease. After that other
	// nodes take the rows over.
	nodeTTL = 15 * time.Second
	// mostTakenOver bounds the number of rows in one append.
	mostTakenOver = 500
)

// leaseOf names the lease of a node on its own rows.
func leaseOf(node string) string { return "outbox/" + node }

// renew keeps the node's own lease. steady: the lease has been kept without a gap for longer than
// nodeTTL. Only then may rows be taken over: after an outage of the database every node's lease has
// expired, and for 15 s no node takes rows over, so that each node has time to renew its own lease.
func (o *Outbox) renew(ctx context.Context) (steady, held bool, err error) {
	asked := time.Now()
	epoch, held, err := o.log.AcquireLease(ctx, leaseOf(o.node), o.node, nodeTTL)
	if err != nil {
		return false, false, fmt.Errorf("lease of the outbox: %w", err)
	}
	if !held || asked.Sub(o.renewed) > nodeTTL {
		o.keptSince = asked
	}
	o.renewed = asked
	if held {
		o.epoch.Store(epoch)
	}
	return asked.Sub(o.keptSince) > nodeTTL, held, nil
}

// Release gives up the node's lease, so that other nodes need not wait until it expires.
func (o *Outbox) Release() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.runner.Running()), time.Second)
	defer cancel()
	if err := o.log.ReleaseLease(ctx, leaseOf(o.node), o.node, o.epoch.Load()); err != nil {
		o.logger.Warn("outbox: cannot release the lease", "err", err)
	}
}

// takeOver gives the rows of nodes that are gone to this node; the next reading then takes them
// into memory. A node is gone when its lease has expired: after the takeover it can begin none of
// these commands (eventlog.OutboxUpdate.Fits). Rows without a node come from releases that did not
// record one.
func (o *Outbox) takeOver(ctx context.Context, nodes map[string]struct{}, steady bool) error {
	for node := range nodes {
		if node != "" && !steady {
			continue
		}
		count, err := o.takeOverFrom(ctx, node)
		if err != nil {
			return fmt.Errorf("take over from node %q: %w", node, err)
		}
		if count > 0 {
			o.logger.Info("outbox: took over the commands of a node that is gone", "from", node, "count", count)
			o.ReadAgain()
		}
	}
	return nil
}

// takeOverFrom gives the rows of one node to this node, if the other node's lease has expired.
func (o *Outbox) takeOverFrom(ctx context.Context, node string) (count int, err error) {
	name := leaseOf(node)
	epoch, held, err := o.log.AcquireLease(ctx, name, o.node, nodeTTL)
	if err != nil || !held {
		return 0, err
	}
	// Only while this node holds the other's lease is it certain which rows are still the other
	// node's: a third node may have taken them over since they were read.
	rows, err := o.log.Outbox(ctx, eventlog.StreamID{}, false, 0)
	if err != nil {
		return 0, err
	}
	var ids [][16]byte
	for i := range rows {
		if rows[i].Node == node {
			ids = append(ids, rows[i].CommandID)
		}
	}
	for chunk := range slices.Chunk(ids, mostTakenOver) {
		b := &eventlog.Batch{Lease: eventlog.LeaseRef{Name: name, Epoch: epoch}}
		for _, id := range chunk {
			b.OutboxUpdates = append(b.OutboxUpdates, eventlog.OutboxUpdate{CommandID: id, Node: o.node})
		}
		if _, err := o.log.Append(ctx, b); err != nil {
			return 0, err
		}
	}
	return len(ids), o.log.ReleaseLease(ctx, name, o.node, epoch)
}
