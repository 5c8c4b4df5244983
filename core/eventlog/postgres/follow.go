package postgres

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parley-gateway/parley/core/eventlog"
)

// selectGrown lists the streams of the events of one page after a position, with the last position of
// each, the number of its events, and settled: the last position of the stream before which no
// transaction can commit any more, since transactions take ids and positions in the same order
// (selectTail). After the database was moved to another server, ids that this server has not
// reached count as settled.
const selectGrown = `SELECT g.stream, g.seq, g.type, g.new, coalesce(c.display, ''), coalesce(c.due, 0), g.last, g.events, g.settled
FROM (SELECT stream, max(seq) AS seq, max(type) AS type, min(seq) = 1 AS new, max(pos) AS last, count(*) AS events,
    coalesce(max(pos) FILTER (WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) OR xid >= pg_snapshot_xmax(pg_current_snapshot())), 0) AS settled
  FROM (SELECT pos, xid, stream, seq, type FROM events WHERE pos > $1 ORDER BY pos LIMIT $2) e GROUP BY stream) g
LEFT JOIN conversations c ON c.id = g.stream`

// followPage is how many events, or rows of the outbox, are read at a time: after an outage of the
// database, or while a transaction keeps positions from settling, there may be very many.
const followPage = 5000

// selectEnd is the settled position from which Follow begins. The newest rows may not be settled;
// there are few of them unless a transaction was left open.
const selectEnd = `SELECT coalesce((SELECT pos FROM events
WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) OR xid >= pg_snapshot_xmax(pg_current_snapshot()) ORDER BY pos DESC LIMIT 1), 0)`

// followPause is the shortest pause between two looks. After a look that took long, since a
// transaction somewhere on the server keeps positions from settling, the pause is followShare times as
// long as the look, so that looking takes a tenth of the time; but at most followMost, since readers wait
// for it (PR8).
const (
	followPause = 50 * time.Millisecond
	followShare = 9
	followMost  = 1500 * time.Millisecond
)

// Follow implements eventlog.Shared. It looks every second, and sooner when another node notifies.
// While a transaction that was left open anywhere on the server keeps positions from settling,
// Follow reads the events after it again each time, and tells only what is new.
func (l *Log) Follow(ctx context.Context, told func([]eventlog.Head)) error {
	after, begun := int64(0), false
	known := map[eventlog.StreamID]place{}
	return l.watch(ctx, "events", func() (err error) {
		if begun {
			after, err = l.grown(ctx, after, known, told)
			return err
		}
		after, err = one(ctx, l, scalar[int64], selectEnd)
		if begun = err == nil; begun {
			told(nil)
		}
		return err
	})
}

// watch calls look until ctx ends or the log does: every second, and sooner when another node notifies.
func (l *Log) watch(ctx context.Context, what string, look func() error) error {
	l.hint.listen.Do(func() { l.done.Go(l.follow) })
	for {
		others, began := l.hint.others.wait(), time.Now()
		if err := look(); err != nil {
			select {
			case <-l.stopping:
				return eventlog.ErrClosed
			case <-l.failed:
				return l.failure()
			default:
			}
			if ctx.Err() == nil {
				l.log.Warn("cannot follow the log", "what", what, "err", err)
			}
		}
		if err := l.rest(ctx, others, pauseAfter(time.Since(began)), lookEvery); err != nil {
			return err
		}
	}
}

// pauseAfter is the pause after a look that took so long.
func pauseAfter(took time.Duration) time.Duration {
	return min(max(followPause, followShare*took), followMost)
}

// rest waits for at least the pause, and then until woken or until the time is over.
func (l *Log) rest(ctx context.Context, woken <-chan struct{}, pause, most time.Duration) error {
	t := time.NewTimer(pause)
	defer t.Stop()
	for wake := (<-chan struct{})(nil); ; wake = woken {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.stopping:
			return eventlog.ErrClosed
		case <-l.failed:
			return l.failure()
		case <-wake:
			return nil
		case <-t.C:
			if wake != nil {
				return nil
			}
			t.Reset(most - pause)
		}
	}
}

// place is how far a stream was told that has events after the settled position.
type place struct {
	seq uint64
	pos int64
}

