package eventlogtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Readers that follow by position while many writers append must see every event once, in order
// (promises.md 4.7).
func tailAndWait(t *testing.T, l eventlog.Log) {
	const writers, each, readers = 8, 25, 3
	if err := waitFor(t, l, -1, 0); err == nil {
		t.Error("Wait returned on an empty log")
	}
	var wg sync.WaitGroup
	seen := make([][]eventlog.Record, readers)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for r := range readers {
		wg.Go(func() {
			var after int64
			for len(seen[r]) < writers*each {
				if err := l.Wait(ctx, after); err != nil {
					t.Errorf("reader %d: Wait(%d): %v", r, after, err)
					return
				}
				recs, err := l.Tail(ctx, after, 7+r)
				if err != nil || len(recs) == 0 {
					t.Errorf("reader %d: Tail(%d) after Wait: %d events, %v", r, after, len(recs), err)
					return
				}
				seen[r] = append(seen[r], recs...)
				after = recs[len(recs)-1].Pos
			}
		})
	}
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := l.Append(ctx, batch(ID(w), uint64(i), event(fmt.Sprintf("%d-%d", w, i)))); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for r := range readers {
		next := map[eventlog.StreamID]uint64{}
		var last int64
		for _, rec := range seen[r] {
			if next[rec.Stream]++; rec.Seq != next[rec.Stream] || rec.Pos <= last {
				t.Fatalf("reader %d: seq %d of stream %x at pos %d, want seq %d after pos %d", r, rec.Seq, rec.Stream, rec.Pos, next[rec.Stream], last)
			}
			last = rec.Pos
		}
		if len(next) != writers {
			t.Errorf("reader %d saw %d streams, want %d", r, len(next), writers)
		}
		if err := waitFor(t, l, r, last); err == nil {
			t.Errorf("Wait(%d) returned although nothing came after", last)
		}
		if err := l.Wait(t.Context(), last-1); err != nil {
			t.Errorf("Wait for what is there: %v", err)
		}
	}
	if pos, err := l.Position(t.Context()); err != nil || pos != seen[0][writers*each-1].Pos {
		t.Errorf("Position: %d, %v, want that of the last event, %d", pos, err, seen[0][writers*each-1].Pos)
	}
	if recs, err := l.Tail(t.Context(), 0, 0); err != nil || len(recs) != writers*each {
		t.Errorf("Tail without limit: %d events, %v, want %d", len(recs), err, writers*each)
	}
}

// waitFor waits a short time for events after pos.
func waitFor(t *testing.T, l eventlog.Log, _ int, pos int64) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	return l.Wait(ctx, pos)
}

func waitEnds(t *testing.T, l eventlog.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Wait(ctx, 100) }()
	mustAppend(t, l, batch(ID(1), 0, event("a"))) // one event, while Wait waits for position 100
	select {
	case err := <-done:
		t.Errorf("Wait(100) returned %v at position 1", err)
	default:
	}
	cancel()
	wantErr(t, "Wait", <-done, context.Canceled)
}

func rewrite(t *testing.T, l eventlog.Log) {
	s := ID(1)
	bare := eventlog.Event{Type: "join/1", At: start, Head: []byte(`{}`)}
	b := batch(s, 0, event("a"), bare, event("b"), event("c"))
	b.Conversations = []eventlog.ConversationRow{row(1)}
	mustAppend(t, l, b)
	mustAppend(t, l, batch(ID(2), 0, event("other")))
	before := read(t, l, s, 0, 0)
	var asked []uint64
	err := l.Rewrite(t.Context(), s, eventlog.Rewriting{Key: 70, Body: func(r eventlog.Record) ([]byte, error) {
		asked = append(asked, r.Seq)
		if r.Seq == 3 {
			return nil, nil // erased
		}
		return append([]byte("masked "), r.Body...), nil
	}, Events: func() []eventlog.Event {
		return []eventlog.Event{{Type: "rewritten/1", At: start, Head: []byte(`{"n":1}`)}, {Type: "rewritten/1", At: start, Head: []byte(`{"n":2}`)}}
	}})
	if err != nil {
		t.Fatalf("Rewrite: %v", err)
	}
	diff(t, "records asked for", asked, []uint64{1, 3, 4})
	want := before
	want[0].Body, want[0].KeyID = []byte("masked sealed a"), 70
	want[2].Body, want[2].KeyID = nil, 0
	want[3].Body, want[3].KeyID = []byte("masked sealed c"), 70
	recs := read(t, l, s, 0, 0)
	if len(recs) != 6 {
		t.Fatalf("after Rewrite the stream has %d events, want 6", len(recs))
	}
	diff(t, "records", recs[:4], want)
	for i, r := range recs[4:] {
		if r.Seq != uint64(i+5) || r.Type != "rewritten/1" || string(r.Head) != fmt.Sprintf(`{"n":%d}`, i+1) || r.Body != nil || r.Pos <= recs[3+i].Pos {
			t.Errorf("event appended by Rewrite: %+v", r)
		}
	}
	if tail, err := l.Tail(t.Context(), recs[3].Pos, 0); err != nil || len(tail) != 3 { // that of the other stream, too
		t.Errorf("Tail after Rewrite: %d events, %v, want 3", len(tail), err)
	}
	replaced(t, l, s, event("a").KeyID, row(1).KeyID)
	diff(t, "other stream", read(t, l, ID(2), 0, 0)[0].Event, event("other"))
	r, err := l.Conversation(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "row", r, row(1, func(r *eventlog.ConversationRow) { r.KeyID = 70 }))
	if max, err := l.MaxKeyID(t.Context()); err != nil || max != 70 {
		t.Errorf("MaxKeyID: got %d, %v, want 70", max, err)
	}
	mustAppend(t, l, batch(s, 6, event("d"))) // the stream can be appended to again
	if err := l.Rewrite(t.Context(), ID(9), eventlog.Rewriting{Key: 71}); err != nil {
		t.Errorf("Rewrite of an unknown stream: %v", err)
	}
}

