package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Errors of this store beside those of package eventlog.
var (
	// ErrReadOnly: the log was opened with OpenReadOnly.
	ErrReadOnly = errors.New("eventlog: read only")
	// ErrServer: the server cannot hold the log: too old, or not in UTF8.
	ErrServer = errors.New("eventlog: server does not fit")
)

// errRaced: another node's transaction was committed between our reads and our writes. The
// transaction can be repeated.
var errRaced = errors.New("another writer was first")

// trouble is what an error means for a transaction and the log.
type trouble int

const (
	troubleNone    trouble = iota
	troubleOne             // the statement at hand is to blame, for example a value that cannot be stored
	troubleRaced           // another writer was first: try again
	troubleLocked          // another session has held a lock for long
	troubleFull            // no space: fails now, may work later (PR16)
	troubleLost            // no connection, or a server that is going away
	troubleCorrupt         // the server found damage
)

// classify tells what kind of trouble err is, from PostgreSQL's SQLSTATE
// (https://www.postgresql.org/docs/current/errcodes-appendix.html). An error without one came from
// the connection.
func classify(err error) trouble {
	var e *pgconn.PgError
	switch {
	case err == nil:
		return troubleNone
	case errors.Is(err, errRaced):
		return troubleRaced
	case !errors.As(err, &e):
		return troubleLost
	}
	if e.Code == "23505" && e.ConstraintName == "events_stream_seq" { // unique_violation
		return troubleRaced // another node's event has taken this place
	}
	switch e.Code {
	case "40001", "40P01", "0A000": // serialization, deadlock, or a newer node changed the tables
		return troubleRaced
	case "55P03": // lock_timeout
		return troubleLocked
	case "53100":
		return troubleFull
	case "XX001", "XX002":
		return troubleCorrupt
	case "25006", "26000", "25P03": // the server is a standby now; it forgot its statements; it was idle for too long
		return troubleLost
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", "53", "57", "58", "XX", "28", "3D":
		return troubleLost
	default:
		return troubleOne
	}
}

// inDoubt reports whether a failed COMMIT may have been done all the same. That is so unless the
// server said that it failed.
func inDoubt(err error) bool {
	var e *pgconn.PgError
	return err != nil && (!errors.As(err, &e) || e.Severity != "ERROR")
}

// named wraps the server's error in the matching error of package eventlog. If the caller's own
// context ended, its error stays as it is.
func named(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch classify(err) {
	case troubleFull:
		return fmt.Errorf("%w: %w", eventlog.ErrFull, plain(err))
	case troubleCorrupt:
		return fmt.Errorf("%w: %w", eventlog.ErrCorrupt, plain(err))
	case troubleLost, troubleLocked, troubleRaced:
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, plain(err))
	default:
		return plain(err)
	}
}

// plainError is a server's or connection's error without anything that could contain content or
// credentials: of the server's error only SQLSTATE and the constraint are kept, and the connection
// string is left out.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

func plain(err error) error {
	var p *plainError
	if err == nil || errors.As(err, &p) {
		return err
	}
	var pg *pgconn.PgError
	var parse *pgconn.ParseConfigError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &pg):
		text := "SQLSTATE " + pg.Code
		if pg.ConstraintName != "" {
			text += " (" + pg.ConstraintName + ")"
		} else if strings.HasPrefix(pg.Code, "28") || strings.HasPrefix(pg.Code, "3D") || strings.HasPrefix(pg.Code, "57") || pg.Code == "42501" {
			text += " (" + pg.Message + ")" // this message names user and database, but no content
		}
		return &plainError{text, err}
	case errors.As(err, &parse):
		return &plainError{"connection string cannot be understood", nil}
	case errors.As(err, &connect):
		return &plainError{"cannot connect: " + reason(connect), err}
	default:
		return err
	}
}

// reason is the innermost cause of a failed connection, such as "connection
// refused", in a form without credentials.
func reason(err error) string {
	last := errors.Unwrap(err)
	if last == nil { // the driver tried several hosts
		return "no server answered"
	}
	for e := errors.Unwrap(last); e != nil; e = errors.Unwrap(e) {
		last = e
	}
	return last.Error()
}
