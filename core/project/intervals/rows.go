package intervals

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/eventlog"
)

// row is a conversation's row. Times are milliseconds since 1970 UTC; 0: not known.
type row struct {
	id      eventlog.StreamID
	service conversation.ServiceID
	channel string // plugin id
	kind    string

	started, taken, answered, ended int64

	cause   string
	written Written
	waiting []waiting
}

// waiting is a request in a service's queue.
type waiting struct {
	Request conversation.RequestID `json:"request"`
	Service conversation.ServiceID `json:"service,omitzero"`
	Since   int64                  `json:"since"`
}

// drop removes a request and reports whether it was waiting.
func (c *row) drop(id conversation.RequestID) (was waiting, ok bool) {
	i := slices.IndexFunc(c.waiting, func(w waiting) bool { return w.Request == id })
	if i < 0 {
		return was, false
	}
	was = c.waiting[i]
	c.waiting = slices.Delete(c.waiting, i, i+1)
	return was, true
}

func readRow(ctx context.Context, tx *sql.Tx, id eventlog.StreamID) (*row, error) {
	c := &row{id: id}
	var service []byte
	var waits string
	err := tx.QueryRowContext(ctx, `SELECT service, channel, kind, started_at, taken_at, answered_at, ended_at, end_cause,
from_customer, from_agent, from_bot, from_system, waiting FROM report_conversations WHERE id = $1`, id[:]).Scan(
		&service, &c.channel, &c.kind, &c.started, &c.taken, &c.answered, &c.ended, &c.cause,
		&c.written.Customer, &c.written.Agent, &c.written.Bot, &c.written.System, &waits)
	if errors.Is(err, sql.ErrNoRows) {
		return c, nil
	}
	if err == nil {
		copy(c.service[:], service)
		err = json.Unmarshal([]byte(waits), &c.waiting)
	}
	if err != nil {
		return nil, fmt.Errorf("intervals: conversation %x: %w", id, err)
	}
	return c, nil
}

func (w *work) write(ctx context.Context, tx *sql.Tx) error {
	for id, c := range w.convs {
		if c.waiting == nil {
			c.waiting = []waiting{} // one text for "none", so that the table does not show in which batches the events came
		}
		waits, err := json.Marshal(c.waiting)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO report_conversations (id, service, channel, kind, started_at, taken_at, answered_at, ended_at,
end_cause, from_customer, from_agent, from_bot, from_system, waiting) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (id) DO UPDATE SET service = excluded.service, channel = excluded.channel, kind = excluded.kind, started_at = excluded.started_at,
taken_at = excluded.taken_at, answered_at = excluded.answered_at, ended_at = excluded.ended_at, end_cause = excluded.end_cause,
from_customer = excluded.from_customer, from_agent = excluded.from_agent, from_bot = excluded.from_bot, from_system = excluded.from_system,
waiting = excluded.waiting`,
			id[:], c.service[:], c.channel, c.kind, c.started, c.taken, c.answered, c.ended, c.cause,
			c.written.Customer, c.written.Agent, c.written.Bot, c.written.System, string(waits))
		if err != nil {
			return fmt.Errorf("intervals: conversation %x: %w", id, err)
		}
	}
	for k, c := range w.counts {
		_, err := tx.ExecContext(ctx, `INSERT INTO report_intervals AS i (service, start, arrived, taken, wait_ms, longest_ms, answered, answer_ms, ended, abandoned,
from_customer, from_agent, from_bot, from_system) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (service, start) DO UPDATE SET arrived = i.arrived + excluded.arrived, taken = i.taken + excluded.taken, wait_ms = i.wait_ms + excluded.wait_ms,
longest_ms = CASE WHEN excluded.longest_ms > i.longest_ms THEN excluded.longest_ms ELSE i.longest_ms END,
answered = i.answered + excluded.answered, answer_ms = i.answer_ms + excluded.answer_ms, ended = i.ended + excluded.ended,
abandoned = i.abandoned + excluded.abandoned, from_customer = i.from_customer + excluded.from_customer, from_agent = i.from_agent + excluded.from_agent,
from_bot = i.from_bot + excluded.from_bot, from_system = i.from_system + excluded.from_system`,
			k.service[:], k.start, c.Arrived, c.Taken, c.WaitMS, c.LongestMS, c.Answered, c.AnswerMS, c.Ended, c.Abandoned,
			c.Customer, c.Agent, c.Bot, c.System)
		if err != nil {
			return fmt.Errorf("intervals: counts: %w", err)
		}
	}
	return nil
}

// Interval is a quarter of an hour of one service. Intervals in which nothing happened are not stored.
type Interval struct {
	Service conversation.ServiceID `json:"service,omitzero"` // zero: conversations without a service
	Start   time.Time              `json:"start"`
	Counts
}

// MostIntervals is how many intervals Between returns at most.
const MostIntervals = 10_000

// Between returns the intervals that begin at from or later and before until, of all services, ordered
// by start. The projection must have been followed at least once.
func Between(ctx context.Context, db *database.DB, from, until time.Time) ([]Interval, error) {
	rows, err := db.Reader().QueryContext(ctx, `SELECT service, start, arrived, taken, wait_ms, longest_ms, answered, answer_ms, ended, abandoned,
from_customer, from_agent, from_bot, from_system FROM report_intervals WHERE start >= $1 AND start < $2 ORDER BY start, service LIMIT $3`,
		from.UnixMilli(), until.UnixMilli(), MostIntervals)
	if err != nil {
		return nil, fmt.Errorf("intervals: read: %w", db.Note(err))
	}
	defer func() { _ = rows.Close() }()
	var out []Interval
	for rows.Next() {
		var i Interval
		var service []byte
		var start int64
		err := rows.Scan(&service, &start, &i.Arrived, &i.Taken, &i.WaitMS, &i.LongestMS, &i.Answered, &i.AnswerMS, &i.Ended, &i.Abandoned,
			&i.Customer, &i.Agent, &i.Bot, &i.System)
		if err != nil {
			return nil, fmt.Errorf("intervals: read: %w", err)
		}
		copy(i.Service[:], service)
		i.Start = time.UnixMilli(start).UTC()
		out = append(out, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("intervals: read: %w", db.Note(err))
	}
	return out, nil
}
