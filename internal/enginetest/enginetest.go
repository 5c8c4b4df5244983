package enginetest

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx", for Raw
	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// Engines knows which engine is being tested. The zero value is ready to use. A test binary has one
// Engines, which its TestMain runs and its tests ask. The tests may use it concurrently.
type Engines struct {
	cluster *pgtest.Cluster // nil: SQLite is being tested
}

// Run runs all tests on SQLite and, if they pass, again on PostgreSQL. It returns
// the code for os.Exit.
func (e *Engines) Run(m *testing.M) int {
	if code := m.Run(); code != 0 {
		return code
	}
	var err error
	if e.cluster, err = pgtest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot start PostgreSQL for the tests:", err)
		return 1
	}
	fmt.Println("again, on PostgreSQL:")
	code := m.Run()
	if err := errors.Join(e.cluster.Stop(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Dialect returns the engine that is being tested.
func (e *Engines) Dialect() database.Dialect {
	if e.cluster == nil {
		return database.SQLite
	}
	return database.Postgres
}

// Cluster returns the PostgreSQL server; nil while SQLite is being tested.
func (e *Engines) Cluster() *pgtest.Cluster { return e.cluster }

// DSN creates a new, empty database and returns its DSN: a file that is deleted with the test, or a
// database of the server.
func (e *Engines) DSN(t testing.TB) string {
	t.Helper()
	if e.cluster != nil {
		return e.cluster.DSN(e.cluster.Database(t))
	}
	return filepath.Join(t.TempDir(), "parley.db")
}

// Open opens a database that DSN made. It may be called several times for one database, as several
// processes would. The handle is closed with the test.
func (e *Engines) Open(t testing.TB, dsn string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), database.Options{DSN: dsn, Dialect: e.Dialect()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Raw opens a database that DSN made without database.DB, so that a test can do what database.DB
// refuses. It is closed with the test.
func (e *Engines) Raw(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	driver, name := "sqlite", "file:"+dsn+"?_pragma=busy_timeout(5000)"
	if e.cluster != nil {
		driver, name = "pgx", dsn
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
