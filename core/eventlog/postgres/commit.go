package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog"
)

// maxRaces bounds how often a transaction is done again because others were
// first. Each time at least one of them got on.
const maxRaces = 20

// write does batch in one transaction. A nil error means that whatever has no
// error of its own is durable. Otherwise nothing is, or the error is
// eventlog.ErrUnavailable and it is not known.
func (ln *lane) write(batch []*request) (p *plan, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ln.w.l.background, ln.w.l.o.Patience)
	defer cancel()
	for race := range maxRaces {
		if p, err = ln.prepare(ctx, batch, race > 0); err != nil {
			ln.undo(ctx, err)
			if classify(err) == troubleRaced {
				continue
			}
			return p, 0, err
		}
		if p.empty() {
			_ = ln.rollback(ctx) // nothing to undo
			return p, 0, nil
		}
		began := time.Now()
		if err = ln.commit(); err == nil {
			ln.learn(p)
			settle(batch, p)
			return p, time.Since(began), nil
		}
		ln.drop()
		if !inDoubt(err) {
			if classify(err) == troubleRaced {
				continue
			}
			return p, 0, err
		}
		committed, err := ln.lookUp(err)
		switch {
		case err != nil:
			return p, 0, err
		case committed:
			settle(batch, p)
			return p, time.Since(began), nil
		}
		// Not committed, and never will be: as if it had not been tried.
	}
	return p, 0, fmt.Errorf("%w: other writers were first %d times", eventlog.ErrUnavailable, maxRaces)
}

// prepare runs the transaction up to its COMMIT. Without careful it takes what
// is probably so for granted, and the unique keys tell when it is not. When
// nothing is left to be read, as with plain messages, it is one round trip.
// COMMIT is another, though: a lost answer is looked up by the row of
// log_writers, which has to be locked before COMMIT is on its way.
func (ln *lane) prepare(ctx context.Context, batch []*request, careful bool) (*plan, error) {
	if err := ln.connect(ctx, ctx); err != nil {
		return nil, err
	}
	p := newPlan(ln.heads, careful, len(batch))
	for _, r := range batch {
		p.ask(r.batch)
	}
	q := &pgx.Batch{}
	q.Queue("BEGIN")
	p.queueReads(q)
	if p.reads.any() {
		if err := ln.conn.SendBatch(ctx, q).Close(); err != nil {
			return p, err
		}
		q = &pgx.Batch{}
	}
	for _, r := range batch {
		r.result, r.err = p.add(r.batch)
	}
	if p.stale {
		return p, errRaced
	}
	if p.empty() {
		return p, nil
	}
	ln.token++
	p.queueWrites(q)
	q.Queue(`INSERT INTO log_writers AS w (id, token, max_key, seen) VALUES ($1, $2, $3, now())
ON CONFLICT (id) DO UPDATE SET token = excluded.token, max_key = greatest(w.max_key, excluded.max_key), seen = excluded.seen`,
		ln.id, ln.token, p.maxKey)
	if err := ln.conn.SendBatch(ctx, q).Close(); err != nil {
		return p, err
	}
	if p.raced {
		return p, errRaced
	}
	return p, nil
}

// settle makes the positions in the answers those of the log.
func settle(batch []*request, p *plan) {
	for _, r := range batch {
		for i := range r.result.Streams {
			r.result.Streams[i].FirstPos += p.firstPos - 1
		}
	}
}

// undo ends a transaction that failed, or the connection with it.
func (ln *lane) undo(ctx context.Context, err error) {
	if classify(err) != troubleRaced && classify(err) != troubleLocked && classify(err) != troubleOne {
		ln.drop()
		return
	}
	clear(ln.heads)
	_ = ln.rollback(ctx) // a connection that fails here is dropped
}

func (ln *lane) rollback(ctx context.Context) error {
	if ln.conn == nil || ln.conn.PgConn().TxStatus() == 'I' { // not begun
		return nil
	}
	_, err := ln.conn.Exec(ctx, "ROLLBACK")
	if err != nil {
		ln.drop()
	}
	return err
}

// commit waits for the server's answer as long as patience lasts, from now.
func (ln *lane) commit() error {
	ctx, cancel := context.WithTimeout(context.Background(), ln.w.l.o.Patience) // Close waits for it
	defer cancel()
	_, err := ln.conn.Exec(ctx, "COMMIT")
	return err
}

// lookUp finds on a new connection what became of a COMMIT whose answer was
// lost (FT15). Changing the lane's own row waits for a transaction that is
// still ending, and its own commit proves that everything before it is
// durable, on a synchronous standby too.
func (ln *lane) lookUp(cause error) (committed bool, err error) {
	l := ln.w.l
	l.log.Warn("answer to a commit was lost; looking it up", "err", plain(cause))
	ctx, cancel := context.WithTimeout(context.Background(), l.o.Patience) // Close waits for it
	defer cancel()
	for {
		committed, err = ln.askToken(ctx)
		if err == nil {
			l.log.Info("found out about a commit", "committed", committed)
			return committed, nil
		}
		ln.drop()
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("%w: outcome of a commit is not known: %w", eventlog.ErrUnavailable, plain(cause))
		default:
			ln.fails = max(ln.fails, 1)
			ln.pause(l)
		}
	}
}

func (ln *lane) askToken(ctx context.Context) (bool, error) {
	if err := ln.connect(ctx, ctx); err != nil {
		return false, err
	}
	var token int64
	err := ln.conn.QueryRow(ctx, `UPDATE log_writers SET seen = now() WHERE id = $1 RETURNING token`, ln.id).Scan(&token)
	if errors.Is(err, pgx.ErrNoRows) { // not even the first one
		return false, nil
	}
	return token == ln.token, err
}

// forgetWriters removes the rows of writers long gone, keeping the largest key
// id that any of them used.
func (w *writer) forgetWriters(ctx context.Context) error {
	_, err := w.l.pool.Exec(ctx, `WITH old AS (DELETE FROM log_writers WHERE seen < now() - interval '30 days' AND id <> $1 RETURNING max_key)
INSERT INTO log_writers AS w (id, token, max_key, seen) SELECT $1, 0, max(max_key), 'infinity' FROM old HAVING count(*) > 0
ON CONFLICT (id) DO UPDATE SET max_key = greatest(w.max_key, excluded.max_key)`, [16]byte{})
	return named(ctx, err)
}
