package database_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/database"
)

// A write that fails must leave nothing behind, and one that succeeds must be there for the next
// process. core/directory's tests run on both engines.
func TestWrite(t *testing.T) {
	gate := &counted{}
	o := database.Options{DSN: filepath.Join(t.TempDir(), "parley.db"), Gate: gate}
	db, err := database.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	put := func(plugin string, then error) error {
		return db.Write(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO plugin_keys (plugin, key_id) VALUES ($1, 1)`, plugin)
			return errors.Join(err, then)
		})
	}
	if err := put("kept", nil); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	if err := put("gone", refused); !errors.Is(err, refused) {
		t.Errorf("a write that fails: %v, want its own error", err)
	}
	if gate.n != 2 {
		t.Errorf("the gate was held %d times, want 2", gate.n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = database.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var names string
	if err := db.Reader().QueryRowContext(t.Context(), `SELECT group_concat(plugin) FROM plugin_keys`).Scan(&names); err != nil || names != "kept" {
		t.Errorf("after a restart: %q, %v; want the one that was written", names, err)
	}
	if _, err := db.Reader().ExecContext(t.Context(), `DELETE FROM plugin_keys`); err == nil {
		t.Error("the reader writes")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

type counted struct {
	sync.Mutex
	n int
}

func (c *counted) Lock() { c.Mutex.Lock(); c.n++ }

func TestOpenRefuses(t *testing.T) {
	for name, o := range map[string]database.Options{
		"no file":        {},
		"unknown engine": {DSN: "x", Dialect: "oracle"},
	} {
		if db, err := database.Open(t.Context(), o); err == nil {
			t.Errorf("%s: opened", name)
			_ = db.Close()
		}
	}
}
