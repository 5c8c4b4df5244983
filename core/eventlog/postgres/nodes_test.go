package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/core/eventlog/postgres"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func note(stream eventlog.StreamID, expect uint64, names ...string) *eventlog.Batch {
	s := eventlog.StreamAppend{Stream: stream, Expect: expect}
	for _, n := range names {
		s.Events = append(s.Events, eventlog.Event{Type: "note/1", At: at, Head: []byte(n)})
	}
	return &eventlog.Batch{Streams: []eventlog.StreamAppend{s}}
}

func mustAppend(t testing.TB, l eventlog.Log, b *eventlog.Batch) eventlog.Appended {
	t.Helper()
	a, err := l.Append(t.Context(), b)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return a
}

// heads are the heads of a stream, which must be 1..n without holes.
func heads(t testing.TB, l eventlog.Log, stream eventlog.StreamID) (out []string) {
	t.Helper()
	recs, err := l.Read(t.Context(), stream, 0, 0)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	for _, r := range recs {
		out = append(out, string(r.Head))
	}
	return out
}

// nodes opens one database several times, once for each node.
func nodes(t testing.TB, n int, change ...func(*postgres.Options)) (logs []*postgres.Log) {
	t.Helper()
	dsn := cluster.DSN(cluster.Database(t))
	for range n {
		logs = append(logs, open(t, dsn, change...))
	}
	return logs
}

// What one node knows of a stream is outdated when another node has written to it: appends must be
// refused or placed by what the database says (PR6).
func TestNodesSeeEachOthersAppends(t *testing.T) {
	l := nodes(t, 2)
	s := eventlogtest.ID(1)
	mustAppend(t, l[0], note(s, 0, "a"))
	mustAppend(t, l[1], note(s, 1, "b", "c"))
	if _, err := l[0].Append(t.Context(), note(s, 1, "stale")); !errors.Is(err, eventlog.ErrConflict) {
		t.Errorf("append at a sequence that another node used: %v, want ErrConflict", err)
	}
	mustAppend(t, l[0], note(s, 3, "d"))
	if a := mustAppend(t, l[1], note(s, eventlog.ExpectAny, "e")); a.Streams[0].FirstSeq != 5 {
		t.Errorf("ExpectAny: seq %d, want 5", a.Streams[0].FirstSeq)
	}
	mustAppend(t, l[0], note(s, 5, "f"))
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e", "f"}, heads(t, l[0], s)); diff != "" {
		t.Errorf("stream (-want +got):\n%s", diff)
	}
	// A stream that is only checked, without a new event.
	b := note(eventlogtest.ID(2), 0, "x")
	b.Streams = append(b.Streams, eventlog.StreamAppend{Stream: s, Expect: 5})
	if _, err := l[1].Append(t.Context(), b); !errors.Is(err, eventlog.ErrConflict) {
		t.Errorf("check of a stream that another node went on with: %v, want ErrConflict", err)
	}
	b.Streams[1].Expect = 6
	mustAppend(t, l[1], b)
	mustAppend(t, l[0], note(s, 6, "g"))
}

// Writers on both nodes at once: every acknowledged event must be there once, no refused one may be
// there, and streams must have no holes (PR6, promises.md 4.4, 4.6).
func TestNodesWriteTheSameStreams(t *testing.T) {
	l := nodes(t, 2)
	const writers, each, streams = 8, 30, 4
	type told struct {
		stream int
		seq    uint64
		name   string
	}
	acked := make([][]told, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			log := l[w%2]
			for i := range each {
				s := (w + i) % streams
				name := fmt.Sprintf("%d-%d", w, i)
				expect := eventlog.ExpectAny
				if i%3 == 0 {
					recs, err := log.Read(t.Context(), eventlogtest.ID(s), 0, 0)
					if err != nil {
						t.Error(err)
						return
					}
					expect = uint64(len(recs))
				}
				a, err := log.Append(t.Context(), note(eventlogtest.ID(s), expect, name))
				switch {
				case err == nil:
					acked[w] = append(acked[w], told{s, a.Streams[0].FirstSeq, name})
				case expect == eventlog.ExpectAny || !errors.Is(err, eventlog.ErrConflict):
					t.Errorf("append %s at %d: %v", name, expect, err)
				}
			}
		})
	}
	wg.Wait()
	stored, total := make([][]string, streams), 0
	for s := range streams {
		stored[s] = heads(t, l[0], eventlogtest.ID(s))
		total += len(stored[s])
	}
	n := 0
	for _, list := range acked {
		for _, a := range list {
			n++
			if a.seq > uint64(len(stored[a.stream])) || stored[a.stream][a.seq-1] != a.name {
				t.Errorf("%s was acknowledged at seq %d of stream %d and is not there", a.name, a.seq, a.stream)
			}
		}
	}
	if n != total {
		t.Errorf("%d acknowledged, %d stored", n, total)
	}
}

