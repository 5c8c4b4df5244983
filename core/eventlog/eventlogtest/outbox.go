package eventlogtest

import (
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

func command(n int, change ...func(*eventlog.OutboxRow)) eventlog.OutboxRow {
	o := eventlog.OutboxRow{
		CommandID: [16]byte(ID(n)), Account: ID(500), Conversation: ID(900), Seq: 4, Index: -1,
		Kind: "send", State: eventlog.OutboxQueued, NotBefore: at(n), Deadline: at(1000 + n),
		Payload: []byte("sealed"), KeyID: 3, Node: "a", Epoch: 1,
	}
	for _, c := range change {
		c(&o)
	}
	return o
}

func outboxIDs(t *testing.T, l eventlog.Log, account eventlog.StreamID, unknown bool, limit int) (ids []eventlog.StreamID) {
	t.Helper()
	rows, err := l.Outbox(t.Context(), account, unknown, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		ids = append(ids, eventlog.StreamID(r.CommandID))
	}
	return ids
}

func outboxLifeCycle(t *testing.T, l eventlog.Log) {
	other := func(o *eventlog.OutboxRow) { o.Account, o.Route = ID(501), "voice-1" }
	b := batch(ID(900), 0, events("m", 3)...)
	b.Outbox = []eventlog.OutboxRow{
		command(9, func(o *eventlog.OutboxRow) { o.Index = 2 }), // refers to the third event
		command(1, func(o *eventlog.OutboxRow) { o.Conversation, o.Payload, o.Seq = eventlog.StreamID{}, nil, 0 }),
		command(5, other),
	}
	mustAppend(t, l, b)
	get := func(n int) eventlog.OutboxRow {
		t.Helper()
		r, err := l.OutboxRow(t.Context(), [16]byte(ID(n)))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	diff(t, "row of an event", get(9), command(9, func(o *eventlog.OutboxRow) { o.Seq = 3 }))
	diff(t, "row of an account", get(1), command(1, func(o *eventlog.OutboxRow) {
		o.Conversation, o.Payload, o.Seq = eventlog.StreamID{}, nil, 0
	}))
	ids := func(ns ...int) (out []eventlog.StreamID) {
		for _, n := range ns {
			out = append(out, ID(n))
		}
		return out
	}
	var all eventlog.StreamID
	diff(t, "all, oldest first", outboxIDs(t, l, all, false, 0), ids(9, 1, 5))
	diff(t, "limit", outboxIDs(t, l, all, false, 2), ids(9, 1))
	diff(t, "one account", outboxIDs(t, l, ID(500), false, 0), ids(9, 1))
	diff(t, "other account", outboxIDs(t, l, ID(501), false, 1), ids(5))

	update := func(n int, s eventlog.OutboxState, attempt int, notBefore time.Time) {
		t.Helper()
		mustAppend(t, l, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{
			{CommandID: [16]byte(ID(n)), State: s, Attempt: attempt, NotBefore: notBefore, Node: "b", Epoch: 2},
		}})
	}
	// Another node takes the row over: only the row's Node and Epoch change. Again to the same node:
	// nothing changes.
	for range 2 {
		mustAppend(t, l, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: [16]byte(ID(9)), Node: "b"}}})
	}
	diff(t, "another node's", get(9), command(9, func(o *eventlog.OutboxRow) { o.Seq, o.Node, o.Epoch = 3, "b", 2 }))
	update(9, eventlog.OutboxBegun, 1, time.Time{})
	update(9, eventlog.OutboxBegun, 1, time.Time{}) // repeated, since the first answer was lost
	want := command(9, func(o *eventlog.OutboxRow) {
		o.Seq, o.State, o.Attempt, o.Node, o.Epoch = 3, eventlog.OutboxBegun, 1, "b", 2
	})
	diff(t, "begun, not_before left alone", get(9), want)
	update(9, eventlog.OutboxQueued, 2, at(77)) // a retry
	want.State, want.Attempt, want.NotBefore = eventlog.OutboxQueued, 2, at(77)
	diff(t, "queued again", get(9), want)
	diff(t, "a retry keeps its place", outboxIDs(t, l, all, false, 0), ids(9, 1, 5))

	mustAppend(t, l, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{
		{CommandID: [16]byte(ID(1)), State: eventlog.OutboxUnknown, Attempt: 1, Node: "a", Epoch: 1},
		{CommandID: [16]byte(ID(5)), State: eventlog.OutboxUnknown, Attempt: 1, Node: "a", Epoch: 1},
	}})
	diff(t, "pending only", outboxIDs(t, l, all, false, 0), ids(9))
	diff(t, "with unknown", outboxIDs(t, l, ID(500), true, 0), ids(9, 1))
	update(1, eventlog.OutboxSettled, 1, time.Time{})                        // a receipt came later
	mustAppend(t, l, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{ // a person on another node asks for it to be sent again (PR4)
		{CommandID: [16]byte(ID(5)), State: eventlog.OutboxQueued, Attempt: 2, Deadline: at(5000), Node: "b"},
	}})
	diff(t, "a later deadline", get(5), command(5, other, func(o *eventlog.OutboxRow) {
		o.Attempt, o.Deadline, o.Node, o.Epoch = 2, at(5000), "b", 2
	}))
	update(9, eventlog.OutboxSettled, 2, time.Time{})
	diff(t, "settled rows are not listed", outboxIDs(t, l, all, true, 0), ids(5))
	if o := get(9); o.State != eventlog.OutboxSettled || o.Payload != nil || o.KeyID != 0 {
		t.Errorf("settled row: state %s, payload %q under key %d; want no payload", o.State, o.Payload, o.KeyID)
	}
	update(9, eventlog.OutboxSettled, 2, time.Time{}) // a repeated result changes nothing
	settled := get(9)
	mustAppend(t, l, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: [16]byte(ID(9)), Node: "c"}}})
	diff(t, "a settled row taken over", get(9), settled)

	// A new row and its first update in the same append.
	mustAppend(t, l, &eventlog.Batch{
		Outbox:        []eventlog.OutboxRow{command(20)},
		OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: [16]byte(ID(20)), State: eventlog.OutboxBegun, Attempt: 1, Node: "a", Epoch: 1}},
	})
	if s := get(20).State; s != eventlog.OutboxBegun {
		t.Errorf("row updated in its own append: state %s, want begun", s)
	}
}

