package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/core/eventlog/postgres"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// times is how often a test repeats its fault: long loops belong to `make soak`.
func times(quick, soak int) int {
	if os.Getenv("PARLEY_SOAK") != "" {
		return soak
	}
	return quick
}

// ledger is what carriers know: which of their messages were acknowledged.
type ledger struct {
	writers int
	acked   []atomic.Int64 // by writer: messages 0..n-1
	refused atomic.Int64   // answers that asked for the message again later
	slowest atomic.Int64   // nanoseconds of the slowest answer
}

// deliver is a carrier: until stop it sends one message after the other, each again and again until
// it is acknowledged. A repeat that the log knows counts as acknowledged (PR3).
func (b *ledger) deliver(ctx context.Context, t testing.TB, l eventlog.Log, w int, stop <-chan struct{}) {
	t.Helper()
	stream, account := eventlogtest.ID(w), eventlogtest.ID(500)
	for i := int(b.acked[w].Load()); ; {
		select {
		case <-stop:
			return
		default:
		}
		batch := note(stream, eventlog.ExpectAny, fmt.Sprintf("%d-%d", w, i))
		batch.External = []eventlog.ExternalID{{Account: account, Key: eventlogtest.Key(w*1_000_000 + i), Stream: stream}}
		began := time.Now()
		_, err := l.Append(ctx, batch)
		took := int64(time.Since(began))
		for old := b.slowest.Load(); took > old && !b.slowest.CompareAndSwap(old, took); old = b.slowest.Load() {
		}
		var dup *eventlog.DuplicateError
		switch {
		case err == nil, errors.As(err, &dup):
			i++
			b.acked[w].Store(int64(i))
		case errors.Is(err, eventlog.ErrUnavailable):
			b.refused.Add(1)
		default:
			t.Errorf("writer %d: %v", w, err)
			return
		}
	}
}

// check compares what the carriers know with the log: every message must be there once, in order.
func (b *ledger) check(t testing.TB, l eventlog.Log) {
	t.Helper()
	for w := range b.writers {
		got := heads(t, l, eventlogtest.ID(w))
		if n := int(b.acked[w].Load()); len(got) < n || len(got) > n+1 { // the last message may have been under way
			t.Errorf("writer %d: %d acknowledged, %d stored", w, n, len(got))
		}
		for i, name := range got {
			if want := fmt.Sprintf("%d-%d", w, i); name != want {
				t.Fatalf("writer %d: event %d is %q, want %q", w, i+1, name, want)
			}
		}
	}
}

// load runs writers over logs until the returned function is called.
func load(t testing.TB, logs []*postgres.Log, writers int) (*ledger, func()) {
	t.Helper()
	b := &ledger{writers: writers, acked: make([]atomic.Int64, writers)}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { b.deliver(t.Context(), t, logs[w%len(logs)], w, stop) })
	}
	return b, func() {
		close(stop)
		wg.Wait()
	}
}

// progress waits until every writer got n more messages through.
func (b *ledger) progress(t testing.TB, n int64) {
	t.Helper()
	var goal []int64
	for w := range b.acked {
		goal = append(goal, b.acked[w].Load()+n)
	}
	deadline := time.Now().Add(time.Minute)
	for w := range goal {
		for b.acked[w].Load() < goal[w] {
			if time.Now().After(deadline) {
				t.Fatalf("writer %d is stuck at %d messages", w, b.acked[w].Load())
			}
			time.Sleep(time.Millisecond) // polls a counter
		}
	}
}

