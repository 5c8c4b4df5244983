package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/core/eventlog/postgres"
)

func TestShared(t *testing.T) {
	eventlogtest.RunShared(t, func(t testing.TB) [2]eventlog.Shared {
		l := nodes(t, 2)
		return [2]eventlog.Shared{l[0], l[1]}
	})
}

func member(name string, instance byte) eventlog.Node {
	return eventlog.Node{Name: name, Instance: [16]byte{instance}, Address: "10.0.0.1:8080", Started: at}
}

// While a process has a name, another one is refused with a text that says who has it. When the
// first one's connection ends, as it does with a kill, the name is free at once although the
// heartbeat is fresh; the first one, if it lives after all, is told.
func TestNodeNameIsHeldByOneProcess(t *testing.T) {
	dsn := cluster.DSN(cluster.Database(t))
	first, second := open(t, dsn), open(t, dsn)
	ctx := t.Context()
	if _, err := first.Beat(ctx, member("a", 1), time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err := second.Beat(ctx, member("a", 2), time.Hour)
	if !errors.Is(err, eventlog.ErrNameTaken) || !strings.Contains(err.Error(), "10.0.0.1:8080") {
		t.Errorf("second process of the name: %v, want ErrNameTaken with its address", err)
	}
	endBackends(t, dsn, lockHolders)
	if _, err := second.Beat(ctx, member("a", 2), time.Hour); err != nil {
		t.Errorf("after the first one's connection ended: %v", err)
	}
	for range 2 { // the broken connection is found by the first try
		if _, err = first.Beat(ctx, member("a", 1), time.Hour); errors.Is(err, eventlog.ErrNameTaken) {
			break
		}
	}
	if !errors.Is(err, eventlog.ErrNameTaken) {
		t.Errorf("the first process afterwards: %v, want ErrNameTaken", err)
	}
}

// A process that loses its connection keeps its name, since it takes it again with the next beat.
func TestNodeKeepsItsNameOverALostConnection(t *testing.T) {
	dsn := cluster.DSN(cluster.Database(t))
	first, second := open(t, dsn), open(t, dsn)
	ctx := t.Context()
	if _, err := first.Beat(ctx, member("a", 1), time.Hour); err != nil {
		t.Fatal(err)
	}
	endBackends(t, dsn, lockHolders)
	if _, err := first.Beat(ctx, member("a", 1), time.Hour); err == nil {
		t.Error("the first beat on a connection that was ended: no error")
	}
	if _, err := first.Beat(ctx, member("a", 1), time.Hour); err != nil {
		t.Fatalf("the next beat: %v", err)
	}
	if _, err := second.Beat(ctx, member("a", 2), time.Hour); !errors.Is(err, eventlog.ErrNameTaken) {
		t.Errorf("second process of the name: %v, want ErrNameTaken", err)
	}
}

const lockHolders = `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 'nodes'::regclass::oid
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

func endBackends(t *testing.T, dsn, which string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if tag, err := conn.Exec(t.Context(), which); err != nil || tag.RowsAffected() == 0 {
		t.Fatalf("ended %d backends: %v", tag.RowsAffected(), err)
	}
}

// PR8: a transaction that somebody left open holds back positions, and notifications may not come:
// a follower hears of other nodes' events all the same, of each stream once and then only when it
// grows.
func TestFollowBesideAnOpenTransaction(t *testing.T) {
	dsn := cluster.DSN(cluster.Database(t))
	quiet := deaf(t, dsn)
	l := [2]*postgres.Log{open(t, quiet), open(t, quiet)}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for _, text := range []string{"BEGIN", "SELECT pg_current_xact_id()"} {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer func() { cancel(); wg.Wait() }()
	begun, heads := make(chan struct{}, 1), make(chan eventlog.Head, 100)
	wg.Go(func() {
		_ = l[1].Follow(ctx, func(hs []eventlog.Head) {
			select {
			case begun <- struct{}{}:
			default:
			}
			for _, h := range hs {
				heads <- h
			}
		})
	})
	<-begun
	s := eventlogtest.ID(1)
	for i := range 3 {
		mustAppend(t, l[0], note(s, uint64(i), "x"))
		select {
		case h := <-heads:
			if h.Stream != s || h.Seq != uint64(i+1) {
				t.Errorf("head %+v, want seq %d", h, i+1)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("event %d was not followed", i+1)
		}
	}
}

// deaf returns a connection string over which no node notifies another one: a function that does
// nothing stands before the server's own.
func deaf(t *testing.T, dsn string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), `CREATE FUNCTION pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT'`); err != nil {
		t.Fatal(err)
	}
	return dsn + "&search_path=public,pg_catalog"
}

// A backlog, as after an outage, is told in pages of bounded size, and all of it.
func TestFollowTellsALongBacklogInPages(t *testing.T) {
	dsn := cluster.DSN(cluster.Database(t))
	l := [2]*postgres.Log{open(t, dsn), open(t, dsn)}
	ctx, cancel := context.WithCancel(t.Context())
	begun, hold := make(chan struct{}), make(chan struct{})
	pages := make(chan []eventlog.Head, 1000)
	var once sync.Once
	var wg sync.WaitGroup
	defer func() { cancel(); wg.Wait() }()
	wg.Go(func() {
		_ = l[1].Follow(ctx, func(hs []eventlog.Head) {
			once.Do(func() { close(begun) })
			<-hold
			if len(hs) > 0 {
				pages <- hs
			}
		})
	})
	<-begun
	const streams = 12_000
	var wrote sync.WaitGroup
	for w := range 4 {
		wrote.Go(func() {
			for first := w * streams / 4; first < (w+1)*streams/4; first += 50 {
				b := &eventlog.Batch{}
				for i := range 50 {
					b.Streams = append(b.Streams, note(eventlogtest.ID(first+i+1), 0, "x").Streams...)
				}
				if _, err := l[0].Append(t.Context(), b); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wrote.Wait()
	close(hold)
	told := map[eventlog.StreamID]bool{}
	for deadline := time.After(30 * time.Second); len(told) < streams; {
		select {
		case hs := <-pages:
			if len(hs) > 5000 {
				t.Errorf("%d streams told at once", len(hs))
			}
			for _, h := range hs {
				told[h.Stream] = true
			}
		case <-deadline:
			t.Fatalf("%d streams of %d told", len(told), streams)
		}
	}
}
