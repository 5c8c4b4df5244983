package project_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/postgres"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
	"github.com/parley-gateway/parley/core/project"
	"github.com/parley-gateway/parley/internal/enginetest"
)

// engines runs every test on SQLite, then on PostgreSQL.
var engines enginetest.Engines

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childEnv); dsn != "" {
		runChild(dsn)
		return
	}
	os.Exit(engines.Run(m))
}

// store is a log and the handle on its database.
type store struct {
	log eventlog.Log
	db  *database.DB
}

// openStore opens both, as a gateway does.
func openStore(ctx context.Context, dsn string, dialect database.Dialect) (s store, err error) {
	o := database.Options{DSN: dsn, Dialect: dialect}
	if dialect == database.Postgres {
		s.log, err = postgres.Open(ctx, postgres.Options{DSN: dsn})
	} else {
		o.Gate = &sync.Mutex{}
		s.log, err = sqlite.Open(ctx, sqlite.Options{Dir: filepath.Dir(dsn), Gate: o.Gate})
	}
	if err == nil {
		s.db, err = database.Open(ctx, o)
	}
	return s, err
}

func (s store) close() error { return errors.Join(s.db.Close(), s.log.Close()) }

// open opens a store in a new database, which is closed with the test.
func open(t *testing.T) (s store, dsn string) {
	t.Helper()
	dsn = engines.DSN(t)
	s, err := openStore(t.Context(), dsn, engines.Dialect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s, dsn
}

func stream(n int) (id eventlog.StreamID) {
	binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
	return id
}

// fill appends n events to each of some streams, two at a time, from several writers at once.
func fill(t *testing.T, l eventlog.Log, streams, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for s := range streams {
		wg.Go(func() {
			for i := 0; i < n; i += 2 {
				e := eventlog.Event{Type: "note/1", At: time.Now(), Head: fmt.Appendf(nil, `{"n":%d}`, i)}
				_, err := l.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: stream(s), Expect: eventlog.ExpectAny, Events: []eventlog.Event{e, e}}}})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// seen is a projection that lists the events: an event that is applied twice breaks its key.
func seen(then func(recs []eventlog.Record) error) project.Projection {
	return project.Projection{
		Name: "seen", Version: 1, Tables: []string{"seen"},
		Schema: map[database.Dialect]string{
			database.SQLite:   `CREATE TABLE seen (pos INTEGER PRIMARY KEY, stream BLOB NOT NULL, seq INTEGER NOT NULL) STRICT; CREATE INDEX seen_stream ON seen (stream)`,
			database.Postgres: `CREATE TABLE seen (pos bigint PRIMARY KEY, stream bytea NOT NULL, seq bigint NOT NULL); CREATE INDEX seen_stream ON seen (stream)`,
		},
		Apply: func(ctx context.Context, tx *sql.Tx, recs []eventlog.Record) error {
			for _, r := range recs {
				if _, err := tx.ExecContext(ctx, `INSERT INTO seen (pos, stream, seq) VALUES ($1, $2, $3)`, r.Pos, r.Stream[:], int64(r.Seq)); err != nil {
					return err
				}
			}
			if then != nil {
				return then(recs)
			}
			return nil
		},
	}
}

// listed returns what seen lists, in order.
func listed(t *testing.T, db *database.DB) (out []string) {
	t.Helper()
	rows, err := db.Reader().QueryContext(t.Context(), `SELECT pos, stream, seq FROM seen ORDER BY pos`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var pos, seq int64
		var stream []byte
		if err := rows.Scan(&pos, &stream, &seq); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d %x %d", pos, stream, seq))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// wantAll checks that seen lists all events of the log, each once.
func wantAll(t *testing.T, s store) {
	t.Helper()
	recs, err := s.log.Tail(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]string, len(recs))
	for i, r := range recs {
		want[i] = fmt.Sprintf("%d %x %d", r.Pos, r.Stream[:], int64(r.Seq))
	}
	if got := listed(t, s.db); !slices.Equal(got, want) {
		t.Errorf("%d events listed, want the %d of the log", len(got), len(want))
	}
}

func follower(t *testing.T, s store, node string, all ...project.Projection) *project.Follower {
	t.Helper()
	f, err := project.New(project.Options{Node: node, Log: s.log, Database: s.db, Projections: all})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// run runs a follower until the test ends, or end is called.
func run(t *testing.T, f *project.Follower) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	end = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(end)
	return end
}

// until waits until a projection's status is as wanted.
func until(t *testing.T, f *project.Follower, name, what string, ok func(project.Status) bool) project.Status {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		all, err := f.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(s project.Status) bool { return s.Name == name })
		if i >= 0 && ok(all[i]) {
			return all[i]
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute: %+v", what, all)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func caughtUp(s project.Status) bool {
	return s.Version > 0 && s.Oldest.IsZero() && s.Behind == 0
}
