package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
	"github.com/parley-gateway/parley/core/eventlog/postgres"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// cluster is the server that all tests share; tests that crash a server start their own.
var cluster *pgtest.Cluster

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	c, err := pgtest.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot start PostgreSQL for the tests:", err)
		return 1
	}
	cluster = c
	if err := c.Prepare(context.Background(), tables); err != nil {
		fmt.Fprintln(os.Stderr, err, c.Stop())
		return 1
	}
	code = m.Run()
	if err := errors.Join(c.Stop(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// tables makes the log's tables once, in the database that all tests copy.
func tables(dsn string) error {
	l, err := postgres.Open(context.Background(), postgres.Options{DSN: dsn})
	if err != nil {
		return err
	}
	return l.Close()
}

// open opens a log on a database; change adapts the options.
func open(t testing.TB, dsn string, change ...func(*postgres.Options)) *postgres.Log {
	t.Helper()
	o := postgres.Options{DSN: dsn}
	for _, c := range change {
		c(&o)
	}
	l, err := postgres.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func fresh(t testing.TB, change ...func(*postgres.Options)) *postgres.Log {
	t.Helper()
	return open(t, cluster.DSN(cluster.Database(t)), change...)
}

func TestSuite(t *testing.T) {
	eventlogtest.Run(t, func(t testing.TB) eventlog.Log { return fresh(t) })
}

// patience shortens every time that the log waits.
func patience(d time.Duration) func(*postgres.Options) {
	return func(o *postgres.Options) { o.Patience, o.LockTimeout = d, d/5 }
}
