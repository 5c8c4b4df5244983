package eventlogtest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

const (
	claimedRows = 40
	perHolder   = 4 // rows that end before the lease moves
)

// claimer is a node that does with the rows of an account what an outbox does: it claims them under
// the account's lease, as far as it knows that, begins them and settles them.
type claimer struct {
	node    string
	l       eventlog.Shared
	lease   atomic.Pointer[eventlog.LeaseRef] // as the node knows it: it does not notice that it has lost the lease
	mu      *sync.Mutex
	begun   map[[16]byte]map[int64]bool // under which of a row's epochs it was begun, by any node
	settled map[[16]byte]map[int64]bool // likewise
	ended   chan struct{}               // gets a token for each row that ends
}

// round reads the rows once and works on them. A row of its own that it has not begun itself in this
// round it begins, or, if it was begun before, it gives up.
func (c *claimer) round(ctx context.Context, t *testing.T) {
	rows, err := c.l.Outbox(ctx, ID(500), false, 0)
	if err != nil {
		t.Error(err)
		return
	}
	claim := &eventlog.Batch{}
	for i := range rows {
		if rows[i].Node != c.node {
			claim.OutboxUpdates = append(claim.OutboxUpdates, eventlog.OutboxUpdate{CommandID: rows[i].CommandID, Node: c.node})
		}
	}
	if ref := c.lease.Load(); ref != nil && len(claim.OutboxUpdates) > 0 {
		claim.Lease = *ref
		if _, err := c.l.Append(ctx, claim); err != nil && !errors.Is(err, eventlog.ErrFenced) {
			t.Errorf("claim: %v", err)
		}
	}
	for i := range rows {
		row := &rows[i]
		if row.Node != c.node {
			continue
		}
		if row.State == eventlog.OutboxQueued && !c.change(ctx, t, row, eventlog.OutboxBegun, c.begun) {
			continue
		}
		if c.change(ctx, t, row, eventlog.OutboxSettled, c.settled) {
			c.ended <- struct{}{}
		}
	}
}

// change moves a row on and notes the epoch in of. False: the row is another node's by now, or it was
// settled before.
func (c *claimer) change(ctx context.Context, t *testing.T, row *eventlog.OutboxRow, to eventlog.OutboxState, of map[[16]byte]map[int64]bool) bool {
	_, err := c.l.Append(ctx, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: row.CommandID, State: to, Attempt: 1, Node: c.node, Epoch: row.Epoch}}})
	switch {
	case errors.Is(err, eventlog.ErrConflict):
		return false
	case err != nil:
		t.Errorf("%s: %v", to, err)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	first := of[row.CommandID] == nil
	if first {
		of[row.CommandID] = map[int64]bool{}
	}
	of[row.CommandID][row.Epoch] = true
	return first || to == eventlog.OutboxBegun
}

// claims has two nodes claim, begin and settle the rows of an account side by side, while the
// account's lease moves between them: each row is begun under one epoch.
func claims(t *testing.T, l [2]eventlog.Shared) {
	var mu sync.Mutex
	begun, settled, ended := map[[16]byte]map[int64]bool{}, map[[16]byte]map[int64]bool{}, make(chan struct{}, claimedRows)
	var pair [2]*claimer
	for i, name := range []string{"a", "b"} {
		pair[i] = &claimer{node: name, l: l[i], mu: &mu, begun: begun, settled: settled, ended: ended}
		var rows []eventlog.OutboxRow
		for n := range claimedRows / 2 {
			rows = append(rows, command(1+i*claimedRows/2+n, func(r *eventlog.OutboxRow) { r.Node, r.Epoch = name, 0 }))
		}
		mustAppend(t, l[i], &eventlog.Batch{Outbox: rows})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for _, c := range pair {
		wg.Go(func() {
			for ctx.Err() == nil {
				c.round(context.WithoutCancel(ctx), t)
			}
		})
	}
	deadline := time.After(30 * time.Second)
	for done, holder := 0, 0; done < claimedRows; holder = 1 - holder {
		c := pair[holder]
		epoch, held, err := c.l.AcquireLease(ctx, "account", c.node, time.Hour)
		if err != nil || !held {
			t.Fatalf("lease: %v, %v", held, err)
		}
		c.lease.Store(&eventlog.LeaseRef{Name: "account", Epoch: epoch})
		for range min(perHolder, claimedRows-done) {
			select {
			case <-ended:
				done++
			case <-deadline:
				t.Fatalf("%d of %d rows ended", done, claimedRows)
			}
		}
		if err := c.l.ReleaseLease(ctx, "account", c.node, epoch); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	wg.Wait()
	for n := range claimedRows {
		if id := command(1 + n).CommandID; len(begun[id]) != 1 || len(settled[id]) == 0 {
			t.Errorf("row %d was begun under epochs %v and settled under %v, want one to begin it", n, begun[id], settled[id])
		}
	}
	lateSettle(t, pair)
}

// lateSettle has a node report on a row that the other one has claimed meanwhile.
func lateSettle(t *testing.T, pair [2]*claimer) {
	a, b := pair[0], pair[1]
	id := command(900).CommandID
	mustAppend(t, a.l, &eventlog.Batch{Outbox: []eventlog.OutboxRow{command(900, func(r *eventlog.OutboxRow) { r.Node, r.Epoch = "a", 0 })}})
	row, err := a.l.OutboxRow(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if !a.change(t.Context(), t, &row, eventlog.OutboxBegun, a.begun) {
		t.Fatal("not begun by the node that wrote it")
	}
	epoch, held, err := b.l.AcquireLease(t.Context(), "account", "b", time.Hour)
	if err != nil || !held {
		t.Fatalf("lease: %v, %v", held, err)
	}
	mustAppend(t, b.l, &eventlog.Batch{Lease: eventlog.LeaseRef{Name: "account", Epoch: epoch}, OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: id, Node: "b"}}})
	report := func(c *claimer, to eventlog.OutboxState, epoch int64) error {
		_, err := c.l.Append(t.Context(), &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: id, State: to, Attempt: 2, Node: c.node, Epoch: epoch}}})
		return err
	}
	for _, to := range []eventlog.OutboxState{eventlog.OutboxQueued, eventlog.OutboxBegun, eventlog.OutboxUnknown} {
		wantErr(t, "a late report of the former holder: "+string(to), report(a, to, row.Epoch), eventlog.ErrConflict)
	}
	now, err := b.l.OutboxRow(t.Context(), id)
	if err != nil || now.State != eventlog.OutboxBegun || now.Node != "b" || now.Epoch <= row.Epoch {
		t.Errorf("row: %s of %s, epoch %d after %d, %v", now.State, now.Node, now.Epoch, row.Epoch, err)
	}
	wantErr(t, "the new holder", report(b, eventlog.OutboxUnknown, now.Epoch), nil)
	// What a provider has said is final, whoever heard of it.
	wantErr(t, "a late outcome", report(a, eventlog.OutboxSettled, row.Epoch), nil)
}