// grown tells what has grown after a position, page by page, and returns the position to go on from.
func (l *Log) grown(ctx context.Context, after int64, known map[eventlog.StreamID]place, told func([]eventlog.Head)) (int64, error) {
	type row struct {
		eventlog.Head
		last, events, settled int64
	}
	next := after
	for full := true; full; {
		rows, err := list(ctx, l, func(from pgx.Row) (r row, err error) {
			var due int64
			var stream pgtype.UUID
			err = from.Scan(&stream, &r.Seq, &r.Type, &r.New, &r.Display, &due, &r.last, &r.events, &r.settled)
			r.Stream, r.Due = stream.Bytes, timeOf(due)
			return r, err
		}, selectGrown, after, followPage)
		if err != nil {
			return next, fmt.Errorf("streams that grew after %d: %w", after, err)
		}
		var fresh []eventlog.Head
		settled, events := next, int64(0)
		for i := range rows {
			r, before := &rows[i], known[rows[i].Stream]
			after, settled, events = max(after, r.last), max(settled, r.settled), events+r.events
			if r.Seq > before.seq {
				fresh = append(fresh, r.Head)
			}
			known[r.Stream] = place{max(r.Seq, before.seq), max(r.last, before.pos)}
		}
		if settled > next {
			next = settled
			maps.DeleteFunc(known, func(_ eventlog.StreamID, p place) bool { return p.pos <= next })
		}
		if len(fresh) > 0 {
			told(fresh)
		}
		full = events == followPage
	}
	return next, nil
}

// selectQueued lists the pending rows of a node after a number, one page of them. Rows get their
// numbers before their transactions end: oldest and next are the oldest transaction under way, and
// the one that will begin next.
const selectQueued = `SELECT n, command_id, pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint
FROM outbox, pg_current_snapshot() s WHERE state IN ('queued', 'begun') AND state <> 'settled' AND node = $1 AND n > $2 ORDER BY n LIMIT $3`

// queuedSettles is after what time rows with lower numbers are not waited for any more, although
// transactions from before are still under way. The outbox finds such rows when it reads them all.
const queuedSettles = 10 * time.Second

// FollowOutbox implements eventlog.Shared.
func (l *Log) FollowOutbox(ctx context.Context, node string, told func([][16]byte)) error {
	q, begun := queuedRows{node: node, known: map[int64]struct{}{}}, false
	return l.watch(ctx, "outbox", func() (err error) {
		if begun {
			return q.look(ctx, l, told)
		}
		q.after, err = one(ctx, l, scalar[int64], `SELECT coalesce(max(n), 0) FROM outbox`)
		if begun = err == nil; begun {
			told(nil)
		}
		return err
	})
}

// queuedRows is how far FollowOutbox has come.
type queuedRows struct {
	node  string
	after int64              // no row with a number up to this one is looked for any more
	known map[int64]struct{} // numbers above it that were told
	// Once no transaction older than next is under way, or queuedSettles after at, rows up to last are
	// looked for no more.
	last, next int64
	at         time.Time
}

// look tells the rows that are new.
func (q *queuedRows) look(ctx context.Context, l *Log, told func([][16]byte)) error {
	type row struct {
		n, oldest, next int64
		command         [16]byte
	}
	at, oldest, now := q.after, int64(0), time.Now()
	for full := true; full; {
		rows, err := list(ctx, l, func(from pgx.Row) (r row, err error) {
			err = from.Scan(&r.n, &r.command, &r.oldest, &r.next)
			return r, err
		}, selectQueued, q.node, at, followPage)
		if err != nil {
			return fmt.Errorf("rows of the outbox after %d: %w", at, err)
		}
		var fresh [][16]byte
		for i := range rows {
			if at = rows[i].n; oldest == 0 {
				oldest = rows[i].oldest
			}
			if _, ok := q.known[at]; !ok {
				fresh = append(fresh, rows[i].command)
				q.known[at] = struct{}{}
			}
		}
		if len(fresh) > 0 {
			told(fresh)
		}
		if full = len(rows) == followPage; full || len(rows) == 0 {
			continue
		}
		if q.last > q.after && (oldest >= q.next || now.Sub(q.at) > queuedSettles) {
			q.after = q.last
			maps.DeleteFunc(q.known, func(n int64, _ struct{}) bool { return n <= q.after })
		}
		if q.last <= q.after && at > q.after {
			q.last, q.next, q.at = at, rows[0].next, now
		}
	}
	return nil
}

// Overdue implements eventlog.Shared.
func (l *Log) Overdue(ctx context.Context, before, due time.Time, id eventlog.StreamID, limit int) ([]eventlog.ConversationRow, error) {
	out, err := list(ctx, l, conversationOf, `SELECT `+conversationColumns+` FROM conversations c
WHERE due <> 0 AND phase <> 'concluded' AND due < $1 AND (due, id) > ($2, $3) ORDER BY due, id LIMIT $4`,
		timeValue(before), timeValue(due), [16]byte(id), sqlLimit(limit))
	if err != nil {
		return nil, fmt.Errorf("overdue conversations: %w", err)
	}
	return out, nil
}
