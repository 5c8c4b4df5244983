package postgres_test

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// BenchmarkAppend measures what a carrier's texts cost the log: 64 connections, where each text is
// one event on the connection's stream at the sequence that it knows, with the provider's id, bound
// as the router binds it. The server flushes to disk, as in production.
func BenchmarkAppend(b *testing.B) {
	c, err := pgtest.Start("fsync = on")
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			b.Error(err)
		}
	}()
	l := open(b, c.DSN(c.Database(b)))
	const writers = 64
	body, head := make([]byte, 300), make([]byte, 150)
	n := uint64(0)
	round := func(each int) {
		var wg sync.WaitGroup
		for w := range writers {
			expect := n
			wg.Go(func() {
				stream, account := eventlogtest.ID(w), eventlogtest.ID(500)
				for i := range each {
					var id [16]byte
					binary.BigEndian.PutUint64(id[:], uint64(w))
					binary.BigEndian.PutUint64(id[8:], expect+uint64(i))
					_, err := l.Append(b.Context(), &eventlog.Batch{
						Streams: []eventlog.StreamAppend{{Stream: stream, Expect: expect + uint64(i), Events: []eventlog.Event{
							{Type: "message/1", At: time.Now(), Head: head, Body: body, KeyID: 1},
						}}},
						External: []eventlog.ExternalID{{Account: account, Key: sha256.Sum256(id[:]), Stream: stream, Index: -1, Seq: expect + uint64(i) + 1}},
					})
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		n += uint64(each)
	}
	round(50) // warm up heads, statements and their plans
	before := l.Stats()
	b.ReportAllocs()
	b.ResetTimer()
	round(max(1, b.N/writers))
	b.StopTimer()
	after := l.Stats()
	b.ReportMetric(float64(after.Appends-before.Appends)/float64(after.Batches-before.Batches), "appends/commit")
}
