package postgres

import (
	"context"
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
// has masked. The functions of rw run outside any transaction. The transaction locks rows in the order
// in which appends do, and then inserts an event at the stream's next sequence (and deletes it if there
// is none to append), so that nothing can be appended that rw has not seen.
func (l *Log) Rewrite(ctx context.Context, stream eventlog.StreamID, rw eventlog.Rewriting) (err error) {
	select {
	case l.rewriting <- struct{}{}:
		defer func() { <-l.rewriting }()
	case <-ctx.Done():
		return fmt.Errorf("rewrite stream %x: %w", stream, ctx.Err())
	}
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
	if err := l.rewrite(ctx, conn, stream, &rw); err != nil {
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

// change is what a rewriting is to write.
type change struct {
	head       uint64 // the stream's last event that has been read
	seqs, keys []int64
	bodies     [][]byte
	payloads   map[[16]byte][]byte
	old        map[int64]bool // the keys of the old bodies
	events     []eventlog.Event
}

func (l *Log) rewrite(ctx context.Context, conn *pgxpool.Conn, stream eventlog.StreamID, rw *eventlog.Rewriting) error {
	const page = 1000
	c := change{payloads: map[[16]byte][]byte{}, old: map[int64]bool{}}
	for races := 0; ; {
		rows, err := conn.Query(ctx, selectStream, [16]byte(stream), int64(c.head), int64(page))
		if err != nil {
			return named(ctx, err)
		}
		recs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (eventlog.Record, error) { return recordOf(row) })
		if err != nil {
			return named(ctx, err)
		}
		for _, r := range recs {
			c.head = r.Seq
			if r.Body == nil {
				continue
			}
			c.old[r.KeyID] = true
			body, err := rw.Body(r)
			if err != nil {
				return fmt.Errorf("seq %d: %w", r.Seq, err)
			}
			key := rw.Key
			if len(body) == 0 {
				key = 0
			}
			c.seqs, c.bodies, c.keys = append(c.seqs, int64(r.Seq)), append(c.bodies, blob(body)), append(c.keys, key)
		}
		if len(recs) == page {
			continue
		}
		if rw.Payload != nil {
			rows, err := conn.Query(ctx, `SELECT `+outboxColumns+` FROM outbox WHERE `+hasPayload+` ORDER BY n`, [16]byte(stream))
			if err != nil {
				return named(ctx, err)
			}
			found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (eventlog.OutboxRow, error) { return outboxOf(row) })
			if err != nil {
				return named(ctx, err)
			}
			if err := rw.Payloads(stream, found, c.payloads); err != nil {
				return err
			}
		}
		if rw.Events != nil {
			c.events = rw.Events()
		}
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return l.replace(ctx, tx, stream, rw, &c) })
		if races++; classify(err) != troubleRaced || races == maxRaces { // raced: it grew meanwhile, or the server ended a deadlock
			return named(ctx, err)
		}
	}
}

// hasPayload are the rows whose payloads a rewriting of stream $1 seals anew.
const hasPayload = `state <> 'settled' AND conversation = $1 AND payload IS NOT NULL`

// replace stores new bodies and payloads, appends events and notes the old keys as replaced, or returns
// errRaced when there are events or payloads that have not been read.
func (l *Log) replace(ctx context.Context, tx pgx.Tx, stream eventlog.StreamID, rw *eventlog.Rewriting, c *change) error {
	p := newPlan(nil, true, 0)
	q := &pgx.Batch{}
	// Appends lock rows first, then the stream's next place. In another order each of two transactions
	// could wait for the other.
	q.Queue(`SELECT 1 FROM conversations WHERE id = $1 FOR UPDATE`, [16]byte(stream))
	ids, payloads, seen := [][16]byte{}, [][]byte{}, [][16]byte{}
	if rw.Payload != nil {
		q.Queue(`SELECT 1 FROM outbox WHERE `+hasPayload+` ORDER BY command_id FOR UPDATE`, [16]byte(stream))
		for id, payload := range c.payloads {
			if seen = append(seen, id); payload != nil {
				ids, payloads = append(ids, id), append(payloads, payload)
			}
		}
	}
	if n := len(c.events); n > 0 {
		var at []int64
		var types []string
		var heads [][]byte
		for i := range c.events {
			e := &c.events[i]
			at, types, heads = append(at, timeValue(e.At)), append(types, e.Type), append(heads, blob(e.Head))
		}
		q.Queue(`WITH p AS MATERIALIZED (SELECT first, xid FROM event_positions($1))
INSERT INTO events (pos, xid, stream, seq, at, key_id, type, head) SELECT first + i - 1, xid, $2, $3::bigint + i, at, 0, type, head
FROM p, unnest($4::bigint[], $5::text[], $6::bytea[]) WITH ORDINALITY e (at, type, head, i) ON CONFLICT (stream, seq) DO NOTHING`,
			int64(n), [16]byte(stream), int64(c.head), at, types, heads).Exec(p.expect(n))
	} else {
		q.Queue(`INSERT INTO events (pos, xid, stream, seq, at, key_id, type) SELECT first, xid, $1, $2, 0, 0, 'check' FROM event_positions(1)
ON CONFLICT (stream, seq) DO NOTHING`, [16]byte(stream), int64(c.head+1)).Exec(p.expect(1))
		q.Queue(`DELETE FROM events WHERE stream = $1 AND seq = $2 AND type = 'check' AND at = 0 AND xid = pg_current_xact_id()`,
			[16]byte(stream), int64(c.head+1)).Exec(p.expect(1))
	}
	if rw.Payload != nil { // rows that were committed before the place of the event was taken
		q.Queue(`SELECT 1 FROM outbox WHERE `+hasPayload+` AND key_id <> $2 AND command_id <> ALL ($3::uuid[])`, [16]byte(stream), rw.Key, seen).
			Exec(p.expect(0))
	}
	q.Queue(`INSERT INTO replaced_keys (key_id, stream) SELECT DISTINCT k, $1::uuid FROM (
  SELECT unnest($2::bigint[]) k UNION ALL SELECT key_id FROM conversations WHERE id = $1
  UNION ALL SELECT key_id FROM outbox WHERE command_id = ANY ($4::uuid[])) o WHERE k <> 0 AND k <> $3
ON CONFLICT (key_id) DO NOTHING`, [16]byte(stream), slices.Collect(maps.Keys(c.old)), rw.Key, ids)
	q.Queue(`UPDATE events e SET body = n.body, key_id = n.key_id FROM unnest($2::bigint[], $3::bigint[], $4::bytea[]) n (seq, key_id, body)
WHERE e.stream = $1 AND e.seq = n.seq`, [16]byte(stream), c.seqs, c.keys, c.bodies)
	q.Queue(`UPDATE conversations SET key_id = $2 WHERE id = $1`, [16]byte(stream), rw.Key)
	q.Queue(`UPDATE outbox o SET payload = n.sealed, key_id = $2 FROM unnest($3::uuid[], $4::bytea[]) n (id, sealed)
WHERE o.command_id = n.id AND `+hasPayload, [16]byte(stream), rw.Key, ids, payloads)
	id := l.w.main.id
	id[15] = rewriter
	q.Queue(`INSERT INTO log_writers AS w (id, token, max_key, seen) VALUES ($1, 0, $2, now())
ON CONFLICT (id) DO UPDATE SET max_key = greatest(w.max_key, excluded.max_key), seen = excluded.seen`, id, rw.Key)
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
