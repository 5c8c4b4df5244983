package project_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/project"
)

// Everything is applied once while many append; and again after the tables were dropped.
func TestFollowsAndRebuilds(t *testing.T) {
	s, _ := open(t)
	fill(t, s.log, 4, 300) // more than one transaction takes
	f := follower(t, s, "a", seen(nil))
	run(t, f)
	fill(t, s.log, 8, 100)
	until(t, f, "seen", "caught up", caughtUp)
	wantAll(t, s)
	before := listed(t, s.db)
	if err := f.Rebuild(t.Context(), "seen"); err != nil {
		t.Fatal(err)
	}
	fill(t, s.log, 2, 2)
	until(t, f, "seen", "made anew", caughtUp)
	wantAll(t, s)
	if after := listed(t, s.db); !slices.Equal(after[:len(before)], before) {
		t.Error("what was made anew is not what was there before")
	}
	if err := f.Rebuild(t.Context(), "none"); !errors.Is(err, project.ErrUnknown) {
		t.Errorf("Rebuild of an unknown projection: %v, want ErrUnknown", err)
	}
	wantGauge(t, f, "parley_projection_lag_events", 0)
	wantGauge(t, f, "parley_projection_lag_seconds", 0)
	wantGauge(t, f, "parley_projection_stopped", 0)
}

// wantGauge waits until the metric of the only projection has a value.
func wantGauge(t *testing.T, f *project.Follower, name string, want float64) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(f.Collector())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		all, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if m.GetName() == name && m.GetMetric()[0].GetGauge().GetValue() == want {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not %v within a minute: %v", name, want, all)
		}
	}
}

// A transaction that fails leaves neither rows nor position; the events are applied again.
func TestAbortedTransaction(t *testing.T) {
	s, _ := open(t)
	fill(t, s.log, 2, 100)
	var failed atomic.Int32
	f := follower(t, s, "a", seen(func([]eventlog.Record) error {
		if failed.Add(1) <= 2 {
			return errors.New("not now")
		}
		return nil
	}))
	run(t, f)
	until(t, f, "seen", "tried", func(project.Status) bool { return failed.Load() >= 1 })
	until(t, f, "seen", "caught up", caughtUp)
	wantAll(t, s)
}

// eager is a log whose lease everybody has.
type eager struct{ eventlog.Log }

func (eager) AcquireLease(context.Context, string, string, time.Duration) (int64, bool, error) {
	return 1, true, nil
}

func (eager) ReleaseLease(context.Context, string, string, int64) error { return nil }

