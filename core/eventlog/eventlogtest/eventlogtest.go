package eventlogtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Run tests the implementation that open makes. open gives an empty log that
// no one else uses, and closes it with t.Cleanup.
func Run(t *testing.T, open func(t testing.TB) eventlog.Log) {
	for name, test := range map[string]func(*testing.T, eventlog.Log){
		"append and read":                    appendAndRead,
		"read pages":                         readPages,
		"several streams in one append":      severalStreams,
		"conflict writes nothing":            conflictWritesNothing,
		"conflict isolation":                 conflictIsolation,
		"expect any":                         expectAny,
		"external ids":                       externalIDs,
		"external ids race":                  externalRace,
		"threads":                            threads,
		"threads race":                       threadRace,
		"conversation rows":                  conversationRows,
		"conversation queries":               conversationQueries,
		"agent rows":                         agentRows,
		"outbox life cycle":                  outboxLifeCycle,
		"outbox refusals":                    outboxRefusals,
		"early receipts":                     earlyReceipts,
		"early receipts race":                receiptRace,
		"leases":                             leases,
		"fencing":                            fencing,
		"tail and wait without skips":        tailAndWait,
		"wait ends with its context":         waitEnds,
		"rewrite":                            rewrite,
		"rewrite that fails changes nothing": rewriteFails,
		"rewrite beside appends":             rewriteBesideAppends,
		"rewrite seals payloads anew":        rewritePayloads,
		"rewrite waits for its context":      rewriteWaits,
		"concurrent writers property":        concurrentWriters,
		"sequential model property":          sequentialModel,
		"largest key id":                     maxKeyID,
		"invalid batches":                    invalidBatches,
		"cancelled contexts":                 cancelledContexts,
		"caller may reuse its slices":        reuseSlices,
		"stats":                              stats,
		"close":                              closing,
		"close finishes what it was given":   closeFinishes,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// ID is a stream id made from n; the same n gives the same id.
func ID(n int) (id eventlog.StreamID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
	id[0] = 0x01
	return id
}

// Key is a thread key or external key made from n; the same n gives the same key.
func Key(n int) (k eventlog.Key) {
	binary.BigEndian.PutUint64(k[:], uint64(n)+1)
	return k
}

var start = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func at(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

// event is an event whose head and body contain the name.
func event(name string) eventlog.Event {
	return eventlog.Event{
		Type: "note/1", At: start,
		Head: []byte(`{"name":"` + name + `"}`), Body: []byte("sealed " + name), KeyID: 7,
	}
}

func events(prefix string, n int) (out []eventlog.Event) {
	for i := range n {
		out = append(out, event(fmt.Sprintf("%s%d", prefix, i)))
	}
	return out
}

func batch(stream eventlog.StreamID, expect uint64, e ...eventlog.Event) *eventlog.Batch {
	return &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: stream, Expect: expect, Events: e}}}
}