// The server crashes and comes back while two nodes write: no acknowledged event may be lost or
// stored twice, and writers must wait no longer than necessary (FT14).
func TestServerCrash(t *testing.T) {
	c, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	db := c.Database(t)
	logs := []*postgres.Log{open(t, c.DSN(db), patience(time.Second)), open(t, c.DSN(db), patience(time.Second))}
	b, stop := load(t, logs, 6)
	for range times(2, 20) {
		b.progress(t, 5)
		if err := c.Crash(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := logs[0].Append(t.Context(), note(eventlogtest.ID(900), eventlog.ExpectAny, "x")); !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("append without a server: %v, want ErrUnavailable", err)
		}
		if err := c.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.progress(t, 5)
	stop()
	b.check(t, logs[1])
	// At most: patience in the queue, then the attempt, its commit and the look-up.
	if d := time.Duration(b.slowest.Load()); d > 10*time.Second {
		t.Errorf("the slowest answer took %v", d)
	}
	select {
	case <-logs[0].Failed():
		t.Error("a crash of the server failed the log for good")
	default:
	}
}

// The server ends the connections again and again (FT14).
func TestBackendsTerminated(t *testing.T) {
	db := cluster.Database(t)
	logs := []*postgres.Log{open(t, cluster.DSN(db), patience(2*time.Second)), open(t, cluster.DSN(db), patience(2*time.Second))}
	b, stop := load(t, logs, 6)
	conn := cluster.Connect(t, db)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for range times(10, 300) {
		if _, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()`, db); err != nil {
			t.Fatal(err)
		}
		b.progress(t, 2)
	}
	stop()
	b.check(t, logs[0])
}

// The answer to a COMMIT is lost, or the COMMIT itself: the caller must be told the real outcome,
// and the event must be there once (FT15).
func TestCommitAnswerLost(t *testing.T) {
	db := cluster.Database(t)
	r := newRelay(t, cluster.Addr())
	l := open(t, cluster.At(r.ln.Addr().String(), db), patience(5*time.Second))
	s := eventlogtest.ID(1)
	var want []string
	for i, f := range []fault{cutAfter, cutBefore, pass, cutAfter, cutAfter, cutBefore, cutBefore} {
		name := fmt.Sprint(i)
		r.plan(f)
		b := note(s, uint64(i), name)
		b.External = []eventlog.ExternalID{{Account: eventlogtest.ID(2), Key: eventlogtest.Key(i), Stream: s}}
		if a, err := l.Append(t.Context(), b); err != nil || a.Streams[0].FirstSeq != uint64(i)+1 {
			t.Fatalf("append %d: %+v, %v", i, a, err)
		}
		want = append(want, name)
	}
	if n := r.cutCount(); n != 6 {
		t.Errorf("%d commits were cut, want 6", n)
	}
	if got := heads(t, l, s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("stored %v, want %v", got, want)
	}
}

// The server cannot be asked for the outcome of a COMMIT: the caller must be told, within bounds,
// that it is not known, and a repeat must find the real outcome (FT15).
func TestCommitOutcomeUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		fault  fault
		stored bool
	}{"committed": {cutAfter, true}, "not committed": {cutBefore, false}} {
		t.Run(name, func(t *testing.T) {
			db := cluster.Database(t)
			r := newRelay(t, cluster.Addr())
			l := open(t, cluster.At(r.ln.Addr().String(), db), patience(500*time.Millisecond))
			s := eventlogtest.ID(1)
			message := func() *eventlog.Batch {
				b := note(s, eventlog.ExpectAny, "m")
				b.External = []eventlog.ExternalID{{Account: eventlogtest.ID(2), Key: eventlogtest.Key(1), Stream: s}}
				return b
			}
			mustAppend(t, l, note(eventlogtest.ID(3), 0, "first"))
			r.plan(c.fault)
			r.refuse(true)
			if _, err := l.Append(t.Context(), message()); !errors.Is(err, eventlog.ErrUnavailable) {
				t.Fatalf("append whose outcome cannot be found out: %v, want ErrUnavailable", err)
			}
			r.refuse(false)
			var dup *eventlog.DuplicateError
			var err error
			for {
				if _, err = l.Append(t.Context(), message()); !errors.Is(err, eventlog.ErrUnavailable) {
					break
				}
			}
			if errors.As(err, &dup) != c.stored || (err == nil) == c.stored {
				t.Errorf("repeat: %v, stored before: %v", err, c.stored)
			}
			if got := heads(t, l, s); len(got) != 1 {
				t.Errorf("%d events, want 1", len(got))
			}
		})
	}
}

// Many broken connections under load, with repeats by the carriers (FT15).
func TestCommitsCutUnderLoad(t *testing.T) {
	db := cluster.Database(t)
	r := newRelay(t, cluster.Addr())
	logs := []*postgres.Log{
		open(t, cluster.At(r.ln.Addr().String(), db), patience(2*time.Second)),
		open(t, cluster.At(r.ln.Addr().String(), db), patience(2*time.Second)),
	}
	b, stop := load(t, logs, 6)
	for i := range times(10, 200) {
		r.plan(pass, []fault{cutAfter, cutBefore}[i%2], pass, cutAfter)
		b.progress(t, 2)
		if i%3 == 0 {
			r.breakAll()
		}
	}
	stop()
	b.check(t, logs[1])
}

// untilCommitsWait waits until the server makes commits wait for its standby: a new connection sees
// a changed setting before the server process that acts on it does.
func untilCommitsWait(t *testing.T) {
	t.Helper()
	watch := cluster.Connect(t, "postgres")
	defer func() { _ = watch.Close(t.Context()) }()
	for waited := false; !waited; {
		probe := cluster.Connect(t, "postgres")
		pid := int32(probe.PgConn().PID())
		done := make(chan error, 1)
		go func() {
			_, err := probe.Exec(t.Context(), `SELECT pg_logical_emit_message(true, 'probe', '')`)
			done <- err
		}()
		for over := false; !over; {
			var waits bool
			err := watch.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep')`, pid).Scan(&waits)
			if err == nil && waits {
				waited = true
				_, err = watch.Exec(t.Context(), `SELECT pg_cancel_backend($1)`, pid)
			}
			if err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-done:
				if over = true; err != nil {
					t.Fatal(err)
				}
			default:
			}
		}
		_ = probe.Close(t.Context())
	}
}

