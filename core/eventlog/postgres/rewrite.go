package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Rewrite implements eventlog.Log. An advisory lock, held by the connection, stops other nodes from
// rewriting the same stream meanwhile: of two rewrites at once, one could put back what the other
// has masked. fn runs outside any transaction. The transaction then inserts an event at the
// stream's next sequence (and deletes it if there is none to append), so that no event can be
// appended that fn has not seen.
func (l *Log) Rewrite(ctx context.Context, stream eventlog.StreamID, newKey int64, fn func(eventlog.Record) ([]byte, error), then func() []eventlog.Event) (err error) {
	l.rewriting.Lock()
	defer l.rewriting.Unlock()
	if err := l.readable(ctx); err != nil {
		return err
	}
	if l.w == nil {
		return ErrReadOnly
	}
	wait, cancel := context.WithTimeout(ctx, l.o.Patience)
	conn, err := l.pool.Acquire(wait)
	cancel()
	if err != nil {
		return fmt.Errorf("rewrite stream %x: %w", stream, named(ctx, err))
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, lockStream, [16]byte(stream)); err != nil {
		return fmt.Errorf("rewrite stream %x: %w", stream, named(ctx, err))
	}
	defer func() {
		free, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if _, err := conn.Exec(free, unlockStream, [16]byte(stream)); err != nil {
			_ = conn.Conn().Close(free) // closing the connection releases its locks
		}
	}()
	if err := l.rewrite(ctx, conn, stream, newKey, fn, then); err != nil {
		return fmt.Errorf("rewrite stream %x: %w", stream, err)
	}
	l.hint.grown()
	return nil
}

// The second argument keeps Rewrite's locks apart from those of event_positions.
const (
	lockStream   = `SELECT pg_advisory_lock(hashtextextended('rewrite ' || $1::uuid::text, 2))`
	unlockStream = `SELECT pg_advisory_unlock(hashtextextended('rewrite ' || $1::uuid::text, 2))`
)

func (l *Log) rewrite(ctx context.Context, conn *pgxpool.Conn, stream eventlog.StreamID, newKey int64, fn func(eventlog.Record) ([]byte, error), then func() []eventlog.Event) error {
	const page = 1000
	var seqs, keys []int64
	var bodies [][]byte
	old := map[int64]bool{}
	var after uint64
	for {
		rows, err := conn.Query(ctx, selectStream, [16]byte(stream), int64(after), int64(page))
		if err != nil {
			return named(ctx, err)
		}
		recs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (eventlog.Record, error) { return recordOf(row) })
		if err != nil {
			return named(ctx, err)
		}
		for _, r := range recs {
			after = r.Seq
			if r.Body == nil {
				continue
			}
			old[r.KeyID] = true
			body, err := fn(r)
			if err != nil {
				return fmt.Errorf("seq %d: %w", r.Seq, err)
			}
			key := newKey
			if len(body) == 0 {
				key = 0
			}
			seqs, bodies, keys = append(seqs, int64(r.Seq)), append(bodies, blob(body)), append(keys, key)
		}
		if len(recs) == page {
			continue
		}
		var events []eventlog.Event
		if then != nil {
			events = then()
		}
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			return l.replace(ctx, tx, stream, after, newKey, seqs, keys, bodies, slices.Collect(maps.Keys(old)), events)
		})
		if !errors.Is(err, errRaced) { // errRaced means that the stream grew while fn ran
			return named(ctx, err)
		}
	}
}

