package outbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

const (
	// nodeTTL is how long a node keeps its rows without having read them. Then
	// others take them over.
	nodeTTL = 15 * time.Second
	// mostTakenOver bounds the rows of one append.
	mostTakenOver = 500
)

// leaseOf names the lease of a node on its own rows.
func leaseOf(node string) string { return "outbox/" + node }

// renew keeps the node's own lease. steady: it has been kept without a gap
// for longer than nodeTTL. Only then may rows be taken over: after an outage of the
// database every node's lease has run out, and for 15 s nobody takes over anything,
// so that each node has time to renew its own.
func (o *Outbox) renew(ctx context.Context) (steady, held bool, err error) {
	asked := time.Now()
	_, held, err = o.log.AcquireLease(ctx, leaseOf(o.node), o.node, nodeTTL)
	if err != nil {
		return false, false, fmt.Errorf("lease of the outbox: %w", err)
	}
	if !held || asked.Sub(o.renewed) > nodeTTL {
		o.keptSince = asked
	}
	o.renewed = asked
	return asked.Sub(o.keptSince) > nodeTTL, held, nil
}

// Release gives the node's lease up, so that others need not wait for its end.
func (o *Outbox) Release() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.runner.Running()), time.Second)
	defer cancel()
	if err := o.log.ReleaseLease(ctx, leaseOf(o.node), o.node); err != nil {
		o.logger.Warn("outbox: cannot release the lease", "err", err)
	}
}

// takeOver makes the rows of nodes that are gone this node's; reading again then
// takes them in. A node is gone when its lease has ended: from the takeover on it
// cannot begin any of these commands (eventlog.OutboxUpdate.Fits). Rows without
// a node are of releases that named none.
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

// takeOverFrom makes the rows of one node this node's, if its lease has ended.
func (o *Outbox) takeOverFrom(ctx context.Context, node string) (count int, err error) {
	name := leaseOf(node)
	epoch, held, err := o.log.AcquireLease(ctx, name, o.node, nodeTTL)
	if err != nil || !held {
		return 0, err
	}
	// Only under the lease is it known which rows are still that node's: another
	// one may have taken them over since they were read.
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
	return len(ids), o.log.ReleaseLease(ctx, name, o.node)
}
