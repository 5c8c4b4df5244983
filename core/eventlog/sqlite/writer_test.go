package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// White box: no call of the public API makes SQLite refuse one row and continue, so the test puts
// the refused statement into the writer's queue.

// If SQLite refuses one request of a batch, only that request may fail (promises.md 4.4).
func TestRefusedStatementFailsAlone(t *testing.T) {
	l, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	hold := make(chan struct{}) // makes all the requests queue behind this one
	var wg sync.WaitGroup
	submit := func(fill func(*request), check func(error)) {
		wg.Go(func() {
			_, err := l.do(t.Context(), fill)
			check(err)
		})
	}
	submit(func(r *request) { r.outside = func() error { <-hold; return nil } }, func(error) {})
	const n = 20
	for i := range n {
		if i == n/2 {
			submit(func(r *request) {
				r.work = func() error {
					if _, err := l.w.sql.setMeta.exec(int64(77), "open"); err != nil {
						return err
					}
					_, err := l.w.sql.setMeta.exec(nil, "open") // violates NOT NULL
					return err
				}
			}, func(err error) {
				if err == nil || !strings.Contains(err.Error(), "NOT NULL") {
					t.Errorf("the refused one: %v, want SQLite's error", err)
				}
			})
		}
		submit(func(r *request) {
			r.batch = &eventlog.Batch{Streams: []eventlog.StreamAppend{{
				Stream: eventlog.StreamID{byte(i + 1)}, Events: []eventlog.Event{{Type: "x/1"}},
			}}}
		}, func(err error) {
			if err != nil {
				t.Errorf("a neighbour: %v", err)
			}
		})
	}
	for len(l.w.queue) < n/2 && l.Stats().Batches == 0 {
		runtime.Gosched()
	}
	close(hold)
	wg.Wait()
	for i := range n {
		if recs, err := l.Read(t.Context(), eventlog.StreamID{byte(i + 1)}, 0, 0); err != nil || len(recs) != 1 {
			t.Errorf("stream %d: %d events, %v, want 1", i, len(recs), err)
		}
	}
	row, err := l.w.conn.once(`SELECT value FROM log_meta WHERE name = 'open'`)
	if err != nil || fmt.Sprint(row[0]) != "1" {
		t.Errorf("what the refused one had written before: %v, %v, want it rolled back", row, err)
	}
	if l.failure() != nil {
		t.Errorf("the log failed: %v", l.failure())
	}
}

// Who stops waiting for a pruning may not touch what the writer, which goes on with it, sets meanwhile.
// The race detector judges; each round lets the two go on at the same moment.
func TestPruneGivenUp(t *testing.T) {
	l, err := Open(t.Context(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	queued := func(n int) {
		for len(l.w.queue) < n {
			runtime.Gosched()
		}
	}
	for range 20 {
		var wg sync.WaitGroup
		at, before, entered, hold := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
		do := func(fill func(*request)) {
			wg.Go(func() {
				if _, err := l.do(t.Context(), fill); err != nil {
					t.Errorf("a neighbour: %v", err)
				}
			})
		}
		do(func(r *request) { r.outside = func() error { close(at); <-before; return nil } })
		<-at
		do(func(r *request) { r.work = func() error { close(entered); <-hold; return nil } })
		queued(1)
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if n, err := l.PruneReceipts(ctx, time.Now()); n != 0 || err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("pruning given up: %d, %v, want 0 and no error but that of the context", n, err)
			}
		})
		queued(2)
		close(before)
		<-entered // the pruning is in the same batch
		cancel()
		close(hold)
		wg.Wait()
	}
}