func outboxRefusals(t *testing.T, l eventlog.Log) {
	mustAppend(t, l, &eventlog.Batch{Outbox: []eventlog.OutboxRow{command(1), command(2), command(4)}})
	set := func(n int, s eventlog.OutboxState) []eventlog.OutboxUpdate {
		return []eventlog.OutboxUpdate{{CommandID: [16]byte(ID(n)), State: s, Node: "a", Epoch: 1}}
	}
	mustAppend(t, l, &eventlog.Batch{OutboxUpdates: append(set(2, eventlog.OutboxSettled), set(4, eventlog.OutboxUnknown)...)})
	by := func(n int, s eventlog.OutboxState, node string) []eventlog.OutboxUpdate {
		return []eventlog.OutboxUpdate{{CommandID: [16]byte(ID(n)), State: s, Node: node, Epoch: 1}}
	}
	begin := func(n int, node string) []eventlog.OutboxUpdate { return by(n, eventlog.OutboxBegun, node) }
	gave := func(nodes ...string) (out []eventlog.OutboxUpdate) { // row 1 goes to these nodes, one after the other
		for _, node := range nodes {
			out = append(out, eventlog.OutboxUpdate{CommandID: [16]byte(ID(1)), Node: node})
		}
		return out
	}
	for name, c := range map[string]struct {
		b    eventlog.Batch
		want error
	}{
		"command twice":          {eventlog.Batch{Outbox: []eventlog.OutboxRow{command(1)}}, eventlog.ErrConflict},
		"twice in one append":    {eventlog.Batch{Outbox: []eventlog.OutboxRow{command(3), command(3)}}, eventlog.ErrConflict},
		"update of nothing":      {eventlog.Batch{OutboxUpdates: set(9, eventlog.OutboxBegun)}, eventlog.ErrNotFound},
		"settled is for ever":    {eventlog.Batch{OutboxUpdates: set(2, eventlog.OutboxBegun)}, eventlog.ErrConflict},
		"begun by another node":  {eventlog.Batch{OutboxUpdates: begin(1, "b")}, eventlog.ErrConflict}, // promises.md 4.10
		"begun after a takeover": {eventlog.Batch{OutboxUpdates: append(gave("b"), begin(1, "a")...)}, eventlog.ErrConflict},
		// The node was away, and another one may have sent the command meanwhile.
		"begun as before":        {eventlog.Batch{OutboxUpdates: append(gave("b", "a"), begin(1, "a")...)}, eventlog.ErrConflict},
		"queued after takeover":  {eventlog.Batch{OutboxUpdates: append(gave("b"), by(1, eventlog.OutboxQueued, "a")...)}, eventlog.ErrConflict},
		"unknown after takeover": {eventlog.Batch{OutboxUpdates: append(gave("b"), by(1, eventlog.OutboxUnknown, "a")...)}, eventlog.ErrConflict},
		"unknown, begun (PR4)":   {eventlog.Batch{OutboxUpdates: begin(4, "a")}, eventlog.ErrConflict},
		"settled, not unsettled": {eventlog.Batch{OutboxUpdates: append(set(1, eventlog.OutboxSettled), set(1, eventlog.OutboxQueued)...)}, eventlog.ErrConflict},
	} {
		c.b.Streams = batch(ID(1), 0, event("x")).Streams
		_, err := l.Append(t.Context(), &c.b)
		wantErr(t, name, err, c.want)
		if n := wholeStream(t, l, ID(1)); n != 0 {
			t.Errorf("%s: the refused append left %d events", name, n)
		}
	}
	if r, err := l.OutboxRow(t.Context(), command(1).CommandID); err != nil || r.State != eventlog.OutboxQueued {
		t.Errorf("row 1 after refusals: %s, %v, want queued", r.State, err)
	}
}

