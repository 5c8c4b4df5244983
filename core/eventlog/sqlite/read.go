package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// maxRead bounds one read: a reader that lasts keeps the write-ahead log from
// being emptied (promises.md 4.12).
const maxRead = 30 * time.Second

// noLimit is SQLite's LIMIT for "all".
const noLimit = -1

// reads are the prepared statements of the readers.
type reads struct {
	stream, tail, position, agents, thread, external, outbox, outboxOf, command, maxKey, conversation *sql.Stmt
}

const eventColumns = `pos, stream, seq, at, type, head, body, key_id, sum`

func (r *reads) prepare(ctx context.Context, db *sql.DB) error {
	const unsettled = `SELECT ` + outboxColumns + ` FROM outbox INDEXED BY outbox_unsettled
WHERE state <> 'settled' AND (state <> 'unknown' OR ?)`
	for _, p := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&r.stream, `SELECT ` + eventColumns + ` FROM events WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?`},
		{&r.tail, `SELECT ` + eventColumns + ` FROM events WHERE pos > ? ORDER BY pos LIMIT ?`},
		{&r.position, `SELECT coalesce(max(pos), 0) FROM events`},
		{&r.agents, `SELECT id, seq, state, sum FROM agents ORDER BY id`},
		{&r.thread, `SELECT conversation FROM open_threads WHERE account = ? AND key = ?`},
		{&r.external, `SELECT stream, seq FROM external_ids WHERE account = ? AND key = ?`},
		{&r.outbox, unsettled + ` ORDER BY n LIMIT ?`},
		{&r.outboxOf, unsettled + ` AND account = ? ORDER BY n LIMIT ?`},
		{&r.command, `SELECT ` + outboxColumns + ` FROM outbox WHERE command_id = ?`},
		{&r.maxKey, `SELECT value FROM log_meta WHERE name = 'max_key'`},
		{&r.conversation, `SELECT ` + conversationColumns + ` FROM conversations c WHERE id = ?`},
	} {
		s, err := db.PrepareContext(ctx, p.text)
		if err != nil {
			return fmt.Errorf("prepare %.40q: %w", p.text, err)
		}
		*p.to = s
	}
	return nil
}

