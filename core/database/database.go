package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// Errors that callers act on. They wrap the engine's own errors.
var (
	// ErrFull: the disk is full; writes fail, reads go on (PR16).
	ErrFull = errors.New("database: no space left")
	// ErrFailed: the store reported an I/O error (PR17).
	ErrFailed = errors.New("database: store failed")
	// ErrUnavailable: the database server cannot be reached or does not answer in time. The change
	// may still have been made.
	ErrUnavailable = errors.New("database: store is not available")
)

// Dialect names a database engine.
type Dialect string

// Dialects. The SQL text of statements is the same for both; the migrations differ, and the way in
// which writers are made to take turns.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Options say what to open.
type Options struct {
	// DSN is the path of the SQLite file, made when missing, or PostgreSQL's
	// connection string.
	DSN string
	// Dialect; "" means SQLite.
	Dialect Dialect
	// Gate is held during each write; nil: the handle uses a mutex of its own.
	Gate sync.Locker
}

// DB is the handle. Safe for concurrent use.
type DB struct {
	dialect Dialect
	writer  *sql.DB
	reader  *sql.DB
	gate    sync.Locker

	failOnce sync.Once
	failed   chan struct{}
}

// Open connects and brings the tables up to date. It starts no goroutine of its own.
func Open(ctx context.Context, o Options) (*DB, error) {
	engine := openSQLite
	switch o.Dialect {
	case "":
		o.Dialect = SQLite
	case SQLite:
	case Postgres:
		engine = openPostgres
	default:
		return nil, fmt.Errorf("unknown dialect %q", o.Dialect)
	}
	if o.Gate == nil {
		o.Gate = &sync.Mutex{}
	}
	writer, reader, err := engine(ctx, o.DSN)
	if err != nil {
		return nil, err
	}
	return &DB{dialect: o.Dialect, writer: writer, reader: reader, gate: o.Gate, failed: make(chan struct{})}, nil
}

// Dialect is the engine.
func (d *DB) Dialect() Dialect { return d.dialect }

// Reader is the pool for reads, several at a time. Nothing may be written through it, and callers
// must pass its errors to Note.
func (d *DB) Reader() *sql.DB { return d.reader }

// Write runs fn in a transaction that no other writer can disturb, and commits the transaction
// unless fn fails.
func (d *DB) Write(ctx context.Context, fn func(*sql.Tx) error) error {
	if d.writer == nil {
		return ErrReadOnly
	}
	d.gate.Lock()
	defer d.gate.Unlock()
	tx, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return d.Note(err)
	}
	defer func() { _ = tx.Rollback() }() // has no effect after Commit
	if d.dialect == Postgres {
		if _, err := tx.ExecContext(ctx, lockWrites); err != nil {
			return d.Note(err)
		}
	}
	if err := fn(tx); err != nil {
		return d.Note(err)
	}
	return d.Note(tx.Commit())
}

// Note turns an engine's error into the error of this package that callers act on, as Classify
// does. After ErrFailed, Failed is closed.
func (d *DB) Note(err error) error {
	err = Classify(err)
	if errors.Is(err, ErrFailed) {
		d.failOnce.Do(func() { close(d.failed) })
	}
	return err
}

// Classify turns an engine's error into the error of this package that callers act on; any other
// error, and nil, is returned unchanged.
func Classify(err error) error {
	for _, known := range []error{ErrFull, ErrFailed, ErrUnavailable} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch kindOf(err) {
	case troubleFull:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case troubleFailed:
		return fmt.Errorf("%w: %w", ErrFailed, err)
	case troubleUnavailable:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	default:
		return err
	}
}

// Failed is closed when the store reported an I/O error: the process must
// stop and recover on start (PR17).
func (d *DB) Failed() <-chan struct{} { return d.failed }

// Close closes the connections. The handle must not be used any more.
func (d *DB) Close() error {
	if d.writer == nil {
		return d.reader.Close()
	}
	return errors.Join(d.reader.Close(), d.writer.Close())
}