func mustAppend(t testing.TB, l eventlog.Log, b *eventlog.Batch) eventlog.Appended {
	t.Helper()
	a, err := l.Append(t.Context(), b)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return a
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func read(t testing.TB, l eventlog.Log, stream eventlog.StreamID, after uint64, limit int) []eventlog.Record {
	t.Helper()
	recs, err := l.Read(t.Context(), stream, after, limit)
	if err != nil {
		t.Fatalf("Read(%x, %d, %d): %v", stream, after, limit, err)
	}
	return recs
}

// names lists the heads of recs.
func names(recs []eventlog.Record) (out []string) {
	for _, r := range recs {
		out = append(out, string(r.Head))
	}
	return out
}

func diff(t testing.TB, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// wholeStream fails unless a stream is 1..n without holes, and returns n.
func wholeStream(t testing.TB, l eventlog.Log, stream eventlog.StreamID) int {
	t.Helper()
	recs := read(t, l, stream, 0, 0)
	var last int64
	for i, r := range recs {
		if r.Seq != uint64(i)+1 || r.Stream != stream || r.Pos <= last {
			t.Fatalf("stream %x: record %d has seq %d, stream %x, pos %d after %d", stream, i, r.Seq, r.Stream, r.Pos, last)
		}
		last = r.Pos
	}
	return len(recs)
}

func appendAndRead(t *testing.T, l eventlog.Log) {
	s := ID(1)
	e := event("a")
	bare := eventlog.Event{Type: "typing/2", At: start.In(time.FixedZone("x", 3600)), Head: []byte(`{}`)}
	first := mustAppend(t, l, batch(s, 0, e, bare))
	second := mustAppend(t, l, batch(s, 2, event("b")))
	if first.Streams[0].FirstSeq != 1 || second.Streams[0].FirstSeq != 3 {
		t.Errorf("first sequences %d and %d, want 1 and 3", first.Streams[0].FirstSeq, second.Streams[0].FirstSeq)
	}
	p := first.Streams[0].FirstPos
	if p < 1 || second.Streams[0].FirstPos <= p+1 {
		t.Errorf("first positions %d and %d: want the first >= 1 and the second after both events", p, second.Streams[0].FirstPos)
	}
	bare.At = start
	diff(t, "records", read(t, l, s, 0, 0), []eventlog.Record{
		{Pos: p, Stream: s, Seq: 1, Event: e},
		{Pos: p + 1, Stream: s, Seq: 2, Event: bare},
		{Pos: second.Streams[0].FirstPos, Stream: s, Seq: 3, Event: event("b")},
	})
	for _, r := range read(t, l, s, 0, 0) {
		if r.At.Location() != time.UTC {
			t.Errorf("seq %d: time in %v, want UTC", r.Seq, r.At.Location())
		}
	}
}

func readPages(t *testing.T, l eventlog.Log) {
	s := ID(1)
	mustAppend(t, l, batch(s, 0, events("e", 5)...))
	mustAppend(t, l, batch(ID(2), 0, events("other", 3)...))
	for name, c := range map[string]struct {
		stream eventlog.StreamID
		after  uint64
		limit  int
		want   []uint64
	}{
		"all":              {s, 0, 0, []uint64{1, 2, 3, 4, 5}},
		"first page":       {s, 0, 2, []uint64{1, 2}},
		"next page":        {s, 2, 2, []uint64{3, 4}},
		"last page":        {s, 4, 2, []uint64{5}},
		"at the end":       {s, 5, 2, nil},
		"beyond the end":   {s, 99, 2, nil},
		"far beyond":       {s, ^uint64(0), 2, nil},
		"unknown stream":   {ID(9), 0, 0, nil},
		"limit above size": {s, 0, 100, []uint64{1, 2, 3, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []uint64
			for _, r := range read(t, l, c.stream, c.after, c.limit) {
				got = append(got, r.Seq)
			}
			diff(t, "sequences", got, c.want)
		})
	}
}

func severalStreams(t *testing.T, l eventlog.Log) {
	mustAppend(t, l, batch(ID(2), 0, event("x")))
	a := mustAppend(t, l, &eventlog.Batch{Streams: []eventlog.StreamAppend{
		{Stream: ID(1), Expect: 0, Events: events("a", 2)},
		{Stream: ID(2), Expect: 1, Events: events("b", 1)},
		{Stream: ID(1), Expect: 2, Events: events("c", 1)}, // a second append to the same stream
		{Stream: ID(3), Expect: 0},                         // no event: only a check
	}})
	seqs := []uint64{a.Streams[0].FirstSeq, a.Streams[1].FirstSeq, a.Streams[2].FirstSeq, a.Streams[3].FirstSeq}
	diff(t, "first sequences", seqs, []uint64{1, 2, 3, 1})
	if n := wholeStream(t, l, ID(1)); n != 3 {
		t.Errorf("stream 1 has %d events, want 3", n)
	}
	_, err := l.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{
		{Stream: ID(1), Expect: 3, Events: events("d", 1)},
		{Stream: ID(2), Expect: 1, Events: events("e", 1)}, // expects an old sequence
	}})
	wantErr(t, "one of two streams is stale", err, eventlog.ErrConflict)
	if n := wholeStream(t, l, ID(1)); n != 3 {
		t.Errorf("after the conflict stream 1 has %d events, want 3", n)
	}
}

func expectAny(t *testing.T, l eventlog.Log) {
	s := ID(1)
	if a := mustAppend(t, l, batch(s, eventlog.ExpectAny, event("a"))); a.Streams[0].FirstSeq != 1 {
		t.Errorf("first append: seq %d, want 1", a.Streams[0].FirstSeq)
	}
	if a := mustAppend(t, l, batch(s, eventlog.ExpectAny, events("b", 2)...)); a.Streams[0].FirstSeq != 2 {
		t.Errorf("second append: seq %d, want 2", a.Streams[0].FirstSeq)
	}
	wholeStream(t, l, s)
}

