package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog"
)

// maxRead bounds one statement of a reader.
const maxRead = 30 * time.Second

// query runs a statement and gives each row to scan. If the server is away, query waits for it, up
// to Options.Patience, and then starts again: reset must discard what scan has collected before.
func (l *Log) query(ctx context.Context, text string, reset func(), scan func(pgx.Rows) error, args ...any) error {
	began := time.Now()
	for try := 0; ; try++ {
		if err := l.readable(ctx); err != nil {
			return err
		}
		reset()
		err := l.queryOnce(ctx, text, scan, args)
		if err == nil || errors.Is(err, eventlog.ErrNotFound) {
			return err
		}
		switch kind := classify(err); {
		case ctx.Err() != nil:
			return ctx.Err()
		case l.readable(ctx) != nil:
			return l.readable(ctx)
		case kind == troubleCorrupt && l.w != nil:
			return l.fail(fmt.Errorf("%w: %w", eventlog.ErrCorrupt, plain(err)))
		case kind != troubleLost || time.Since(began) > l.o.Patience/2:
			return named(ctx, err)
		}
		t := time.NewTimer(min(20*time.Millisecond<<min(try, 5), time.Second))
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-l.stopping:
		}
		t.Stop()
	}
}

func (l *Log) readable(ctx context.Context) error {
	select {
	case <-l.stopping:
		return eventlog.ErrClosed
	default:
		return ctx.Err()
	}
}