// replace stores new bodies, appends events and notes the old keys as replaced, or returns errRaced
// when the stream has grown beyond a sequence.
func (l *Log) replace(ctx context.Context, tx pgx.Tx, stream eventlog.StreamID, head uint64, newKey int64, seqs, keys []int64, bodies [][]byte, old []int64, events []eventlog.Event) error {
	p := newPlan(nil, true, 0)
	q := &pgx.Batch{}
	if n := len(events); n > 0 {
		var at []int64
		var types []string
		var heads [][]byte
		for i := range events {
			at, types, heads = append(at, timeValue(events[i].At)), append(types, events[i].Type), append(heads, blob(events[i].Head))
		}
		q.Queue(`WITH p AS MATERIALIZED (SELECT first, xid FROM event_positions($1))
INSERT INTO events (pos, xid, stream, seq, at, key_id, type, head) SELECT first + i - 1, xid, $2, $3::bigint + i, at, 0, type, head
FROM p, unnest($4::bigint[], $5::text[], $6::bytea[]) WITH ORDINALITY e (at, type, head, i) ON CONFLICT (stream, seq) DO NOTHING`,
			int64(n), [16]byte(stream), int64(head), at, types, heads).Exec(p.expect(n))
	} else {
		q.Queue(`INSERT INTO events (pos, xid, stream, seq, at, key_id, type) SELECT first, xid, $1, $2, 0, 0, 'check' FROM event_positions(1)
ON CONFLICT (stream, seq) DO NOTHING`, [16]byte(stream), int64(head+1)).Exec(p.expect(1))
		q.Queue(`DELETE FROM events WHERE stream = $1 AND seq = $2 AND type = 'check' AND at = 0 AND xid = pg_current_xact_id()`,
			[16]byte(stream), int64(head+1)).Exec(p.expect(1))
	}
	q.Queue(`INSERT INTO replaced_keys (key_id, stream) SELECT DISTINCT k, $1::uuid FROM (
  SELECT unnest($2::bigint[]) k UNION ALL SELECT key_id FROM conversations WHERE id = $1) o WHERE k <> 0 AND k <> $3
ON CONFLICT (key_id) DO NOTHING`, [16]byte(stream), old, newKey)
	q.Queue(`UPDATE events e SET body = n.body, key_id = n.key_id FROM unnest($2::bigint[], $3::bigint[], $4::bytea[]) n (seq, key_id, body)
WHERE e.stream = $1 AND e.seq = n.seq`, [16]byte(stream), seqs, keys, bodies)
	q.Queue(`UPDATE conversations SET key_id = $2 WHERE id = $1`, [16]byte(stream), newKey)
	id := l.w.main.id
	id[15] = rewriter
	q.Queue(`INSERT INTO log_writers AS w (id, token, max_key, seen) VALUES ($1, 0, $2, now())
ON CONFLICT (id) DO UPDATE SET max_key = greatest(w.max_key, excluded.max_key), seen = excluded.seen`, id, newKey)
	if err := tx.SendBatch(ctx, q).Close(); err != nil {
		return err
	}
	if p.raced {
		return errRaced
	}
	return nil
}

// rewriter is the last byte of the id of Rewrite's row in log_writers; lanes have smaller ones.
const rewriter = 255

// ReplacedKeys implements eventlog.Log.
func (l *Log) ReplacedKeys(ctx context.Context) ([]eventlog.ReplacedKey, error) {
	out, err := list(ctx, l, func(row pgx.Row) (r eventlog.ReplacedKey, err error) {
		err = row.Scan(&r.Key, (*[16]byte)(&r.Stream))
		return r, err
	}, `SELECT key_id, stream FROM replaced_keys ORDER BY key_id`)
	if err != nil {
		return nil, fmt.Errorf("read replaced keys: %w", err)
	}
	return out, nil
}

// ForgetKeys implements eventlog.Log.
func (l *Log) ForgetKeys(ctx context.Context, keys ...int64) error {
	if l.w == nil {
		return ErrReadOnly
	}
	if err := l.readable(ctx); err != nil {
		return err
	}
	_, err := l.pool.Exec(ctx, `DELETE FROM replaced_keys WHERE key_id = ANY ($1)`, keys)
	if err != nil {
		return fmt.Errorf("forget replaced keys: %w", named(ctx, err))
	}
	return nil
}