// replaced checks that the keys of a stream are noted as replaced, and forgets them.
func replaced(t *testing.T, l eventlog.Log, s eventlog.StreamID, keys ...int64) {
	t.Helper()
	var want []eventlog.ReplacedKey
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		want = append(want, eventlog.ReplacedKey{Stream: s, Key: k})
	}
	got, err := l.ReplacedKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "replaced keys", got, want)
	if err := l.ForgetKeys(t.Context(), append(keys, 99_999)...); err != nil {
		t.Fatal(err)
	}
	if got, err = l.ReplacedKeys(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("after ForgetKeys: %v, %v, want none", got, err)
	}
}

func rewriteFails(t *testing.T, l eventlog.Log) {
	mustAppend(t, l, batch(ID(1), 0, events("a", 3)...))
	before := read(t, l, ID(1), 0, 0)
	boom := errors.New("key destroyed")
	err := l.Rewrite(t.Context(), ID(1), eventlog.Rewriting{Key: 70, Body: func(r eventlog.Record) ([]byte, error) {
		if r.Seq == 3 {
			return nil, boom
		}
		return []byte("new"), nil
	}})
	wantErr(t, "Rewrite", err, boom)
	diff(t, "records", read(t, l, ID(1), 0, 0), before)
}

// Events appended while a stream is rewritten must be rewritten too, and two rewrites must never
// mix.
func rewriteBesideAppends(t *testing.T, l eventlog.Log) {
	s := ID(1)
	mustAppend(t, l, batch(s, 0, event("first")))
	var wg sync.WaitGroup
	added := false
	wg.Go(func() {
		err := l.Rewrite(t.Context(), s, eventlog.Rewriting{Key: 70, Body: func(r eventlog.Record) ([]byte, error) {
			if !added { // in the first call of fn, so that an append comes in between
				added = true
				mustAppend(t, l, batch(s, eventlog.ExpectAny, event("between")))
			}
			return append([]byte("x"), r.Body...), nil
		}})
		if err != nil {
			t.Errorf("Rewrite: %v", err)
		}
	})
	wg.Wait()
	for i := range 4 {
		wg.Go(func() {
			err := l.Rewrite(t.Context(), s, eventlog.Rewriting{Key: int64(80 + i), Body: func(r eventlog.Record) ([]byte, error) {
				return append([]byte("x"), r.Body...), nil
			}})
			if err != nil {
				t.Errorf("Rewrite: %v", err)
			}
		})
	}
	wg.Wait()
	recs := read(t, l, s, 0, 0)
	if len(recs) != 2 || string(recs[0].Body) != "xxxxxsealed first" || string(recs[1].Body) != "xxxxxsealed between" {
		t.Errorf("after five rewrites: %q, want five x before each body", bodies(recs))
	}
	if recs[0].KeyID != recs[1].KeyID {
		t.Errorf("keys %d and %d: two rewrites mixed", recs[0].KeyID, recs[1].KeyID)
	}
}

func bodies(recs []eventlog.Record) (out []string) {
	for _, r := range recs {
		out = append(out, string(r.Body))
	}
	return out
}

func closing(t *testing.T, l eventlog.Log) {
	mustAppend(t, l, batch(ID(1), 0, event("a")))
	waiting := make(chan error, 1)
	go func() { waiting <- l.Wait(context.WithoutCancel(t.Context()), 100) }()
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	wantErr(t, "Wait that was under way", <-waiting, eventlog.ErrClosed)
	_, err := l.Append(t.Context(), batch(ID(1), 1, event("b")))
	wantErr(t, "Append", err, eventlog.ErrClosed)
	_, err = l.Read(t.Context(), ID(1), 0, 0)
	wantErr(t, "Read", err, eventlog.ErrClosed)
	_, err = l.Tail(t.Context(), 0, 0)
	wantErr(t, "Tail", err, eventlog.ErrClosed)
	wantErr(t, "Wait", l.Wait(t.Context(), 100), eventlog.ErrClosed)
	_, err = l.Conversations(t.Context(), eventlog.ConversationQuery{})
	wantErr(t, "Conversations", err, eventlog.ErrClosed)
	_, _, err = l.AcquireLease(t.Context(), "x", "n", time.Second)
	wantErr(t, "AcquireLease", err, eventlog.ErrClosed)
	wantErr(t, "Rewrite", l.Rewrite(t.Context(), ID(1), eventlog.Rewriting{Key: 9}), eventlog.ErrClosed)
	if err := l.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// Each append that races with Close must either be stored or return an error.
func closeFinishes(t *testing.T, l eventlog.Log) {
	var wg sync.WaitGroup
	started := make(chan struct{}, 64)
	for w := range 16 {
		wg.Go(func() {
			for i := uint64(0); ; i++ {
				_, err := l.Append(context.WithoutCancel(t.Context()), batch(ID(w), i, event("e")))
				if err != nil {
					wantErr(t, "Append during Close", err, eventlog.ErrClosed)
					return
				}
				select {
				case started <- struct{}{}:
				default:
				}
			}
		})
	}
	<-started
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	wg.Wait()
}
