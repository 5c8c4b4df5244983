package postgres_test

import (
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
)

func keep(r eventlog.Record) ([]byte, error) { return r.Body, nil }

// An append locks a conversation's row and then takes the stream's next place. A rewriting at the same
// moment must wait for it, and neither may make the server end a deadlock.
func TestRewriteLocksInOrder(t *testing.T) {
	db := cluster.Database(t)
	l := open(t, cluster.DSN(db))
	s := eventlogtest.ID(1)
	mustAppend(t, l, withRow(note(s, 0, "a"), s))
	conn := cluster.Connect(t, db)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT 1 FROM conversations WHERE id = $1 FOR UPDATE`, [16]byte(s)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.Rewrite(t.Context(), s, eventlog.Rewriting{Key: 70, Body: keep}) }()
	look := cluster.Connect(t, db)
	for waits := 0; waits == 0; time.Sleep(time.Millisecond) {
		if err := look.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	_, err = tx.Exec(t.Context(), `INSERT INTO events (pos, xid, stream, seq, at, key_id, type, head) SELECT first, xid, $1, 2, 0, 0, 'note/1', 'b' FROM event_positions(1)`, [16]byte(s))
	if err != nil {
		t.Errorf("the append: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Errorf("its commit: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Rewrite: %v", err)
	}
	if got := heads(t, l, s); len(got) != 2 {
		t.Errorf("the stream has %q", got)
	}
}

// A rewriting that the server ends because of another transaction is repeated.
func TestRewriteRepeated(t *testing.T) {
	for name, code := range map[string]string{"deadlock": "40P01", "serialization": "40001"} {
		t.Run(name, func(t *testing.T) {
			db := cluster.Database(t)
			l := open(t, cluster.DSN(db))
			s := eventlogtest.ID(1)
			mustAppend(t, l, withRow(note(s, 0, "a"), s))
			conn := cluster.Connect(t, db)
			// A sequence keeps its value when a transaction is rolled back.
			_, err := conn.Exec(t.Context(), `CREATE SEQUENCE tries;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('tries') < 3 THEN RAISE EXCEPTION 'ended' USING ERRCODE = '`+code+`'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE UPDATE ON conversations FOR EACH ROW EXECUTE FUNCTION fail()`)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Rewrite(t.Context(), s, eventlog.Rewriting{Key: 70, Body: keep}); err != nil {
				t.Fatalf("Rewrite: %v", err)
			}
			if row, err := l.Conversation(t.Context(), s); err != nil || row.KeyID != 70 {
				t.Errorf("the row has key %d, %v", row.KeyID, err)
			}
		})
	}
}
