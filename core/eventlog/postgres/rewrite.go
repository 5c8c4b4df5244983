package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Rewrite implements eventlog.Log. An advisory lock, held by the connection, stops other nodes from
// rewriting the same stream meanwhile: of two rewrites at once, one could put back what the other
// has masked. fn runs outside any transaction. The transaction then inserts an event at the
// stream's next sequence and deletes it, so that no event can be appended that fn has not seen.
func (l *Log) Rewrite(ctx context.Context, stream eventlog.StreamID, newKey int64, fn func(eventlog.Record) ([]byte, error)) (err error) {
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
	if err := l.rewrite(ctx, conn, stream, newKey, fn); err != nil {
		return fmt.Errorf("rewrite stream %x: %w", stream, err)
	}
	return nil
}

// The second argument keeps Rewrite's locks apart from those of event_positions.
const (
	lockStream   = `SELECT pg_advisory_lock(hashtextextended('rewrite ' || $1::uuid::text, 2))`
	unlockStream = `SELECT pg_advisory_unlock(hashtextextended('rewrite ' || $1::uuid::text, 2))`
)

func (l *Log) rewrite(ctx context.Context, conn *pgxpool.Conn, stream eventlog.StreamID, newKey int64, fn func(eventlog.Record) ([]byte, error)) error {
	const page = 1000
	var seqs, keys []int64
	var bodies [][]byte
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
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return l.replace(ctx, tx, stream, after, newKey, seqs, keys, bodies) })
		if !errors.Is(err, errRaced) { // errRaced means that the stream grew while fn ran
			return named(ctx, err)
		}
	}
}

// replace stores new bodies, or returns errRaced when the stream has grown
// beyond a sequence.
func (l *Log) replace(ctx context.Context, tx pgx.Tx, stream eventlog.StreamID, head uint64, newKey int64, seqs, keys []int64, bodies [][]byte) error {
	p := newPlan(nil, true, 0)
	q := &pgx.Batch{}
	q.Queue(`INSERT INTO events (pos, xid, stream, seq, at, key_id, type) SELECT first, xid, $1, $2, 0, 0, 'check' FROM event_positions(1)
ON CONFLICT (stream, seq) DO NOTHING`, [16]byte(stream), int64(head+1)).Exec(p.expect(1))
	q.Queue(`DELETE FROM events WHERE stream = $1 AND seq = $2 AND type = 'check' AND at = 0 AND xid = pg_current_xact_id()`,
		[16]byte(stream), int64(head+1)).Exec(p.expect(1))
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