func maxKeyID(t *testing.T, l eventlog.Log) {
	check := func(want int64) {
		t.Helper()
		if got, err := l.MaxKeyID(t.Context()); err != nil || got != want {
			t.Errorf("MaxKeyID: got %d, %v, want %d", got, err, want)
		}
	}
	check(0)
	mustAppend(t, l, batch(ID(1), 0, event("a")))
	check(7)
	mustAppend(t, l, &eventlog.Batch{Conversations: []eventlog.ConversationRow{row(1, func(r *eventlog.ConversationRow) { r.KeyID = 30 })}})
	check(30)
	mustAppend(t, l, &eventlog.Batch{Outbox: []eventlog.OutboxRow{command(1, func(o *eventlog.OutboxRow) { o.KeyID = 41 })}})
	check(41)
	b := batch(ID(1), 0, event("stale"))
	b.Streams[0].Events[0].KeyID = 99
	_, err := l.Append(t.Context(), b)
	wantErr(t, "stale append", err, eventlog.ErrConflict)
	check(41)
	mustAppend(t, l, &eventlog.Batch{ParkReceipts: []eventlog.EarlyReceipt{{Account: ID(1), Key: Key(1), At: start, Status: "sent", Body: []byte("x"), KeyID: 52}}})
	check(52)
}

func invalidBatches(t *testing.T, l eventlog.Log) {
	for name, b := range map[string]*eventlog.Batch{
		"no stream id":        batch(eventlog.StreamID{}, 0, event("a")),
		"no type":             batch(ID(1), 0, eventlog.Event{Head: []byte("{}")}),
		"body without key":    batch(ID(1), 0, eventlog.Event{Type: "x/1", Body: []byte("b")}),
		"key without body":    batch(ID(1), 0, eventlog.Event{Type: "x/1", KeyID: 3}),
		"index out of range":  {Streams: batch(ID(1), 0, event("a")).Streams, External: []eventlog.ExternalID{{Stream: ID(1), Index: 1}}},
		"outbox without id":   {Outbox: []eventlog.OutboxRow{{State: eventlog.OutboxQueued, Index: -1}}},
		"outbox state":        {Outbox: []eventlog.OutboxRow{command(1, func(o *eventlog.OutboxRow) { o.State = "lost" })}},
		"row without id":      {Conversations: []eventlog.ConversationRow{{Phase: eventlog.PhaseOpen}}},
		"outbox update state": {OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: [16]byte{1}, State: "lost"}}},
		"receipt status":      {ParkReceipts: []eventlog.EarlyReceipt{{Account: ID(1), Key: Key(1), At: start}}},
		"receipt key":         {ParkReceipts: []eventlog.EarlyReceipt{{Account: ID(1), Key: Key(1), At: start, Status: "sent", KeyID: 4}}},
	} {
		_, err := l.Append(t.Context(), b)
		wantErr(t, name, err, eventlog.ErrInvalid)
	}
	if recs, err := l.Tail(t.Context(), 0, 0); err != nil || len(recs) != 0 {
		t.Errorf("after refused batches the log has %d events, %v", len(recs), err)
	}
}

func cancelledContexts(t *testing.T, l eventlog.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Append(ctx, batch(ID(1), 0, event("a")))
	wantErr(t, "Append", err, context.Canceled)
	_, err = l.Read(ctx, ID(1), 0, 0)
	wantErr(t, "Read", err, context.Canceled)
	_, err = l.Tail(ctx, 0, 0)
	wantErr(t, "Tail", err, context.Canceled)
	wantErr(t, "Wait", l.Wait(ctx, 0), context.Canceled)
	_, _, err = l.AcquireLease(ctx, "x", "n", time.Second)
	wantErr(t, "AcquireLease", err, context.Canceled)
	// A caller whose context ends must not disturb the next append.
	mustAppend(t, l, batch(ID(1), 0, event("b")))
	diff(t, "names", names(read(t, l, ID(1), 0, 0)), []string{`{"name":"b"}`})
}

func reuseSlices(t *testing.T, l eventlog.Log) {
	e := event("a")
	mustAppend(t, l, batch(ID(1), 0, e))
	copy(e.Head, "XXXXX")
	copy(e.Body, "XXXXX")
	got := read(t, l, ID(1), 0, 0)
	copy(got[0].Body, "YYYYY")
	diff(t, "event", read(t, l, ID(1), 0, 0)[0].Event, event("a"))
}

func stats(t *testing.T, l eventlog.Log) {
	mustAppend(t, l, batch(ID(1), 0, events("a", 3)...))
	_, err := l.Append(t.Context(), batch(ID(1), 0, event("b")))
	wantErr(t, "stale", err, eventlog.ErrConflict)
	s := l.Stats()
	if s.Appends != 1 || s.Events != 3 || s.Conflicts != 1 || s.Failures != 0 || s.Queue != 0 || s.Batches == 0 {
		t.Errorf("Stats: got %+v, want 1 append of 3 events and 1 conflict", s)
	}
	select {
	case <-l.Failed():
		t.Error("Failed is closed although nothing failed")
	default:
	}
}
