package directory_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/internal/enginetest"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// engines runs every test on SQLite, then on PostgreSQL.
var engines enginetest.Engines

func TestMain(m *testing.M) { os.Exit(engines.Run(m)) }

// raw opens the database without the directory.
func (f *fixture) raw(t *testing.T) *sql.DB {
	t.Helper()
	return engines.Raw(t, f.dsn)
}

// eachFile visits the files of the database, the write-ahead log included.
func (f *fixture) eachFile(t *testing.T, visit func(name, content string)) {
	t.Helper()
	read := func(name string) {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		visit(filepath.Base(name), string(b))
	}
	if engines.Dialect() == directory.SQLite {
		read(f.dsn)
		read(f.dsn + "-wal")
		return
	}
	db := f.raw(t)
	if _, err := db.ExecContext(t.Context(), `CHECKPOINT`); err != nil {
		t.Fatal(err)
	}
	var oid string
	if err := db.QueryRowContext(t.Context(), `SELECT oid FROM pg_database WHERE datname = current_database()`).Scan(&oid); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{filepath.Join("base", oid), "pg_wal"} {
		err := filepath.WalkDir(filepath.Join(engines.Cluster().Data(), folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				read(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// No error contains the connection string's password.
func TestErrorsNameNoPassword(t *testing.T) {
	for name, dsn := range map[string]string{
		"nobody there": "postgres://parley:hunter2@127.0.0.1:1/parley",
		"not a string": "postgres://parley:hunter2@127.0.0.1:port/parley",
	} {
		d, err := directory.Open(t.Context(), directory.Options{DSN: dsn, Dialect: directory.Postgres, Vault: newVault(), Poll: -1})
		if err == nil {
			t.Errorf("%s: opened", name)
			_ = d.Close()
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password", name)
		}
	}
}

// FT14: without its server the directory refuses in time and with the right error. Reads from
// memory go on, and so does everything else when the server is back.
func TestServerGone(t *testing.T) {
	if engines.Dialect() == directory.SQLite {
		return // this engine has no server
	}
	c, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	f := &fixture{dsn: c.DSN(c.Database(t)), vault: newVault()}
	f.Directory = f.another(t, -1)
	f.user(t, directory.User{Login: "ana", Name: "Ana", Role: directory.RoleAgent})
	if err := c.Crash(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := f.PutTeam(t.Context(), directory.Team{Name: "One"}); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("a change without a server: %v, want ErrUnavailable", err)
		}
		if err := f.Refresh(t.Context()); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("a look without a server: %v, want ErrUnavailable", err)
		}
	}
	if len(f.Snapshot().Users()) != 1 {
		t.Error("memory forgot its records")
	}
	select {
	case <-f.Failed():
		t.Error("a server that went away failed the directory for good")
	default:
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutTeam(t.Context(), directory.Team{Name: "One"}); err != nil {
		t.Errorf("a change with the server back: %v", err)
	}
}

// FT14: when the server ended the connection of the change before, the next change uses a new
// connection. Since there is a server, no caller gets ErrUnavailable.
func TestChangeAfterBackendsEnd(t *testing.T) {
	if engines.Dialect() == directory.SQLite {
		return // this engine has no server
	}
	c, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	name := c.Database(t)
	f := &fixture{dsn: c.DSN(name), vault: newVault()}
	f.Directory = f.another(t, -1)
	for range 20 {
		for range 3 { // the driver checks a connection only when it uses it for the second time
			if err := f.Trail().Append(t.Context(), audit.Entry{Action: audit.TranscriptRead}); err != nil {
				t.Fatal(err)
			}
		}
		c.Exec(t, "postgres", "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)
	}
}
