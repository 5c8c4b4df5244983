package eventlogtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/core/eventlog"
)

func conflictWritesNothing(t *testing.T, l eventlog.Log) {
	s := ID(1)
	mustAppend(t, l, batch(s, 0, events("a", 3)...))
	for _, expect := range []uint64{0, 2, 4, 1 << 62} {
		b := batch(s, expect, event("stale"))
		b.External = []eventlog.ExternalID{{Account: ID(5), Key: Key(1), Stream: s}}
		b.OpenThreads = []eventlog.Thread{{Account: ID(5), Key: Key(1), Conversation: s}}
		b.Conversations = []eventlog.ConversationRow{row(1)}
		b.Agents = []eventlog.AgentRow{{ID: ID(8), Seq: 1}}
		b.Outbox = []eventlog.OutboxRow{command(1)}
		_, err := l.Append(t.Context(), b)
		wantErr(t, fmt.Sprintf("expect %d of a stream at 3", expect), err, eventlog.ErrConflict)
	}
	if n := wholeStream(t, l, s); n != 3 {
		t.Errorf("stream has %d events, want 3", n)
	}
	_, _, err := l.External(t.Context(), ID(5), Key(1))
	wantErr(t, "External", err, eventlog.ErrNotFound)
	_, err = l.Thread(t.Context(), ID(5), Key(1))
	wantErr(t, "Thread", err, eventlog.ErrNotFound)
	_, err = l.Conversation(t.Context(), ID(1))
	wantErr(t, "Conversation", err, eventlog.ErrNotFound)
	_, err = l.OutboxRow(t.Context(), command(1).CommandID)
	wantErr(t, "OutboxRow", err, eventlog.ErrNotFound)
	if a, err := l.Agents(t.Context()); err != nil || len(a) != 0 {
		t.Errorf("Agents: got %v, %v, want none", a, err)
	}
}

// Among appends that share a flush, those that conflict must fail and the others must be written
// (promises.md 4.4). Each stream gets ten writers that all expect the same sequence, so exactly one
// of them may succeed.
func conflictIsolation(t *testing.T, l eventlog.Log) {
	const streams, writers, rounds = 8, 10, 5
	for round := range rounds {
		var wg sync.WaitGroup
		won := make([][writers]bool, streams)
		for s := range streams {
			for w := range writers {
				wg.Go(func() {
					a, err := l.Append(t.Context(), batch(ID(s), uint64(round), event(fmt.Sprintf("w%d", w))))
					switch {
					case err == nil:
						won[s][w] = true
						if got := a.Streams[0].FirstSeq; got != uint64(round)+1 {
							t.Errorf("winner got seq %d, want %d", got, round+1)
						}
					case !errors.Is(err, eventlog.ErrConflict):
						t.Errorf("loser: %v, want ErrConflict", err)
					}
				})
			}
		}
		wg.Wait()
		for s := range streams {
			recs := read(t, l, ID(s), uint64(round), 0)
			if len(recs) != 1 {
				t.Fatalf("round %d stream %d: %d events, want 1", round, s, len(recs))
			}
			for w, ok := range won[s] {
				mine := string(recs[0].Head) == fmt.Sprintf(`{"name":"w%d"}`, w)
				if ok != mine {
					t.Errorf("round %d stream %d: writer %d told %v, but its event stored is %v", round, s, w, ok, mine)
				}
			}
		}
	}
}

// Whatever writers do at the same time, each stream must be 1..n without holes (PR6), each
// successful append must be in the log exactly once and at the place that the writer was told, and
// a failed append must not be in it.
func concurrentWriters(t *testing.T, l eventlog.Log) {
	next := 1000 // each case uses new streams
	rapid.Check(t, func(rt *rapid.T) {
		base := next
		streams := rapid.IntRange(1, 4).Draw(rt, "streams")
		writers := rapid.IntRange(2, 8).Draw(rt, "writers")
		next += streams
		plans := make([][]int, writers)
		for w := range plans {
			plans[w] = rapid.SliceOfN(rapid.IntRange(0, streams*4-1), 1, 6).Draw(rt, "plan")
		}
		type outcome struct {
			stream int
			name   string
			seq    uint64 // 0: the append failed
		}
		results := make([][]outcome, writers)
		var wg sync.WaitGroup
		for w, plan := range plans {
			wg.Go(func() {
				head := make([]uint64, streams)
				for i, p := range plan {
					s, kind := p%streams, p/streams
					expect := head[s]
					if kind == 0 {
						expect = eventlog.ExpectAny
					}
					name := fmt.Sprintf("%d-%d-%d", base, w, i)
					a, err := l.Append(t.Context(), batch(ID(base+s), expect, event(name)))
					o := outcome{stream: s, name: `{"name":"` + name + `"}`}
					switch {
					case err == nil:
						o.seq = a.Streams[0].FirstSeq
						head[s] = o.seq
					case errors.Is(err, eventlog.ErrConflict):
						head[s] = readHead(rt, l, ID(base+s))
					default:
						t.Errorf("Append: %v", err)
					}
					results[w] = append(results[w], o)
				}
			})
		}
		wg.Wait()
		stored := make([][]eventlog.Record, streams)
		total := 0
		for s := range streams {
			recs, err := l.Read(t.Context(), ID(base+s), 0, 0)
			if err != nil {
				rt.Fatal(err)
			}
			for i, r := range recs {
				if r.Seq != uint64(i)+1 {
					rt.Fatalf("stream %d: record %d has seq %d", s, i, r.Seq)
				}
			}
			stored[s] = recs
			total += len(recs)
		}
		won := 0
		for _, rs := range results {
			for _, o := range rs {
				if o.seq == 0 {
					continue
				}
				won++
				if o.seq > uint64(len(stored[o.stream])) || string(stored[o.stream][o.seq-1].Head) != o.name {
					rt.Fatalf("%s was acknowledged at seq %d of stream %d but is not there", o.name, o.seq, o.stream)
				}
			}
		}
		if won != total {
			rt.Fatalf("%d appends were acknowledged, %d events are stored", won, total)
		}
	})
}

func readHead(t interface{ Fatal(...any) }, l eventlog.Log, stream eventlog.StreamID) uint64 {
	recs, err := l.Read(context.Background(), stream, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(len(recs))
}

// A sequence of appends must do what a plain map would do.
func sequentialModel(t *testing.T, l eventlog.Log) {
	next := 1_000_000
	rapid.Check(t, func(rt *rapid.T) {
		base := next
		next += 3
		model := make([][]string, 3)
		for step := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			s := rapid.IntRange(0, 2).Draw(rt, "stream")
			expect := uint64(rapid.IntRange(0, 6).Draw(rt, "expect"))
			n := rapid.IntRange(0, 3).Draw(rt, "events")
			evs := events(fmt.Sprintf("%d-%d-", base, step), n)
			_, err := l.Append(t.Context(), batch(ID(base+s), expect, evs...))
			if want := expect == uint64(len(model[s])); (err == nil) != want {
				rt.Fatalf("stream at %d, append at %d: error %v, want success %v", len(model[s]), expect, err, want)
			}
			if err == nil {
				for _, e := range evs {
					model[s] = append(model[s], string(e.Head))
				}
			}
			recs, err := l.Read(t.Context(), ID(base+s), 0, 0)
			if err != nil {
				rt.Fatal(err)
			}
			if fmt.Sprint(names(recs)) != fmt.Sprint(model[s]) {
				rt.Fatalf("stream %d: got %v, want %v", s, names(recs), model[s])
			}
		}
	})
}