// The synchronous standby is gone: nothing may be acknowledged until the commit counts as
// replicated, not even a repeat that finds the first try committed on the primary alone (PR18).
func TestStandbyGone(t *testing.T) {
	db := cluster.Database(t)
	l := open(t, cluster.DSN(db), patience(500*time.Millisecond))
	s := eventlogtest.ID(1)
	mustAppend(t, l, note(eventlogtest.ID(2), 0, "before"))
	standby := func(text, want string) {
		t.Helper()
		cluster.Exec(t, "postgres", text)
		cluster.Exec(t, "postgres", `SELECT pg_reload_conf()`)
		for got := ""; got != want; {
			conn := cluster.Connect(t, "postgres")
			if err := conn.QueryRow(t.Context(), `SELECT current_setting('synchronous_standby_names')`).Scan(&got); err != nil {
				t.Fatal(err)
			}
			_ = conn.Close(t.Context())
		}
	}
	standby(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`, "nobody")
	back := sync.OnceFunc(func() { standby(`ALTER SYSTEM RESET synchronous_standby_names`, "") })
	defer back()
	untilCommitsWait(t)
	message := func() error {
		b := note(s, eventlog.ExpectAny, "m")
		b.External = []eventlog.ExternalID{{Account: eventlogtest.ID(3), Key: eventlogtest.Key(1), Stream: s}}
		_, err := l.Append(t.Context(), b)
		return err
	}
	for range 3 {
		if err := message(); !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("append without a standby: %v, want ErrUnavailable", err)
		}
	}
	if got := heads(t, l, s); len(got) != 0 {
		t.Errorf("seen before it is replicated: %v", got)
	}
	back()
	var dup *eventlog.DuplicateError
	err := message()
	for errors.Is(err, eventlog.ErrUnavailable) {
		err = message()
	}
	if err != nil && !errors.As(err, &dup) {
		t.Errorf("append with the standby back: %v", err)
	}
	if got := heads(t, l, s); len(got) != 1 {
		t.Errorf("%d events, want 1", len(got))
	}
}
