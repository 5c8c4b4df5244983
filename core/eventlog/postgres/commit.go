package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog"
)

// maxRaces bounds how often a transaction is repeated because other writers were first. Each time
// at least one of those writers has made progress.
const maxRaces = 20

// write writes the batch in one transaction. After a nil error every append that has no error of
// its own is durable. After an error nothing is durable, except that eventlog.ErrUnavailable means
// that the outcome is not known.
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
			_ = ln.rollback(ctx) // nothing was written
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
		// Not committed, and never will be, so the loop repeats the transaction.
	}
	return p, 0, fmt.Errorf("%w: other writers were first %d times", eventlog.ErrUnavailable, maxRaces)
}

// prepare runs the transaction up to its COMMIT. Unless careful is set it assumes what is probably
// true, and the unique keys show when it is not. If nothing must be read first, as with plain
// messages, this takes one round trip. COMMIT takes another one: if its answer is lost, the row of
// log_writers tells the outcome, so this row must be locked before COMMIT is sent.
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

// settle turns the positions in the results, counted within the transaction, into those of the log.
func settle(batch []*request, p *plan) {
	for _, r := range batch {
		for i := range r.result.Streams {
			r.result.Streams[i].FirstPos += p.firstPos - 1
		}
	}
}

// undo rolls back a failed transaction, or drops the connection if that is not possible.
func (ln *lane) undo(ctx context.Context, err error) {
	if classify(err) != troubleRaced && classify(err) != troubleLocked && classify(err) != troubleOne {
		ln.drop()
		return
	}
	clear(ln.heads)
	_ = ln.rollback(ctx) // a connection that fails here is dropped
}

func (ln *lane) rollback(ctx context.Context) error {
	if ln.conn == nil || ln.conn.PgConn().TxStatus() == 'I' { // no transaction has begun
		return nil
	}
	_, err := ln.conn.Exec(ctx, "ROLLBACK")
	if err != nil {
		ln.drop()
	}
	return err
}

// commit waits for the server's answer for as long as Options.Patience, counted from now.
func (ln *lane) commit() error {
	ctx, cancel := context.WithTimeout(context.Background(), ln.w.l.o.Patience) // Close waits for it
	defer cancel()
	_, err := ln.conn.Exec(ctx, "COMMIT")
	return err
}

// lookUp finds out on a new connection whether a COMMIT was done whose answer was lost (FT15). It
// changes the lane's own row of log_writers. That waits for a transaction that is still ending, and
// its own commit proves that everything before it is durable, on a synchronous standby too.
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
	if errors.Is(err, pgx.ErrNoRows) { // not even the lane's first transaction was committed
		return false, nil
	}
	return token == ln.token, err
}

// forgetWriters removes the rows of writers unseen for 30 days, and keeps the largest key id that
// any of them used.
func (w *writer) forgetWriters(ctx context.Context) error {
	_, err := w.l.pool.Exec(ctx, `WITH old AS (DELETE FROM log_writers WHERE seen < now() - interval '30 days' AND id <> $1 RETURNING max_key)
INSERT INTO log_writers AS w (id, token, max_key, seen) SELECT $1, 0, max(max_key), 'infinity' FROM old HAVING count(*) > 0
ON CONFLICT (id) DO UPDATE SET max_key = greatest(w.max_key, excluded.max_key)`, [16]byte{})
	return named(ctx, err)
}