// The same provider message and the same first message of a visitor arrive at both nodes at once:
// they must give one event and one conversation (PR3, PR7).
func TestNodesShareKeys(t *testing.T) {
	l := nodes(t, 2)
	const rounds, tries = 10, 8
	for round := range rounds {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won, opened []eventlog.StreamID
		for i := range tries {
			stream := eventlogtest.ID(1000*round + i)
			wg.Go(func() {
				b := note(stream, 0, "m")
				x := eventlog.ExternalID{Account: eventlogtest.ID(1), Key: eventlogtest.Key(round), Stream: stream}
				if i%4 < 2 { // the event is named by its sequence
					x.Index, x.Seq = -1, 1
				}
				b.External = []eventlog.ExternalID{x}
				_, err := l[i%2].Append(t.Context(), b)
				var dup *eventlog.DuplicateError
				if err != nil && !errors.As(err, &dup) {
					t.Errorf("repeat: %v, want a DuplicateError", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, stream)
				} else {
					won = append(won, dup.Stream)
				}
			})
			wg.Go(func() {
				b := &eventlog.Batch{OpenThreads: []eventlog.Thread{{Account: eventlogtest.ID(1), Key: eventlogtest.Key(round), Conversation: stream}}}
				_, err := l[i%2].Append(t.Context(), b)
				var other *eventlog.ThreadOpenError
				if err != nil && !errors.As(err, &other) {
					t.Errorf("second conversation: %v, want a ThreadOpenError", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					opened = append(opened, stream)
				} else {
					opened = append(opened, other.Thread.Conversation)
				}
			})
		}
		wg.Wait()
		for _, all := range [][]eventlog.StreamID{won, opened} {
			for _, id := range all {
				if id != all[0] {
					t.Errorf("round %d: told of %x and %x, want one winner", round, id, all[0])
				}
			}
		}
	}
	if recs, err := l[0].Tail(t.Context(), 0, 0); err != nil || len(recs) != rounds {
		t.Errorf("%d events, %v, want %d", len(recs), err, rounds)
	}
}

// A callback arrives at one node, the answer to its send at the other: the callback must be joined
// or refused with the event's place, never neither (FT32).
func TestNodesJoinReceipts(t *testing.T) {
	l := nodes(t, 2)
	s, account := eventlogtest.ID(1), eventlogtest.ID(2)
	mustAppend(t, l[0], note(s, 0, "m"))
	const ids = 40
	var wg sync.WaitGroup
	joined, told := make([]int, ids), make([]bool, ids)
	for i := range ids {
		key := eventlogtest.Key(i)
		wg.Go(func() {
			for {
				seen, err := l[0].EarlyReceipts(t.Context(), account, key)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = l[0].Append(t.Context(), &eventlog.Batch{
					External:     []eventlog.ExternalID{{Account: account, Key: key, Stream: s, Index: -1, Seq: 1}},
					JoinReceipts: []eventlog.ReceiptJoin{{Account: account, Key: key, Seen: len(seen)}},
				})
				if err == nil {
					joined[i] = len(seen)
					return
				}
				if !errors.Is(err, eventlog.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
		wg.Go(func() {
			_, err := l[1].Append(t.Context(), &eventlog.Batch{ParkReceipts: []eventlog.EarlyReceipt{{Account: account, Key: key, Status: "sent", At: at}}})
			var dup *eventlog.DuplicateError
			if told[i] = errors.As(err, &dup); err != nil && !told[i] {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range ids {
		left, err := l[0].EarlyReceipts(t.Context(), account, eventlogtest.Key(i))
		if err != nil || len(left) != 0 || (joined[i] == 1) == told[i] {
			t.Errorf("id %d: joined %d, told %v, left %d, %v", i, joined[i], told[i], len(left), err)
		}
	}
}

// When another node takes a lease over, appends of the former holder must fail, including those
// that are on their way (promises.md 4.10).
func TestNodesFenceEachOther(t *testing.T) {
	l := nodes(t, 2)
	under := func(log eventlog.Log, epoch int64) error {
		b := note(eventlogtest.ID(1), eventlog.ExpectAny, "offer")
		b.Lease = eventlog.LeaseRef{Name: "acd", Epoch: epoch}
		_, err := log.Append(t.Context(), b)
		return err
	}
	old, held, err := l[0].AcquireLease(t.Context(), "acd", "a", -time.Second)
	if err != nil || !held {
		t.Fatal(held, err)
	}
	if err := under(l[0], old); err != nil {
		t.Errorf("the holder: %v", err)
	}
	now, held, err := l[1].AcquireLease(t.Context(), "acd", "b", time.Hour)
	if err != nil || !held || now <= old {
		t.Fatalf("take over: epoch %d after %d, %v, %v", now, old, held, err)
	}
	if err := under(l[0], old); !errors.Is(err, eventlog.ErrFenced) {
		t.Errorf("the former holder: %v, want ErrFenced", err)
	}
	if err := under(l[1], now); err != nil {
		t.Errorf("the new holder: %v", err)
	}
	if epoch, held, err := l[0].AcquireLease(t.Context(), "acd", "a", time.Hour); err != nil || held || epoch != now {
		t.Errorf("while it is held: epoch %d, %v, %v", epoch, held, err)
	}
}

// Appends of all kinds, many in one transaction, must return the places of their events.
func TestNodesTellPositions(t *testing.T) {
	l := nodes(t, 2)
	const writers, each = 16, 20
	told := make([]map[int64]string, writers)
	var wg sync.WaitGroup
	for w := range writers {
		told[w] = map[int64]string{}
		wg.Go(func() {
			own, checked := eventlogtest.ID(10+w), eventlogtest.ID(1000+w)
			for i := range uint64(each) {
				a, b := fmt.Sprintf("%d-%d-a", w, i), fmt.Sprintf("%d-%d-b", w, i)
				batch := note(own, 2*i, a, b)
				if i%3 == 0 { // an append that must read before it writes
					batch.Streams = append([]eventlog.StreamAppend{{Stream: checked}}, batch.Streams...)
				}
				done, err := l[w%2].Append(t.Context(), batch)
				if err != nil {
					t.Error(err)
					return
				}
				first := done.Streams[len(done.Streams)-1].FirstPos
				told[w][first], told[w][first+1] = a, b
				if _, err := l[w%2].Append(t.Context(), note(own, 2*i, "late")); !errors.Is(err, eventlog.ErrConflict) {
					t.Errorf("append at a sequence that is taken: %v, want ErrConflict", err)
				}
			}
		})
	}
	wg.Wait()
	recs, err := l[0].Tail(t.Context(), 0, 0)
	if err != nil || len(recs) != 2*writers*each {
		t.Fatalf("%d events, %v, want %d", len(recs), err, 2*writers*each)
	}
	for _, r := range recs {
		if !slices.ContainsFunc(told, func(m map[int64]string) bool { return m[r.Pos] == string(r.Head) }) {
			t.Errorf("position %d has %s, and nobody was told so", r.Pos, r.Head)
		}
	}
}

// Readers of positions must never pass a position that a transaction under way may still fill
// (promises.md 4.7).
func TestTailStopsBeforeOpenTransactions(t *testing.T) {
	db := cluster.Database(t)
	l := open(t, cluster.DSN(db))
	first := mustAppend(t, l, note(eventlogtest.ID(1), 0, "a"))
	conn := cluster.Connect(t, db)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = tx.Exec(t.Context(), `INSERT INTO events (pos, xid, stream, seq, at, key_id, type, head)
SELECT first, xid, $1, 1, 0, 0, 'note/1', 'late' FROM event_positions(1)`, [16]byte(eventlogtest.ID(2)))
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, note(eventlogtest.ID(3), 0, "b"))
	tail := func() (out []string) {
		t.Helper()
		recs, err := l.Tail(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			out = append(out, string(r.Head))
		}
		return out
	}
	if got := tail(); len(got) != 1 || got[0] != "a" {
		t.Errorf("Tail beside an open transaction: %v, want a alone", got)
	}
	waited := make(chan error, 1)
	go func() { waited <- l.Wait(t.Context(), first.Streams[0].FirstPos) }()
	select {
	case err := <-waited:
		t.Errorf("Wait returned %v although b may still be overtaken", err)
	case <-time.After(50 * time.Millisecond): // Wait must not return while it waits for the open transaction
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("Wait: %v", err)
	}
	if diff := cmp.Diff([]string{"a", "late", "b"}, tail()); diff != "" {
		t.Errorf("Tail (-want +got):\n%s", diff)
	}
}

// After a move to another server transaction ids start anew: events written before must stay
// visible, and later ones must be found.
func TestTailAfterAMove(t *testing.T) {
	db := cluster.Database(t)
	l := open(t, cluster.DSN(db))
	mustAppend(t, l, note(eventlogtest.ID(1), 0, "a", "b"))
	cluster.Exec(t, db, `UPDATE events SET xid = '9000000000000'`)
	mustAppend(t, l, note(eventlogtest.ID(1), 2, "c"))
	if recs, err := l.Tail(t.Context(), 0, 0); err != nil || len(recs) != 3 {
		t.Errorf("Tail: %d events, %v, want 3", len(recs), err)
	}
}

// A node that waits must learn of events that another node committed.
func TestWaitHearsOtherNodes(t *testing.T) {
	l := nodes(t, 2)
	var wg sync.WaitGroup
	for i := range 5 {
		waited := make(chan error, 1)
		recs, err := l[1].Tail(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		var after int64
		if len(recs) > 0 {
			after = recs[len(recs)-1].Pos
		}
		wg.Go(func() { waited <- l[1].Wait(t.Context(), after) })
		mustAppend(t, l[0], note(eventlogtest.ID(1), uint64(i), "x"))
		if err := <-waited; err != nil {
			t.Errorf("Wait: %v", err)
		}
	}
	wg.Wait()
}

// A read-only log, opened beside its writers, must write nothing.
func TestReadOnly(t *testing.T) {
	if _, err := postgres.OpenReadOnly(t.Context(), postgres.Options{DSN: cluster.DSN("postgres")}); err == nil {
		t.Error("an empty database was opened as a log")
	}
	dsn := cluster.DSN(cluster.Database(t))
	l := open(t, dsn)
	mustAppend(t, l, note(eventlogtest.ID(1), 0, "a"))
	ro, err := postgres.OpenReadOnly(t.Context(), postgres.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ro.Close() }()
	if got := heads(t, ro, eventlogtest.ID(1)); len(got) != 1 {
		t.Errorf("read %v", got)
	}
	if _, err := ro.Append(t.Context(), note(eventlogtest.ID(1), 1, "b")); !errors.Is(err, postgres.ErrReadOnly) {
		t.Errorf("Append: %v, want ErrReadOnly", err)
	}
	if err := ro.Rewrite(t.Context(), eventlogtest.ID(1), eventlog.Rewriting{Key: 2}); !errors.Is(err, postgres.ErrReadOnly) {
		t.Errorf("Rewrite: %v, want ErrReadOnly", err)
	}
	if _, _, err := ro.AcquireLease(t.Context(), "x", "a", time.Second); !errors.Is(err, postgres.ErrReadOnly) {
		t.Errorf("AcquireLease: %v, want ErrReadOnly", err)
	}
}
