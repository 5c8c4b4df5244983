package router

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

// The rows are the truth and memory is a cache of them (DESIGN.md 4). Rows come
// into memory at their commit; when the commit's outcome is unknown, while their
// conversation is loaded again (learn); and by reading all of them every few
// seconds, which finds what neither of the others could.
const (
	// rereadEvery is how often all pending rows are read. A long list is read
	// less often: reading takes at most a twentieth of the time.
	rereadEvery = 5 * time.Second
	rereadShare = 20
	// nodeTTL is how long a node keeps its rows without having read them. Then
	// others take them over.
	nodeTTL = 15 * time.Second
	// mostTakenOver bounds the rows of one append.
	mostTakenOver = 500
)

// outboxLease names the lease of a node on its own rows.
func outboxLease(node string) string { return "outbox/" + node }

// keep reads the rows again, and gives up what is over, until ctx ends.
func (o *outbox) keep(ctx context.Context) {
	timer := time.NewTimer(rereadEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.again:
		case <-timer.C:
		}
		if err := o.reread(ctx); err != nil && ctx.Err() == nil {
			o.r.logger.Warn("outbox: rows cannot be read", "err", err)
		}
		o.giveUp()
		timer.Reset(rereadEvery)
	}
}

// readAgain has the rows read as soon as possible.
func (o *outbox) readAgain() {
	select {
	case o.again <- struct{}{}:
	default:
	}
}

// release gives the node's lease up, so that others need not wait for its end.
func (o *outbox) release() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.r.ctx), time.Second)
	defer cancel()
	if err := o.r.log.ReleaseLease(ctx, outboxLease(o.r.node), o.r.node); err != nil {
		o.r.logger.Warn("outbox: cannot release the lease", "err", err)
	}
}

// start takes in the node's pending rows. A lease that cannot be written, as on a
// full disk, keeps nobody from reading (PR16): keep renews it as soon as it can be.
func (o *outbox) start(ctx context.Context) error {
	steady, held, err := o.renew(ctx)
	switch {
	case err != nil:
		o.r.logger.Warn("outbox: the lease on this node's commands cannot be written yet", "err", err)
		return o.readRows(ctx, false, false)
	case !held:
		return nil
	}
	return o.readRows(ctx, true, steady)
}

// reread renews the node's lease, brings memory up to its pending rows, and
// takes over those of nodes that are gone.
func (o *outbox) reread(ctx context.Context) error {
	steady, held, err := o.renew(ctx)
	if err != nil || !held { // not held: another node is taking this one's rows over
		return err
	}
	return o.readRows(ctx, true, steady)
}

// readRows brings memory up to the node's pending rows. With leased, rows of nodes
// that are gone are taken over too (steady: see renew).
func (o *outbox) readRows(ctx context.Context, leased, steady bool) error {
	began := time.Now()
	if began.Before(o.notReadBefore) {
		return nil
	}
	defer func() { o.notReadBefore = began.Add(rereadShare * time.Since(began)) }()
	number := o.beginRead()
	rows, err := o.r.log.Outbox(ctx, eventlog.StreamID{}, false, 0)
	if err != nil {
		o.endRead(nil)
		return fmt.Errorf("read outbox: %w", err)
	}
	mine := make(map[[16]byte]struct{}, len(rows))
	foreign := map[string][][16]byte{}
	own := rows[:0]
	for _, row := range rows {
		if row.Node != o.r.node {
			foreign[row.Node] = append(foreign[row.Node], row.CommandID)
			continue
		}
		mine[row.CommandID] = struct{}{}
		own = append(own, row)
	}
	o.endRead(own)
	o.dropStale(mine, number)
	if !leased {
		return nil
	}
	return o.takeOver(ctx, foreign, steady)
}

// renew keeps the node's own lease. steady: it has been kept without a gap
// for longer than nodeTTL. Only then may rows be taken over: after an outage of the
// database every node's lease has run out, and for 15 s nobody takes over anything,
// so that each node has time to renew its own.
func (o *outbox) renew(ctx context.Context) (steady, held bool, err error) {
	asked := time.Now()
	_, held, err = o.r.log.AcquireLease(ctx, outboxLease(o.r.node), o.r.node, nodeTTL)
	if err != nil {
		return false, false, fmt.Errorf("lease of the outbox: %w", err)
	}
	if !held || asked.Sub(o.renewed) > nodeTTL {
		o.keptSince = asked
	}
	o.renewed = asked
	return asked.Sub(o.keptSince) > nodeTTL, held, nil
}

// beginRead makes remove remember what leaves memory until endRead: what was
// read before may name it as pending. It returns the number of the reading.
func (o *outbox) beginRead() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reading++
	o.reads++
	return o.reads
}

