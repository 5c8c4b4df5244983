package database_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/database"
)

// Tables of an older version must be named by their version and left as they are; those of this
// version are read, and not written.
func TestOpenReadOnly(t *testing.T) {
	o := database.Options{DSN: filepath.Join(t.TempDir(), "parley.db")}
	var none *database.TablesError
	if _, err := database.OpenReadOnly(t.Context(), o); !errors.As(err, &none) || none.Found != 0 {
		t.Errorf("nothing there: %v, want a TablesError without a version", err)
	}
	db, err := database.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ro, err := database.OpenReadOnly(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := ro.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM projections`).Scan(&n); err != nil {
		t.Error(err)
	}
	if err := ro.Write(t.Context(), func(*sql.Tx) error { return nil }); !errors.Is(err, database.ErrReadOnly) {
		t.Errorf("Write: %v, want ErrReadOnly", err)
	}
	if err := ro.Close(); err != nil {
		t.Error(err)
	}
	err = db.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), `DROP TABLE projections; DELETE FROM goose_directory WHERE version_id > 2`)
		return err
	})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	var old *database.TablesError
	if _, err := database.OpenReadOnly(t.Context(), o); !errors.As(err, &old) || old.Found != 2 || !strings.Contains(old.Error(), "version 2") {
		t.Errorf("older tables: %v, want a TablesError with version 2", err)
	}
}
