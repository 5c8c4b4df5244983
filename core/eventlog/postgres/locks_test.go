package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/eventlogtest"
)

// hold runs a statement in a transaction that stays open until the returned
// function is called.
func hold(t *testing.T, db, text string, args ...any) (release func()) {
	t.Helper()
	conn := cluster.Connect(t, db)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), text, args...); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := tx.Rollback(t.Context()); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			t.Error(err)
		}
		_ = conn.Close(context.WithoutCancel(t.Context()))
	})
}

func withRow(b *eventlog.Batch, id eventlog.StreamID) *eventlog.Batch {
	b.Conversations = []eventlog.ConversationRow{{ID: id, Seq: 1, Account: eventlogtest.ID(500), Phase: eventlog.PhaseOpen, StartedAt: at}}
	return b
}

// Another session holds a conversation's row: appends to it must be refused in time, all others
// must go on, and later appends must work again without help (FT16).
func TestRowLocked(t *testing.T) {
	db := cluster.Database(t)
	l := open(t, cluster.DSN(db), patience(2*time.Second))
	stuck := eventlogtest.ID(1)
	mustAppend(t, l, withRow(note(stuck, 0, "a"), stuck))
	release := hold(t, db, `SELECT 1 FROM conversations WHERE id = $1 FOR UPDATE`, [16]byte(stuck))
	defer release()

	const others, each = 8, 20
	refused := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := l.Append(t.Context(), withRow(note(stuck, 1, "b"), stuck))
		refused <- err
	})
	for i := range others {
		wg.Go(func() {
			for n := range each {
				id := eventlogtest.ID(10 + i)
				if _, err := l.Append(t.Context(), withRow(note(id, uint64(n), "x"), id)); err != nil {
					t.Errorf("append to another conversation: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := <-refused; !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("append to the locked conversation: %v, want ErrUnavailable", err)
	}
	// Now that the lock is known, the append must not delay the other batches at all.
	wg.Go(func() {
		_, err := l.Append(t.Context(), withRow(note(stuck, 1, "b"), stuck))
		refused <- err
	})
	mustAppend(t, l, note(eventlogtest.ID(50), 0, "y"))
	wg.Wait()
	if err := <-refused; !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("append to the locked conversation, again: %v, want ErrUnavailable", err)
	}
	release()
	mustAppend(t, l, withRow(note(stuck, 1, "b"), stuck))
	if got := heads(t, l, stuck); len(got) != 2 {
		t.Errorf("stored %v, want a and b", got)
	}
}

// A whole table is locked: every append must be refused in time, and reads must go on (FT16).
func TestTableLocked(t *testing.T) {
	db := cluster.Database(t)
	l := open(t, cluster.DSN(db), patience(time.Second))
	mustAppend(t, l, note(eventlogtest.ID(1), 0, "a"))
	release := hold(t, db, `LOCK TABLE events IN EXCLUSIVE MODE`)
	defer release()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			began := time.Now()
			if _, err := l.Append(t.Context(), note(eventlogtest.ID(10+i), 0, "x")); !errors.Is(err, eventlog.ErrUnavailable) {
				t.Errorf("append: %v, want ErrUnavailable", err)
			}
			if d := time.Since(began); d > 15*time.Second {
				t.Errorf("the answer took %v", d)
			}
		})
	}
	if got := heads(t, l, eventlogtest.ID(1)); len(got) != 1 {
		t.Errorf("read beside the lock: %v", got)
	}
	wg.Wait()
	release()
	mustAppend(t, l, note(eventlogtest.ID(1), 1, "b"))
}

// Both connections of a small pool hang: other reads must be answered or refused in time, and
// appends do not need the pool (FT16).
func TestPoolExhausted(t *testing.T) {
	db := cluster.Database(t)
	l := open(t, cluster.DSN(db)+"&pool_max_conns=2", patience(time.Second))
	id := eventlogtest.ID(1)
	mustAppend(t, l, withRow(note(id, 0, "a"), id))
	release := hold(t, db, `LOCK TABLE conversations IN ACCESS EXCLUSIVE MODE`)
	defer release()
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := l.Conversation(t.Context(), id); !errors.Is(err, eventlog.ErrUnavailable) {
				t.Errorf("read of the locked table: %v, want ErrUnavailable", err)
			}
		})
	}
	for n := range uint64(20) {
		mustAppend(t, l, note(eventlogtest.ID(2), n, "x"))
	}
	wg.Wait()
	release()
	if _, err := l.Conversation(t.Context(), id); err != nil {
		t.Errorf("read after the lock: %v", err)
	}
}

// FT15: an append without events asks for the head of a stream, and its answer must be reliable.
// While a transaction that adds to the stream is under way, even one whose client has given up,
// there is no answer (ErrUnavailable); afterwards the answer says whether that transaction was
// written. The router uses this to find out (decision 0016).
func TestHeadIsConfirmed(t *testing.T) {
	for name, commit := range map[string]bool{"written": true, "not written": false} {
		t.Run(name, func(t *testing.T) {
			db := cluster.Database(t)
			l := open(t, cluster.DSN(db), patience(time.Second))
			s := eventlogtest.ID(1)
			mustAppend(t, l, note(s, 0, "a"))
			confirm := func(head uint64) error {
				_, err := l.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: s, Expect: head}}})
				return err
			}
			conn := cluster.Connect(t, db)
			defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), `INSERT INTO events SELECT p.first, p.xid, e.stream, 2, e.at, 0, 'late/1', e.head, NULL
FROM event_positions(1) p, events e WHERE e.stream = $1`, [16]byte(s)); err != nil {
				t.Fatal(err)
			}
			if err := confirm(1); !errors.Is(err, eventlog.ErrUnavailable) {
				t.Errorf("while it is under way: %v, want ErrUnavailable", err)
			}
			end, want := tx.Rollback, error(nil)
			if commit {
				end, want = tx.Commit, eventlog.ErrConflict
			}
			if err := end(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := confirm(1); !errors.Is(err, want) {
				t.Errorf("afterwards: %v, want %v", err, want)
			}
			n := len(heads(t, l, s))
			if err := confirm(uint64(n)); err != nil || n != map[bool]int{true: 2, false: 1}[commit] || len(heads(t, l, s)) != n {
				t.Errorf("the head %d: %v, and %d events", n, err, len(heads(t, l, s)))
			}
		})
	}
}
