package audit_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/internal/enginetest"
)

// engines runs every test on SQLite, then on PostgreSQL.
var engines enginetest.Engines

func TestMain(m *testing.M) { os.Exit(engines.Run(m)) }

// vault is a Vault whose hashes differ by purpose and input.
type vault struct{}

func (vault) MAC(purpose string, parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range append([][]byte{[]byte(purpose)}, parts...) {
		_, _ = h.Write([]byte{byte(len(p)), byte(len(p) >> 8)})
		_, _ = h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// dropGuards removes the triggers that protect the entries, as somebody who may write to the
// database could.
func dropGuards(ctx context.Context, t *testing.T, db *sql.DB) {
	t.Helper()
	text := `DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete`
	if engines.Dialect() == database.Postgres {
		text = `DROP TRIGGER audit_no_update ON audit; DROP TRIGGER audit_no_delete ON audit`
	}
	if _, err := db.ExecContext(ctx, text); err != nil {
		t.Fatal(err)
	}
}

func TestAuditCannotBeRewritten(t *testing.T) {
	for name, c := range map[string]struct {
		tamper string
		seq    int64
	}{
		"changed":             {`UPDATE audit SET entry = replace(entry, 'two', 'too') WHERE seq = 2`, 2},
		"time changed":        {`UPDATE audit SET at = at - 1 WHERE seq = 3`, 3},
		"left out":            {`DELETE FROM audit WHERE seq = 2`, 2},
		"first left out":      {`DELETE FROM audit WHERE seq = 1`, 1},
		"left out and closed": {`DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = seq - 1 WHERE seq > 2`, 2},
		"swapped": {`UPDATE audit SET entry = CASE seq WHEN 2 THEN (SELECT entry FROM audit WHERE seq = 3)
			WHEN 3 THEN (SELECT entry FROM audit WHERE seq = 2) ELSE entry END`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := engines.DSN(t)
			trail := audit.New(engines.Open(t, dsn), vault{}, time.Now)
			for _, a := range []string{"one", "two", "three", "four"} {
				if err := trail.Append(t.Context(), audit.Entry{Action: a}); err != nil {
					t.Fatal(err)
				}
			}
			head, err := trail.Verify(t.Context())
			if err != nil || head.Seq != 4 || head.Hash == [32]byte{} {
				t.Fatalf("Verify of a good trail: %+v, %v", head, err)
			}
			db := engines.Raw(t, dsn)
			if _, err := db.ExecContext(t.Context(), c.tamper); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("the database let it happen: %v", err)
			}
			dropGuards(t.Context(), t, db)
			if _, err := db.ExecContext(t.Context(), c.tamper); err != nil {
				t.Fatal(err)
			}
			var bad *audit.TamperError
			if _, err := trail.Verify(t.Context()); !errors.As(err, &bad) || bad.Seq != c.seq {
				t.Errorf("Verify: got %v, want that entry %d does not fit", err, c.seq)
			}
		})
	}
}
