package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"modernc.org/sqlite"

	"github.com/parley-gateway/parley/core/eventlog"
)

// DSN names the database file for modernc.org/sqlite, with the settings that every writing
// connection to it must have: a flush at each commit, deleted content overwritten, immediate
// transactions, waiting up to 10 s for the lock, and no checkpoints (the log makes them apart from
// the writers).
func DSN(path string) string {
	return dsn(path, "rw", "journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)",
		"wal_autocheckpoint(0)", "journal_size_limit(67108864)", "cache_size(-16384)")
}

// ReadDSN names the database file for connections that only read.
func ReadDSN(path string) string { return dsn(path, "ro", "query_only(1)") }

func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_error_rc": {"1"}}
	q.Add("_pragma", "busy_timeout(10000)")
	q.Add("_pragma", "temp_store(MEMORY)") // no content may get into temporary files
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// conn is a connection used by one goroutine at a time, without database/sql: on the append path
// database/sql's pool, locks and conversions cost more than they are worth.
type conn struct {
	raw   driver.Conn
	stmts []*stmt
}

func connect(dsn string) (*conn, error) {
	raw, err := new(sqlite.Driver).Open(dsn)
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.raw.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// stmt is a prepared statement with its argument slots.
type stmt struct {
	raw interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	}
	args []driver.NamedValue
	dest []driver.Value
	out  columns
}

// prepare makes a statement with n arguments; it lives as long as c.
func (c *conn) prepare(text string, n int) (*stmt, error) {
	raw, err := c.raw.Prepare(text)
	if err != nil {
		return nil, fmt.Errorf("prepare %.40q: %w", text, err)
	}
	s := &stmt{args: make([]driver.NamedValue, n)}
	s.raw = raw.(interface {
		driver.Stmt
		driver.StmtExecContext
		driver.StmtQueryContext
	})
	for i := range s.args {
		s.args[i].Ordinal = i + 1
	}
	c.stmts = append(c.stmts, s)
	return s, nil
}

// bind sets the statement's arguments; values are int64, []byte, string or nil.
func (s *stmt) bind(values []driver.Value) {
	for i, v := range values {
		s.args[i].Value = v
	}
}

// exec runs the statement and returns the number of rows changed. It takes no context: a write is
// short, and after an interruption its outcome would be in doubt.
func (s *stmt) exec(values ...driver.Value) (int64, error) {
	s.bind(values)
	r, err := s.raw.ExecContext(context.Background(), s.args)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// row returns the first row, valid until the next call, or nil when there is
// none.
func (s *stmt) row(values ...driver.Value) (_ columns, err error) {
	s.bind(values)
	rows, err := s.raw.QueryContext(context.Background(), s.args)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if s.dest == nil {
		s.dest = make([]driver.Value, len(rows.Columns()))
		s.out = make(columns, len(s.dest))
	}
	switch err := rows.Next(s.dest); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	for i, v := range s.dest {
		s.out[i] = v
	}
	return s.out, nil
}

// once runs a statement that is not kept and returns its first row, if any.
func (c *conn) once(text string, values ...driver.Value) (columns, error) {
	s, err := c.prepare(text, len(values))
	if err != nil {
		return nil, err
	}
	c.stmts = c.stmts[:len(c.stmts)-1]
	row, err := s.row(values...)
	return row, errors.Join(err, s.raw.Close())
}

// Conversions between Go and column values. A zero id is NULL, a zero time is 0.

func idValue(id eventlog.StreamID) driver.Value {
	if id == (eventlog.StreamID{}) {
		return nil
	}
	return id[:]
}

func idOf(b []byte) (id eventlog.StreamID) {
	copy(id[:], b)
	return id
}

func timeValue(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