// endRead takes in what was read and is not in memory.
func (o *outbox) endRead(rows []eventlog.OutboxRow) {
	type lostEntry struct {
		e    *entry
		info plugin.Info
	}
	var lost []lostEntry
	o.mu.Lock()
	for _, row := range rows {
		if _, gone := o.gone[row.CommandID]; gone || o.byID[row.CommandID] != nil {
			continue
		}
		e := &entry{row: row, maybe: row.Attempt > 1} // its text is in the log
		o.insert(e)
		p := o.ports[o.accounts[conversation.AccountID(row.Account)].plugin]
		if row.State == eventlog.OutboxBegun && p != nil { // by nobody who is here
			e.doubtful = true
			lost = append(lost, lostEntry{e, p.port.Info()})
		}
	}
	if o.reading--; o.reading == 0 {
		o.gone = nil
	}
	o.mu.Unlock()
	for _, l := range lost {
		o.doubt(l.e, l.info)
	}
	if len(rows) > 0 {
		o.poke()
	}
}

// dropStale forgets the entries that were in memory before a reading and are
// not pending in what it read: they were settled elsewhere, or are another
// node's by now. What a plugin has, or doubt decides about, is left to them.
func (o *outbox) dropStale(mine map[[16]byte]struct{}, reading uint64) {
	o.mu.Lock()
	var stale []*entry
	for id, e := range o.byID {
		if _, ok := mine[id]; !ok && e.read < reading && !e.inflight && !e.doubtful {
			stale = append(stale, e)
		}
	}
	for _, e := range stale {
		o.remove(e)
	}
	o.mu.Unlock()
	if len(stale) > 0 {
		o.poke()
	}
}

// takeOver makes the rows of nodes that are gone this node's; reading again then
// takes them in. A node is gone when its lease has ended: from the takeover on it
// cannot begin any of these commands (eventlog.OutboxUpdate.Fits). Rows without
// a node are of releases that named none.
func (o *outbox) takeOver(ctx context.Context, foreign map[string][][16]byte, steady bool) error {
	for node, ids := range foreign {
		if node != "" && !steady {
			continue
		}
		name := outboxLease(node)
		epoch, held, err := o.r.log.AcquireLease(ctx, name, o.r.node, nodeTTL)
		if err != nil {
			return fmt.Errorf("take over from node %q: %w", node, err)
		}
		if !held {
			continue
		}
		// Only under the lease is it known which rows are still that node's:
		// another one may have taken them over since they were read.
		rows, err := o.r.log.Outbox(ctx, eventlog.StreamID{}, false, 0)
		if err != nil {
			return fmt.Errorf("take over from node %q: %w", node, err)
		}
		ids = ids[:0]
		for i := range rows {
			if rows[i].Node == node {
				ids = append(ids, rows[i].CommandID)
			}
		}
		for chunk := range slices.Chunk(ids, mostTakenOver) {
			b := &eventlog.Batch{Lease: eventlog.LeaseRef{Name: name, Epoch: epoch}}
			for _, id := range chunk {
				b.OutboxUpdates = append(b.OutboxUpdates, eventlog.OutboxUpdate{CommandID: id, Node: o.r.node})
			}
			if _, err := o.r.log.Append(ctx, b); err != nil {
				return fmt.Errorf("take over from node %q: %w", node, err)
			}
		}
		if err := o.r.log.ReleaseLease(ctx, name, o.r.node); err != nil {
			return fmt.Errorf("take over from node %q: %w", node, err)
		}
		if len(ids) > 0 {
			o.r.logger.Info("outbox: took over the commands of a node that is gone", "from", node, "count", len(ids))
			o.readAgain()
		}
	}
	return nil
}

// learn takes in the pending rows of a conversation that was just loaded, as
// far as its messages wait to be sent and memory does not hold them. So the rows
// of an append with an unknown outcome are in their lane before any later
// message of the conversation is.
func (o *outbox) learn(ctx context.Context, s *conversation.State) error {
	var missing [][16]byte
	o.mu.Lock()
	for i := range s.Pending {
		if p := &s.Pending[i]; p.Status == conversation.StatusAccepted && o.byID[p.ID] == nil {
			missing = append(missing, p.ID)
		}
	}
	o.mu.Unlock()
	if len(missing) == 0 {
		return nil
	}
	o.beginRead()
	var rows []eventlog.OutboxRow
	defer func() { o.endRead(rows) }()
	for _, id := range missing {
		row, err := o.r.log.OutboxRow(ctx, id)
		switch {
		case errors.Is(err, eventlog.ErrNotFound):
		case err != nil:
			return fmt.Errorf("read outbox: %w", err)
		case row.State.Pending() && row.Node == o.r.node:
			rows = append(rows, row)
		}
	}
	return nil
}