func (r *reads) close() error {
	var errs []error
	for _, s := range []*sql.Stmt{r.stream, r.tail, r.position, r.agents, r.thread, r.external, r.outbox, r.outboxOf, r.command, r.maxKey, r.conversation} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// query runs a statement and gives each row to scan. The transaction ends
// with the call, however slow the caller is with what it got.
func (l *Log) query(ctx context.Context, s *sql.Stmt, scan func(*sql.Rows) error, args ...any) error {
	select {
	case <-l.stopping:
		return eventlog.ErrClosed
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, maxRead)
	defer cancel()
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return l.readFailure(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return l.readFailure(rows.Err())
}

// readFailure names what went wrong. Damage seen by a reader is damage for
// all: the log must not go on writing into it.
func (l *Log) readFailure(err error) error {
	if err == nil {
		return nil
	}
	if isCorrupt(err) && l.w != nil {
		return l.fail(err)
	}
	return named(err)
}

// Read implements eventlog.Log. A hole in the sequence is ErrCorrupt.
func (l *Log) Read(ctx context.Context, stream eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error) {
	after = min(after, 1<<62)
	next := after
	var out []eventlog.Record
	err := l.query(ctx, l.reads.stream, func(rows *sql.Rows) error {
		r, err := scanEvent(rows)
		if err != nil {
			return err
		}
		if next++; r.Seq != next {
			return fmt.Errorf("%w: seq %d is missing", eventlog.ErrCorrupt, next)
		}
		out = append(out, r)
		return nil
	}, stream[:], int64(after), sqlLimit(limit)) //nolint:gosec // bounded above
	if err != nil {
		return nil, fmt.Errorf("read stream %x after %d: %w", stream, after, err)
	}
	return out, nil
}

// Tail implements eventlog.Log. There is one writer, so positions become
// visible in their order and nothing can commit below what is seen.
func (l *Log) Tail(ctx context.Context, after int64, limit int) ([]eventlog.Record, error) {
	var out []eventlog.Record
	err := l.query(ctx, l.reads.tail, func(rows *sql.Rows) error {
		r, err := scanEvent(rows)
		out = append(out, r)
		return err
	}, after, sqlLimit(limit))
	if err != nil {
		return nil, fmt.Errorf("tail after %d: %w", after, err)
	}
	return out, nil
}

func scanEvent(rows *sql.Rows) (eventlog.Record, error) {
	var r eventlog.Record
	var stream sql.RawBytes
	var at, seq, sum int64
	if err := rows.Scan(&r.Pos, &stream, &seq, &at, &r.Type, &r.Head, &r.Body, &r.KeyID, &sum); err != nil {
		return r, err
	}
	r.Stream, r.Seq, r.At = idOf(stream), uint64(seq), timeOf(at) //nolint:gosec // sequences are positive
	if len(stream) != len(r.Stream) || eventSum(r.Stream, r.Seq, at, &r.Event) != sum {
		return r, fmt.Errorf("%w: checksum of event at position %d", eventlog.ErrCorrupt, r.Pos)
	}
	return r, nil
}

// Agents implements eventlog.Log.
func (l *Log) Agents(ctx context.Context) ([]eventlog.AgentRow, error) {
	var out []eventlog.AgentRow
	err := l.query(ctx, l.reads.agents, func(rows *sql.Rows) error {
		r, err := scanAgent(rows)
		out = append(out, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return out, nil
}

func scanAgent(rows *sql.Rows) (eventlog.AgentRow, error) {
	var r eventlog.AgentRow
	var id sql.RawBytes
	var seq, sum int64
	if err := rows.Scan(&id, &seq, &r.State, &sum); err != nil {
		return r, err
	}
	r.ID, r.Seq = idOf(id), uint64(seq) //nolint:gosec // sequences are positive
	if agentSum(&r) != sum {
		return r, fmt.Errorf("%w: checksum of agent %x", eventlog.ErrCorrupt, r.ID)
	}
	return r, nil
}

// Thread implements eventlog.Log.
func (l *Log) Thread(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error) {
	var id sql.RawBytes
	var c eventlog.StreamID
	err := l.one(ctx, l.reads.thread, func(rows *sql.Rows) error {
		err := rows.Scan(&id)
		c = idOf(id)
		return err
	}, account[:], key[:])
	if err != nil {
		return c, fmt.Errorf("thread of account %x: %w", account, err)
	}
	return c, nil
}

// External implements eventlog.Log.
func (l *Log) External(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (stream eventlog.StreamID, seq uint64, err error) {
	err = l.one(ctx, l.reads.external, func(rows *sql.Rows) error {
		var id sql.RawBytes
		var n int64
		err := rows.Scan(&id, &n)
		stream, seq = idOf(id), uint64(n) //nolint:gosec // sequences are positive
		return err
	}, account[:], key[:])
	if err != nil {
		return stream, 0, fmt.Errorf("external id of account %x: %w", account, err)
	}
	return stream, seq, nil
}

// one is query for a single row, or ErrNotFound.
func (l *Log) one(ctx context.Context, s *sql.Stmt, scan func(*sql.Rows) error, args ...any) error {
	found := false
	err := l.query(ctx, s, func(rows *sql.Rows) error {
		found = true
		return scan(rows)
	}, args...)
	if err == nil && !found {
		err = eventlog.ErrNotFound
	}
	return err
}

const outboxColumns = `command_id, account, conversation, seq, kind, route, state, attempt, not_before, deadline, payload, key_id, node, epoch`

// Outbox implements eventlog.Log.
func (l *Log) Outbox(ctx context.Context, account eventlog.StreamID, unknown bool, limit int) ([]eventlog.OutboxRow, error) {
	var out []eventlog.OutboxRow
	scan := func(rows *sql.Rows) error {
		r, err := scanOutbox(rows)
		out = append(out, r)
		return err
	}
	var err error
	if account == (eventlog.StreamID{}) {
		err = l.query(ctx, l.reads.outbox, scan, unknown, sqlLimit(limit))
	} else {
		err = l.query(ctx, l.reads.outboxOf, scan, unknown, account[:], sqlLimit(limit))
	}
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return out, nil
}

// OutboxRow implements eventlog.Log.
func (l *Log) OutboxRow(ctx context.Context, command [16]byte) (r eventlog.OutboxRow, err error) {
	err = l.one(ctx, l.reads.command, func(rows *sql.Rows) (err error) {
		r, err = scanOutbox(rows)
		return err
	}, command[:])
	if err != nil {
		return r, fmt.Errorf("outbox command %x: %w", command, err)
	}
	return r, nil
}

func scanOutbox(rows *sql.Rows) (eventlog.OutboxRow, error) {
	r := eventlog.OutboxRow{Index: -1}
	var command, account, conversation sql.RawBytes
	var seq, notBefore, deadline int64
	err := rows.Scan(&command, &account, &conversation, &seq, &r.Kind, &r.Route, &r.State, &r.Attempt,
		&notBefore, &deadline, &r.Payload, &r.KeyID, &r.Node, &r.Epoch)
	r.CommandID, r.Account, r.Conversation = idOf(command), idOf(account), idOf(conversation)
	r.Seq, r.NotBefore, r.Deadline = uint64(seq), timeOf(notBefore), timeOf(deadline) //nolint:gosec // sequences are positive
	return r, err
}

// MaxKeyID implements eventlog.Log.
func (l *Log) MaxKeyID(ctx context.Context) (id int64, err error) {
	err = l.one(ctx, l.reads.maxKey, func(rows *sql.Rows) error { return rows.Scan(&id) })
	if err != nil {
		return 0, fmt.Errorf("largest key id: %w", err)
	}
	return id, nil
}

func sqlLimit(n int) int64 {
	if n <= 0 {
		return noLimit
	}
	return int64(n)
}
