package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parley-gateway/parley/core/eventlog"
)

// selectGrown lists the streams with events after a position. settled is the last position before
// which no transaction can commit any more: transactions take ids and positions in the same order
// (selectTail). After the database was moved to another server, ids that this server has not
// reached count as settled.
const selectGrown = `SELECT g.stream, g.seq, g.type, g.new, coalesce(c.display, ''), coalesce(c.due, 0), g.settled
FROM (SELECT stream, max(seq) AS seq, max(type) AS type, min(seq) = 1 AS new,
    coalesce(max(pos) FILTER (WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) OR xid >= pg_snapshot_xmax(pg_current_snapshot())), 0) AS settled
  FROM events WHERE pos > $1 GROUP BY stream) g LEFT JOIN conversations c ON c.id = g.stream`

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
	l.hint.listen.Do(func() { l.done.Go(l.follow) })
	after, begun := int64(0), false
	known := map[eventlog.StreamID]uint64{} // what was told of streams with events after the position
	for {
		others, began := l.hint.others.wait(), time.Now()
		var err error
		if !begun {
			after, err = one(ctx, l, scalar[int64], selectEnd)
			if begun = err == nil; begun {
				told(nil)
			}
		} else {
			after, err = l.grown(ctx, after, known, told)
		}
		if err != nil {
			select {
			case <-l.stopping:
				return eventlog.ErrClosed
			case <-l.failed:
				return l.failure()
			default:
			}
			if ctx.Err() == nil {
				l.log.Warn("cannot follow the log", "err", err)
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

// grown tells what has grown after a position, and returns the position to go on from.
func (l *Log) grown(ctx context.Context, after int64, known map[eventlog.StreamID]uint64, told func([]eventlog.Head)) (int64, error) {
	type row struct {
		eventlog.Head
		settled int64
	}
	rows, err := list(ctx, l, func(from pgx.Row) (r row, err error) {
		var due int64
		var stream pgtype.UUID
		err = from.Scan(&stream, &r.Seq, &r.Type, &r.New, &r.Display, &due, &r.settled)
		r.Stream, r.Due = stream.Bytes, timeOf(due)
		return r, err
	}, selectGrown, after)
	if err != nil {
		return after, fmt.Errorf("streams that grew after %d: %w", after, err)
	}
	var fresh []eventlog.Head
	next := after
	for i := range rows {
		if next = max(next, rows[i].settled); rows[i].Seq > known[rows[i].Stream] {
			fresh = append(fresh, rows[i].Head)
		}
	}
	if next > after {
		clear(known)
	}
	for i := range rows {
		known[rows[i].Stream] = rows[i].Seq
	}
	if len(fresh) > 0 {
		told(fresh)
	}
	return next, nil
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