// Two followers apply nothing twice, also if each believes that it has the lease.
func TestTwoFollowers(t *testing.T) {
	s, dsn := open(t)
	other, err := database.Open(t.Context(), database.Options{DSN: dsn, Dialect: engines.Dialect()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}()
	a, b := follower(t, store{eager{s.log}, s.db}, "a", seen(nil)), follower(t, store{eager{s.log}, other}, "b", seen(nil))
	endA, endB := run(t, a), run(t, b)
	for range 5 {
		fill(t, s.log, 4, 100)
		until(t, a, "seen", "caught up", caughtUp)
	}
	endA()
	endB()
	wantAll(t, s)
}

// With the lease one follower works; when it ends the other takes over at once.
func TestLease(t *testing.T) {
	s, _ := open(t)
	var byA, byB atomic.Int64
	count := func(n *atomic.Int64) project.Projection {
		return seen(func(recs []eventlog.Record) error { n.Add(int64(len(recs))); return nil })
	}
	a, b := follower(t, s, "a", count(&byA)), follower(t, s, "b", count(&byB))
	fill(t, s.log, 1, 10)
	end := run(t, a)
	until(t, a, "seen", "caught up", caughtUp)
	run(t, b)
	fill(t, s.log, 1, 10)
	until(t, a, "seen", "caught up", caughtUp)
	if byA.Load() != 20 || byB.Load() != 0 {
		t.Errorf("with the lease a applied %d, without it b %d; want 20 and 0", byA.Load(), byB.Load())
	}
	end()
	fill(t, s.log, 1, 10)
	until(t, b, "seen", "caught up by b", caughtUp)
	if byB.Load() != 10 {
		t.Errorf("b applied %d, want 10", byB.Load())
	}
	wantAll(t, s)
}

// waits counts how often a follower found nothing to apply and began to wait.
type waits struct {
	eventlog.Log
	n atomic.Int64
}

func (w *waits) Wait(ctx context.Context, after int64) error {
	w.n.Add(1)
	return w.Log.Wait(ctx, after)
}

// What a transaction under way may still commit holds the follower back; nothing is skipped
// (promises.md 4.7).
func TestOpenTransaction(t *testing.T) {
	if engines.Cluster() == nil {
		t.Skip("SQLite has one writer, whose transactions cannot overlap")
	}
	s, dsn := open(t)
	log := &waits{Log: s.log}
	f := follower(t, store{log, s.db}, "a", seen(nil))
	run(t, f)
	fill(t, s.log, 1, 2)
	until(t, f, "seen", "caught up", caughtUp)
	tx, err := engines.Raw(t, dsn).BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(t.Context(), `INSERT INTO events (pos, xid, stream, seq, at, key_id, type, head)
SELECT first, xid, '00000000-0000-0000-0000-0000000000ff', 1, 0, 0, 'note/1', '{}' FROM event_positions(1)`)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s.log, 3, 20)
	behind := until(t, f, "seen", "behind", func(s project.Status) bool { return s.Behind >= 61 })
	// While the transaction is open nothing behind it is applied: the follower looks, finds nothing that it
	// may apply, and waits. The second wait from here on comes after a look that saw all events.
	now := log.n.Load()
	until(t, f, "seen", "waited twice", func(project.Status) bool { return log.n.Load() >= now+2 })
	after := until(t, f, "seen", "there", func(project.Status) bool { return true })
	if after.Position != behind.Position {
		t.Fatalf("the follower went on to %d although a smaller position may still come", after.Position)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	until(t, f, "seen", "caught up", caughtUp)
	wantAll(t, s)
}

// A projection stops before an event that it cannot read, and says so; the others go on. A build that
// can read it goes on from there.
func TestUnreadableEvent(t *testing.T) {
	s, _ := open(t)
	fill(t, s.log, 1, 10)
	const bad = 7
	stumbles := seen(func(recs []eventlog.Record) error {
		for _, r := range recs {
			if r.Pos == bad {
				return &project.EventError{Pos: r.Pos, Type: r.Type, Err: errors.New("no head")}
			}
		}
		return nil
	})
	other := seen(nil)
	other.Name, other.Tables = "other", []string{"other_seen"}
	other.Schema = map[database.Dialect]string{database.SQLite: `CREATE TABLE other_seen (pos INTEGER)`, database.Postgres: `CREATE TABLE other_seen (pos bigint)`}
	other.Apply = func(ctx context.Context, tx *sql.Tx, recs []eventlog.Record) error {
		for _, r := range recs {
			if _, err := tx.ExecContext(ctx, `INSERT INTO other_seen (pos) VALUES ($1)`, r.Pos); err != nil {
				return err
			}
		}
		return nil
	}
	f := follower(t, s, "a", stumbles, other)
	end := run(t, f)
	st := until(t, f, "seen", "stopped", func(s project.Status) bool { return s.Problem != "" })
	if st.Position != bad-1 || !strings.Contains(st.Problem, `position 7 ("note/1")`) {
		t.Errorf("stopped as %+v, want before position %d", st, bad)
	}
	if got := listed(t, s.db); len(got) != bad-1 {
		t.Errorf("%d events applied, want those before position %d", len(got), bad)
	}
	until(t, f, "other", "caught up", caughtUp)
	end()
	repaired := follower(t, s, "a", seen(nil), other)
	run(t, repaired)
	if st := until(t, repaired, "seen", "caught up", caughtUp); st.Problem != "" {
		t.Errorf("the problem stays: %+v", st)
	}
	wantAll(t, s)
}

// A new version is made anew, without the tables of the old one; the old build then leaves it alone.
func TestNewVersion(t *testing.T) {
	s, _ := open(t)
	fill(t, s.log, 1, 10)
	old := seen(nil)
	f := follower(t, s, "a", old)
	end := run(t, f)
	until(t, f, "seen", "caught up", caughtUp)
	end()
	next := seen(nil)
	next.Version, next.Tables = 2, []string{"seen_two"}
	next.Schema = map[database.Dialect]string{database.SQLite: `CREATE TABLE seen_two (pos INTEGER)`, database.Postgres: `CREATE TABLE seen_two (pos bigint)`}
	var applied atomic.Int64
	next.Apply = func(_ context.Context, _ *sql.Tx, recs []eventlog.Record) error {
		applied.Add(int64(len(recs)))
		return nil
	}
	g := follower(t, s, "a", next)
	end = run(t, g)
	until(t, g, "seen", "version 2", func(s project.Status) bool { return s.Version == 2 && caughtUp(s) })
	if applied.Load() != 10 {
		t.Errorf("version 2 applied %d events, want all 10", applied.Load())
	}
	var n int
	if err := s.db.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM seen`).Scan(&n); err == nil {
		t.Error("the old version's table is still there")
	}
	end()
	run(t, f)
	fill(t, s.log, 1, 2)
	if err := f.Rebuild(t.Context(), "seen"); !errors.Is(err, project.ErrNewer) {
		t.Errorf("Rebuild by an older build: %v, want ErrNewer", err)
	}
	wantGauge(t, f, "parley_projection_stopped", 1)
}

func TestNewRefuses(t *testing.T) {
	s, _ := open(t)
	for name, change := range map[string]func(*project.Projection){
		"name":    func(p *project.Projection) { p.Name = "Seen; DROP" },
		"table":   func(p *project.Projection) { p.Tables = []string{"a b"} },
		"version": func(p *project.Projection) { p.Version = 0 },
		"schema":  func(p *project.Projection) { p.Schema = nil },
		"apply":   func(p *project.Projection) { p.Apply = nil },
	} {
		p := seen(nil)
		change(&p)
		if _, err := project.New(project.Options{Node: "a", Log: s.log, Database: s.db, Projections: []project.Projection{p}}); err == nil {
			t.Errorf("a projection with a bad %s is accepted", name)
		}
	}
	if _, err := project.New(project.Options{Node: "a", Log: s.log, Database: s.db, Projections: []project.Projection{seen(nil), seen(nil)}}); err == nil {
		t.Error("two projections of one name are accepted")
	}
}

// A projection that takes long for each event must keep the other writers waiting in small portions:
// its transactions become smaller until each is short, and nothing is lost or doubled by that.
func TestSlowProjectionHoldsTheLockInPortions(t *testing.T) {
	s, _ := open(t)
	fill(t, s.log, 4, 150)
	var sizes []int
	f := follower(t, s, "a", seen(func(recs []eventlog.Record) error {
		sizes = append(sizes, len(recs))
		time.Sleep(time.Duration(len(recs)) * 2 * time.Millisecond) // as round trips do
		return nil
	}))
	end := run(t, f)
	until(t, f, "seen", "caught up", caughtUp)
	end()
	wantAll(t, s)
	if len(sizes) < 10 || slices.Min(sizes[:8]) > 32 {
		t.Errorf("%d transactions, of %v events: want some of at most 32 soon", len(sizes), sizes)
	}
}
