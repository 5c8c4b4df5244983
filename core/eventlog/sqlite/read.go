package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// maxRead bounds one read: a long read keeps the write-ahead log from being emptied (promises.md
// 4.12).
const maxRead = 30 * time.Second

// noLimit is SQLite's LIMIT for "all".
const noLimit = -1

// reads are the prepared statements for reading lists; single rows are read through points.
type reads struct {
	stream, tail, agents, outbox, outboxOf, receipts *sql.Stmt
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
		{&r.agents, `SELECT ` + agentColumns + ` FROM agents ORDER BY id`},
		{&r.outbox, unsettled + ` ORDER BY n LIMIT ?`},
		{&r.outboxOf, unsettled + ` AND account = ? ORDER BY n LIMIT ?`},
		{&r.receipts, `SELECT ` + receiptColumns + ` FROM early_receipts WHERE account = ? AND key = ? ORDER BY at, status`},
	} {
		s, err := db.PrepareContext(ctx, p.text) //nolint:sqlclosecheck // closed by reads.close
		if err != nil {
			return fmt.Errorf("prepare %.40q: %w", p.text, err)
		}
		*p.to = s
	}
	return nil
}

func (r *reads) close() error {
	var errs []error
	for _, s := range []*sql.Stmt{r.stream, r.tail, r.agents, r.outbox, r.outboxOf, r.receipts} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// query runs a statement and gives each row to scan. The transaction ends with the call, however
// long the caller then works on the result.
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

// readFailure names what went wrong. Damage found by a reader fails the whole log, which must not
// go on writing into a damaged file.
func (l *Log) readFailure(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-l.stopping: // the log was closed during the read
		return fmt.Errorf("%w: %w", eventlog.ErrClosed, err)
	default:
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
	whole := true
	err := l.query(ctx, l.reads.stream, each(eventOf, func(r eventlog.Record) {
		next++
		whole = whole && r.Seq == next
		out = append(out, r)
	}), stream[:], int64(after), sqlLimit(limit))
	if err == nil && !whole {
		err = fmt.Errorf("%w: a sequence number is missing", eventlog.ErrCorrupt)
	}
	if err != nil {
		return nil, fmt.Errorf("read stream %x after %d: %w", stream, after, err)
	}
	return out, nil
}

// Tail implements eventlog.Log. There is one writer, so positions become visible in their order,
// and no smaller position can be committed later.
func (l *Log) Tail(ctx context.Context, after int64, limit int) ([]eventlog.Record, error) {
	var out []eventlog.Record
	err := l.query(ctx, l.reads.tail, each(eventOf, func(r eventlog.Record) { out = append(out, r) }), after, sqlLimit(limit))
	if err != nil {
		return nil, fmt.Errorf("tail after %d: %w", after, err)
	}
	return out, nil
}

// eventOf reads the eventColumns and checks the row's checksum.
func eventOf(c columns) (eventlog.Record, error) {
	r := eventlog.Record{
		Pos:    c.number(0),
		Stream: c.id(1),
		Seq:    uint64(c.number(2)),
		Event: eventlog.Event{
			At: timeOf(c.number(3)), Type: c.text(4), Head: c.bytes(5), Body: c.bytes(6), KeyID: c.number(7),
		},
	}
	if eventSum(r.Stream, r.Seq, c.number(3), &r.Event) != c.number(8) {
		return r, fmt.Errorf("%w: checksum of the event at position %d", eventlog.ErrCorrupt, r.Pos)
	}
	return r, nil
}

// Agents implements eventlog.Log.
func (l *Log) Agents(ctx context.Context) ([]eventlog.AgentRow, error) {
	var out []eventlog.AgentRow
	err := l.query(ctx, l.reads.agents, each(agentOf, func(r eventlog.AgentRow) { out = append(out, r) }))
	if err != nil {
		return nil, fmt.Errorf("read agents: %w", err)
	}
	return out, nil
}

const agentColumns = `id, seq, state, sum`

func agentOf(c columns) (eventlog.AgentRow, error) {
	r := eventlog.AgentRow{ID: c.id(0), Seq: uint64(c.number(1)), State: c.bytes(2)}
	if agentSum(&r) != c.number(3) {
		return r, fmt.Errorf("%w: checksum of agent %x", eventlog.ErrCorrupt, r.ID)
	}
	return r, nil
}

// Outbox implements eventlog.Log.
func (l *Log) Outbox(ctx context.Context, account eventlog.StreamID, unknown bool, limit int) ([]eventlog.OutboxRow, error) {
	var out []eventlog.OutboxRow
	add := each(outboxOf, func(r eventlog.OutboxRow) { out = append(out, r) })
	var err error
	if account == (eventlog.StreamID{}) {
		err = l.query(ctx, l.reads.outbox, add, unknown, sqlLimit(limit))
	} else {
		err = l.query(ctx, l.reads.outboxOf, add, unknown, account[:], sqlLimit(limit))
	}
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return out, nil
}

func sqlLimit(n int) int64 {
	if n <= 0 {
		return noLimit
	}
	return int64(n)
}