// queryOnce waits for a connection of the pool for Options.Patience at most, so that a pool in
// which every connection is busy delays no caller for ever (FT16).
func (l *Log) queryOnce(ctx context.Context, text string, scan func(pgx.Rows) error, args []any) error {
	wait, cancel := context.WithTimeout(ctx, l.o.Patience)
	conn, err := l.pool.Acquire(wait)
	cancel()
	if err != nil {
		return err
	}
	defer conn.Release()
	ctx, cancel = context.WithTimeout(ctx, maxRead)
	defer cancel()
	rows, err := conn.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// list collects the rows of a statement.
func list[R any](ctx context.Context, l *Log, of func(pgx.Row) (R, error), text string, args ...any) (out []R, err error) {
	err = l.query(ctx, text, func() { out = nil }, func(rows pgx.Rows) error {
		r, err := of(rows)
		out = append(out, r)
		return err
	}, args...)
	return out, err
}

// one returns a single row, or ErrNotFound.
func one[R any](ctx context.Context, l *Log, of func(pgx.Row) (R, error), text string, args ...any) (r R, err error) {
	rows, err := list(ctx, l, of, text, args...)
	switch {
	case err != nil:
		return r, err
	case len(rows) == 0:
		return r, eventlog.ErrNotFound
	}
	return rows[0], nil
}

// scalar reads a row of one column.
func scalar[R any](row pgx.Row) (r R, err error) {
	err = row.Scan(&r)
	return r, err
}

const recordColumns = `pos, stream, seq, at, type, head, body, key_id`

// recordOf reads the recordColumns and the columns after them.
func recordOf(row pgx.Row, more ...any) (r eventlog.Record, err error) {
	var at int64
	err = row.Scan(append([]any{&r.Pos, (*[16]byte)(&r.Stream), &r.Seq, &at, &r.Type, &r.Head, &r.Body, &r.KeyID}, more...)...)
	r.At = timeOf(at)
	return r, err
}

const selectStream = `SELECT ` + recordColumns + ` FROM events WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3`

// Read implements eventlog.Log. A hole in the sequence is ErrCorrupt.
func (l *Log) Read(ctx context.Context, stream eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error) {
	after = min(after, math.MaxInt64)
	out, err := list(ctx, l, func(row pgx.Row) (eventlog.Record, error) { return recordOf(row) },
		selectStream, [16]byte(stream), int64(after), sqlLimit(limit))
	if err == nil {
		err = whole(out, after)
	}
	if err != nil {
		return nil, fmt.Errorf("read stream %x after %d: %w", stream, after, err)
	}
	return out, nil
}

func whole(recs []eventlog.Record, after uint64) error {
	for i := range recs {
		if recs[i].Seq != after+uint64(i)+1 {
			return fmt.Errorf("%w: a sequence number is missing", eventlog.ErrCorrupt)
		}
	}
	return nil
}

// selectTail marks the rows at which a reader must stop: a transaction that is under way could
// still commit a smaller position. Transactions take ids and positions in the same order, so no
// smaller position can come before the first such row. After the database was moved to another
// server, older rows have ids that this server has not reached; such rows are not marked.
const selectTail = `SELECT ` + recordColumns + `, xid >= pg_snapshot_xmin(pg_current_snapshot()) AND xid < pg_snapshot_xmax(pg_current_snapshot())
FROM events WHERE pos > $1 ORDER BY pos LIMIT $2`

// Tail implements eventlog.Log.
func (l *Log) Tail(ctx context.Context, after int64, limit int) ([]eventlog.Record, error) {
	var out []eventlog.Record
	stop := false
	err := l.query(ctx, selectTail, func() { out, stop = nil, false }, func(rows pgx.Rows) error {
		var early bool
		r, err := recordOf(rows, &early)
		if stop = stop || early; !stop {
			out = append(out, r)
		}
		return err
	}, after, sqlLimit(limit))
	if err != nil {
		return nil, fmt.Errorf("tail after %d: %w", after, err)
	}
	return out, nil
}

// Position implements eventlog.Log.
func (l *Log) Position(ctx context.Context) (int64, error) {
	pos, err := one(ctx, l, scalar[int64], `SELECT coalesce(max(pos), 0) FROM events`)
	if err != nil {
		return 0, fmt.Errorf("last position: %w", err)
	}
	return pos, nil
}

// Agents implements eventlog.Log.
func (l *Log) Agents(ctx context.Context) ([]eventlog.AgentRow, error) {
	out, err := list(ctx, l, func(row pgx.Row) (r eventlog.AgentRow, err error) {
		err = row.Scan((*[16]byte)(&r.ID), &r.Seq, &r.State)
		return r, err
	}, `SELECT id, seq, state FROM agents ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return out, nil
}

// Agent implements eventlog.Log.
func (l *Log) Agent(ctx context.Context, id eventlog.StreamID) (eventlog.AgentRow, error) {
	r, err := one(ctx, l, func(row pgx.Row) (r eventlog.AgentRow, err error) {
		err = row.Scan((*[16]byte)(&r.ID), &r.Seq, &r.State)
		return r, err
	}, `SELECT id, seq, state FROM agents WHERE id = $1`, [16]byte(id))
	if err != nil {
		return r, fmt.Errorf("agent %x: %w", id, err)
	}
	return r, nil
}

// Thread implements eventlog.Log.
func (l *Log) Thread(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error) {
	c, err := one(ctx, l, scalar[[16]byte], `SELECT conversation FROM open_threads WHERE account = $1 AND key = $2`, [16]byte(account), key[:])
	if err != nil {
		return eventlog.StreamID{}, fmt.Errorf("thread of account %x: %w", account, err)
	}
	return c, nil
}

// External implements eventlog.Log.
func (l *Log) External(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (stream eventlog.StreamID, seq uint64, err error) {
	x, err := one(ctx, l, func(row pgx.Row) (e boundEvent, err error) {
		err = row.Scan((*[16]byte)(&e.stream), &e.seq)
		return e, err
	}, `SELECT stream, seq FROM external_ids WHERE account = $1 AND key = $2`, [16]byte(account), key[:])
	if err != nil {
		return stream, 0, fmt.Errorf("external id of account %x: %w", account, err)
	}
	return x.stream, x.seq, nil
}

// Outbox implements eventlog.Log.
func (l *Log) Outbox(ctx context.Context, account eventlog.StreamID, unknown bool, limit int) ([]eventlog.OutboxRow, error) {
	text := `SELECT ` + outboxColumns + ` FROM outbox WHERE state <> 'settled' AND (state <> 'unknown' OR $1)`
	args := []any{unknown, sqlLimit(limit)}
	if account != (eventlog.StreamID{}) {
		text += ` AND account = $3`
		args = append(args, [16]byte(account))
	}
	out, err := list(ctx, l, outboxOf, text+` ORDER BY n LIMIT $2`, args...)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return out, nil
}

// OutboxRow implements eventlog.Log.
func (l *Log) OutboxRow(ctx context.Context, command [16]byte) (eventlog.OutboxRow, error) {
	r, err := one(ctx, l, outboxOf, `SELECT `+outboxColumns+` FROM outbox WHERE command_id = $1`, command)
	if err != nil {
		return r, fmt.Errorf("outbox command %x: %w", command, err)
	}
	return r, nil
}

// EarlyReceipts implements eventlog.Log.
func (l *Log) EarlyReceipts(ctx context.Context, account eventlog.StreamID, key eventlog.Key) ([]eventlog.EarlyReceipt, error) {
	out, err := list(ctx, l, func(row pgx.Row) (eventlog.EarlyReceipt, error) {
		e := eventlog.EarlyReceipt{Account: account, Key: key}
		var at int64
		err := row.Scan(&e.Status, &at, &e.Body, &e.KeyID)
		e.At = timeOf(at)
		return e, err
	}, `SELECT status, at, body, key_id FROM early_receipts WHERE account = $1 AND key = $2 ORDER BY at, status`, [16]byte(account), key[:])
	if err != nil {
		return nil, fmt.Errorf("early receipts of account %x: %w", account, err)
	}
	return out, nil
}

// MaxKeyID implements eventlog.Log.
func (l *Log) MaxKeyID(ctx context.Context) (int64, error) {
	id, err := one(ctx, l, scalar[int64], `SELECT coalesce(max(max_key), 0) FROM log_writers`)
	if err != nil {
		return 0, fmt.Errorf("largest key id: %w", err)
	}
	return id, nil
}

// Conversation implements eventlog.Log.
func (l *Log) Conversation(ctx context.Context, id eventlog.StreamID) (eventlog.ConversationRow, error) {
	r, err := one(ctx, l, conversationOf, `SELECT `+conversationColumns+` FROM conversations c WHERE id = $1`, [16]byte(id))
	if err != nil {
		return r, fmt.Errorf("conversation %x: %w", id, err)
	}
	return r, nil
}

// Conversations implements eventlog.Log.
func (l *Log) Conversations(ctx context.Context, q eventlog.ConversationQuery) ([]eventlog.ConversationRow, error) {
	text, args := conversationQuery(q)
	out, err := list(ctx, l, conversationOf, text, args...)
	if err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	return out, nil
}

// conversationQuery writes the SELECT for q. If q.Before is unknown, the result is the first page.
func conversationQuery(q eventlog.ConversationQuery) (text string, args []any) {
	none := eventlog.StreamID{}
	from, order := "conversations c", "c.started_at DESC, c.id DESC"
	var where []string
	and := func(cond string, a any) {
		args = append(args, a)
		where = append(where, strings.ReplaceAll(cond, "?", "$"+strconv.Itoa(len(args))))
	}
	if q.Agent != none {
		from = "conversation_agents a JOIN conversations c ON c.id = a.conversation"
		order = "a.started_at DESC, a.conversation DESC"
		and("a.agent = ?", [16]byte(q.Agent))
		if q.Active {
			where = append(where, "a.active")
		}
	}
	if len(q.Phases) > 0 {
		and("c.phase = ANY (?)", q.Phases)
	}
	for _, f := range []struct {
		column string
		id     eventlog.StreamID
	}{{"account", q.Account}, {"service", q.Service}, {"contact", q.Contact}} {
		if f.id != none {
			and("c."+f.column+" = ?", [16]byte(f.id))
		}
	}
	if q.Before != none {
		and("(c.started_at, c.id) < (coalesce((SELECT started_at FROM conversations WHERE id = ?), 9223372036854775807), ?)", [16]byte(q.Before))
	}
	text = "SELECT " + conversationColumns + " FROM " + from
	if len(where) > 0 {
		text += " WHERE " + strings.Join(where, " AND ")
	}
	text += " ORDER BY " + order
	if q.Limit > 0 {
		text += " LIMIT " + strconv.Itoa(q.Limit)
	}
	return text, args
}

// sqlLimit is nil for "all", which becomes LIMIT NULL.
func sqlLimit(n int) *int64 {
	if n <= 0 {
		return nil
	}
	v := int64(n)
	return &v
}
