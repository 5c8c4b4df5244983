package sqlite_test

import (
	"testing"

	"github.com/parley-gateway/parley/core/eventlog"
)

// BenchmarkReadOne measures a socket or plugin that reads one new event after a hint.
func BenchmarkReadOne(b *testing.B) {
	l := openLog(b, b.TempDir())
	for i := range uint64(100) {
		if _, err := l.Append(b.Context(), childBatch(1, i*perAppend)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if recs, err := l.Read(b.Context(), childStream(1), 298, 10); err != nil || len(recs) != 2 {
			b.Fatal(len(recs), err)
		}
	}
}

// BenchmarkReadRow measures a webhook or callback that asks for one row.
func BenchmarkReadRow(b *testing.B) {
	l := openLog(b, b.TempDir())
	batch := childBatch(1, 0)
	x := eventlog.ExternalID{Account: eventlog.StreamID{1}, Key: eventlog.Key{2}, Stream: batch.Streams[0].Stream}
	batch.External = append(batch.External, x)
	if _, err := l.Append(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if stream, _, err := l.External(b.Context(), x.Account, x.Key); err != nil || stream != x.Stream {
			b.Fatal(stream, err)
		}
	}
}

// BenchmarkAppendAlone measures a single writer: the disk's flush, and what the log adds to it.
func BenchmarkAppendAlone(b *testing.B) {
	l := openLog(b, b.TempDir())
	batch := childBatch(1, 0)
	batch.Streams[0].Expect = eventlog.ExpectAny
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