func leases(t *testing.T, l eventlog.Log) {
	acquire := func(name, node string, ttl time.Duration) (int64, bool) {
		t.Helper()
		epoch, held, err := l.AcquireLease(t.Context(), name, node, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return epoch, held
	}
	e1, held := acquire("acd", "a", time.Hour)
	if !held || e1 < 1 {
		t.Fatalf("first: epoch %d, held %v", e1, held)
	}
	if e, held := acquire("acd", "a", time.Hour); !held || e != e1 {
		t.Errorf("renewal: epoch %d, held %v, want %d, true", e, held, e1)
	}
	if _, held := acquire("acd", "b", time.Hour); held {
		t.Error("a second node got a lease that is held")
	}
	if _, held := acquire("sip", "b", time.Hour); !held {
		t.Error("another lease is not free")
	}
	if err := l.ReleaseLease(t.Context(), "acd", "b", e1); err != nil {
		t.Errorf("release by a node that does not hold it: %v", err)
	}
	if _, held := acquire("acd", "b", time.Hour); held {
		t.Error("a node that did not hold the lease could release it")
	}
	if err := l.ReleaseLease(t.Context(), "acd", "a", e1); err != nil {
		t.Error(err)
	}
	again, held := acquire("acd", "a", time.Hour)
	if !held || again <= e1 {
		t.Errorf("taken again: epoch %d, held %v, want above %d, true", again, held, e1)
	}
	if err := l.ReleaseLease(t.Context(), "acd", "a", e1); err != nil {
		t.Errorf("a late release: %v", err)
	}
	if _, held := acquire("acd", "b", time.Hour); held {
		t.Error("a release that came late gave up what was taken after it")
	}
	if err := l.ReleaseLease(t.Context(), "acd", "a", again); err != nil {
		t.Error(err)
	}
	if err := l.ReleaseLease(t.Context(), "no such lease", "a", 1); err != nil {
		t.Errorf("release of an unknown lease: %v", err)
	}
	e2, held := acquire("acd", "b", -time.Second) // a lease that has expired already
	if !held || e2 <= again {
		t.Errorf("after release: epoch %d, held %v, want above %d, true", e2, held, again)
	}
	if e3, held := acquire("acd", "a", time.Hour); !held || e3 <= e2 {
		t.Errorf("after it ran out: epoch %d, held %v, want above %d, true", e3, held, e2)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	winners := 0
	for i := range 10 {
		wg.Go(func() {
			_, held, err := l.AcquireLease(t.Context(), "race", string(rune('a'+i)), time.Hour)
			if err != nil {
				t.Error(err)
			}
			if held {
				mu.Lock()
				winners++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if winners != 1 {
		t.Errorf("%d nodes hold one lease, want 1", winners)
	}
}

func fencing(t *testing.T, l eventlog.Log) {
	under := func(name string, epoch int64) error {
		b := batch(ID(1), eventlog.ExpectAny, event("offer"))
		b.Lease = eventlog.LeaseRef{Name: name, Epoch: epoch}
		_, err := l.Append(t.Context(), b)
		return err
	}
	wantErr(t, "a lease that never was", under("acd", 1), eventlog.ErrFenced)
	old, _, err := l.AcquireLease(t.Context(), "acd", "a", -time.Second)
	if err != nil {
		t.Fatal(err)
	}
	// The lease has expired, but no other node has taken it: the epoch still protects.
	wantErr(t, "held", under("acd", old), nil)
	now, held, err := l.AcquireLease(t.Context(), "acd", "b", time.Hour)
	if err != nil || !held {
		t.Fatalf("take over: %v, %v", held, err)
	}
	wantErr(t, "the former holder", under("acd", old), eventlog.ErrFenced)
	wantErr(t, "the new holder", under("acd", now), nil)
	wantErr(t, "an epoch to come", under("acd", now+1), eventlog.ErrFenced)
	if err := l.ReleaseLease(t.Context(), "acd", "b", now); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "after release", under("acd", now), eventlog.ErrFenced)
	if n := wholeStream(t, l, ID(1)); n != 2 {
		t.Errorf("%d events, want the 2 of the rightful holders", n)
	}
}
