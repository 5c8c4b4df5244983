package kv_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/kv"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// Every test runs on both engines: first all on SQLite, then all on PostgreSQL.
var (
	dialect = database.SQLite
	cluster *pgtest.Cluster
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if code := m.Run(); code != 0 {
		return code
	}
	c, err := pgtest.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot start PostgreSQL for the tests:", err)
		return 1
	}
	cluster, dialect = c, database.Postgres
	fmt.Println("again, on PostgreSQL:")
	code := m.Run()
	if err := c.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// fixture is a store in a database of its own.
type fixture struct {
	*kv.Store
	dsn   string
	vault *memVault
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dsn: filepath.Join(t.TempDir(), "parley.db"), vault: &memVault{}}
	if dialect == database.Postgres {
		f.dsn = cluster.DSN(cluster.Database(t))
	}
	f.Store = f.another(t)
	return f
}

// another opens the same store once more.
func (f *fixture) another(t *testing.T) *kv.Store {
	t.Helper()
	db, err := database.Open(t.Context(), database.Options{DSN: f.dsn, Dialect: dialect})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return kv.New(db, f.vault)
}

// memVault is a vault whose Open fails for another key or purpose than that of Seal; it does not
// hide the content.
type memVault struct {
	mu   sync.Mutex
	last int64
	err  error // when set, the error of Assign
}

var errNoKey = errors.New("no such key")

func (v *memVault) Assign() (int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		return 0, v.err
	}
	v.last++
	return v.last, nil
}

func label(keyID int64, aad []byte) []byte { return fmt.Appendf(nil, "%d %x ", keyID, aad) }

func (v *memVault) Seal(keyID int64, aad, plain []byte) ([]byte, error) {
	return append(label(keyID, aad), plain...), nil
}

func (v *memVault) Open(keyID int64, aad, sealed []byte) ([]byte, error) {
	l := label(keyID, aad)
	if len(sealed) < len(l) || !slices.Equal(sealed[:len(l)], l) {
		return nil, errNoKey
	}
	return sealed[len(l):], nil
}
