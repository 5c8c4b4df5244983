package postgres_test

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver for goose
	"github.com/pressly/goose/v3"

	"github.com/parley-gateway/parley/core/eventlog/postgres"
)

// upTo makes a database with the tables that a version of the migrations made.
func upTo(t *testing.T, name string, version int64) (dsn string) {
	t.Helper()
	cluster.Exec(t, "postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") // of an earlier run of the test
	cluster.Exec(t, "postgres", "CREATE DATABASE "+name)
	dsn = cluster.DSN(name)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	p, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS("migrations"), goose.WithTableName("goose_eventlog"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	return dsn
}

// A long reader of the database, a backup say, must not make a node that updates the tables stop
// everybody who comes after it. When the reader is done, the tables are brought up to date.
func TestMigrationLetsOthersGoOnBesideALongReader(t *testing.T) {
	const name = "beside_a_reader"
	dsn := upTo(t, name, 1)
	release := hold(t, name, `SELECT count(*) FROM conversations`)
	defer release()
	opened := make(chan error, 1)
	go func() {
		l, err := postgres.Open(context.WithoutCancel(t.Context()), postgres.Options{DSN: dsn})
		if err == nil {
			err = l.Close()
		}
		opened <- err
	}()
	other := cluster.Connect(t, name)
	defer func() { _ = other.Close(context.WithoutCancel(t.Context())) }()
	waits := `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = 'conversations'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted)`
	for there, deadline := false, time.Now().Add(time.Minute); !there; {
		if err := other.QueryRow(t.Context(), waits).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody changes the table")
		}
	}
	// Behind a statement that waits for as long as the reader reads, this query would fail.
	if _, err := other.Exec(t.Context(), `SET statement_timeout = '20s'`); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := other.Exec(t.Context(), `SELECT count(*) FROM conversations`); err != nil {
			t.Fatalf("a query behind the update of the tables: %v", err)
		}
	}
	release()
	select {
	case err := <-opened:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the log was not opened after the reader had ended")
	}
	wantIndex(t, name)
}

// wantIndex checks that the index of what is due is there and usable.
func wantIndex(t *testing.T, db string) {
	t.Helper()
	conn := cluster.Connect(t, db)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var ok bool
	err := conn.QueryRow(t.Context(), `SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('conversations_due')`).Scan(&ok)
	if err != nil || !ok {
		t.Errorf("index of what is due: usable %t, %v", ok, err)
	}
}

// A database in which an earlier build of this version has made the index already, and one in which
// an attempt to make it broke off, end with the same tables.
func TestMigrationMakesTheIndexAnew(t *testing.T) {
	for name, state := range map[string]string{
		"made before": `CREATE INDEX conversations_due ON conversations (due, id) WHERE due <> 0 AND phase <> 'concluded'`,
		"broken off": `CREATE INDEX conversations_due ON conversations (due, id) WHERE due <> 0;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'conversations_due'::regclass`,
	} {
		t.Run(name, func(t *testing.T) {
			db := strings.ReplaceAll(name, " ", "_")
			dsn := upTo(t, db, 3)
			conn := cluster.Connect(t, db)
			defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
			if _, err := conn.Exec(t.Context(), state); err != nil {
				t.Fatal(err)
			}
			_ = open(t, dsn)
			wantIndex(t, db)
		})
	}
}
