package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// FileName is the database's name within the data folder.
const FileName = "parley.db"

// Options says where the log lies and how to open it.
type Options struct {
	// Dir is the data folder, made with mode 0700 when missing.
	Dir string
	// Logger gets events of the log's life and problems; nil discards them.
	Logger *slog.Logger
	// AcceptDamage opens a database that is otherwise refused with eventlog.ErrCorrupt: one whose
	// newest events are missing (it was copied while in use, or restored without the files beside
	// it) or in which the integrity check finds damage. The damage is logged as an error.
	AcceptDamage bool
	// Gate, when not nil, is held during each transaction. Any other code of this process that
	// writes to the same file must hold it too: with SQLite's own lock a waiting writer may starve,
	// with a mutex it does not.
	Gate sync.Locker
	// CheckWait is how long Open waits for the integrity check that follows an
	// unclean stop; a longer check goes on in the background and fails the
	// log when it finds damage. 0 means 250 ms.
	CheckWait time.Duration
}

// Log is an eventlog.Log on SQLite. Safe for concurrent use.
type Log struct {
	path   string
	gate   sync.Locker
	log    *slog.Logger
	lock   *lockFile // nil when read only
	reader *sql.DB
	reads  reads
	points points
	w      *writer // nil when read only
	check  *checkpointer

	rewriting chan struct{} // holds a token while a Rewrite runs, so that there is one at a time

	stopping   chan struct{}   // closed by Close
	background context.Context //nolint:containedctx // of the goroutines; ends with Close
	stop       context.CancelFunc
	done       sync.WaitGroup // waits for writer, checkpointer and integrity check

	failOnce sync.Once
	failErr  atomic.Pointer[error]
	failed   chan struct{}

	closeOnce sync.Once
	closeErr  error
}

var _ eventlog.Log = (*Log)(nil)

// Open opens the log for the one process that writes it. It refuses a folder in use (ErrLocked), a
// database that is damaged or lacks acknowledged events (eventlog.ErrCorrupt), and an SQLite that
// is too old (ErrVersion). It starts goroutines; Close stops them.
func Open(ctx context.Context, o Options) (_ *Log, err error) {
	if o.CheckWait == 0 {
		o.CheckWait = 250 * time.Millisecond
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("eventlog: data folder: %w", err)
	}
	l := newLog(o)
	if l.lock, err = acquireLock(filepath.Join(o.Dir, "parley.lock")); err != nil {
		return nil, fmt.Errorf("eventlog: open %s: %w", l.path, err)
	}
	defer func() {
		if err != nil {
			l.stop()
			l.done.Wait()
			err = errors.Join(fmt.Errorf("eventlog: open %s: %w", l.path, named(err)), l.closeFiles(), l.lock.release())
		}
	}()
	found, err := l.inspect()
	if err != nil {
		return nil, err
	}
	if err := l.examine(ctx, found, o); err != nil {
		return nil, err
	}
	if l.w, err = newWriter(l); err != nil {
		return nil, err
	}
	if err := l.migrate(ctx); err != nil {
		return nil, err
	}
	if err := l.w.load(); err != nil {
		return nil, err
	}
	if err := l.openReaders(ctx); err != nil {
		return nil, err
	}
	if err := l.markOpen(); err != nil {
		return nil, err
	}
	if l.check, err = l.openCheckpointer(); err != nil {
		return nil, err
	}
	l.done.Go(l.w.run)
	l.done.Go(func() { l.check.run(l.background) })
	return l, nil
}

// OpenReadOnly opens an existing log to read it, whether or not a process has it open for writing.
// Every method that writes fails with ErrReadOnly.
func OpenReadOnly(ctx context.Context, o Options) (_ *Log, err error) {
	l := newLog(o)
	if _, err := os.Stat(l.path); err != nil {
		return nil, fmt.Errorf("eventlog: open: %w", err)
	}
	if err := l.openReaders(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("eventlog: open %s: %w", l.path, named(err)), l.closeFiles())
	}
	return l, nil
}

func newLog(o Options) *Log {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Gate == nil {
		o.Gate = &sync.Mutex{}
	}
	l := &Log{
		rewriting: make(chan struct{}, 1),
		gate:      o.Gate,
		path:      filepath.Join(o.Dir, FileName),
		log:       o.Logger,
		stopping:  make(chan struct{}),
		failed:    make(chan struct{}),
	}
	// The log's goroutines live until Close, so they must not end with Open's context.
	l.background, l.stop = context.WithCancel(context.Background())
	return l
}

// Path is the path of the database file, in which core/directory keeps its records too.
func (l *Log) Path() string { return l.path }

func (l *Log) openReaders(ctx context.Context) error {
	var err error
	if l.reader, err = sql.Open("sqlite", ReadDSN(l.path)); err != nil {
		return err
	}
	n := max(4, 2*runtime.GOMAXPROCS(0))
	l.reader.SetMaxOpenConns(n)
	l.reader.SetMaxIdleConns(n)
	if err := l.reads.prepare(ctx, l.reader); err != nil {
		return err
	}
	return l.points.open(l.path, n)
}

// Failed implements eventlog.Log.
func (l *Log) Failed() <-chan struct{} { return l.failed }

// fail marks the log as failed for good. The first reason is kept.
func (l *Log) fail(err error) error {
	err = fmt.Errorf("%w: %w", eventlog.ErrFatal, named(err))
	l.failOnce.Do(func() {
		l.failErr.Store(&err)
		l.log.Error("event log failed: nothing is acknowledged any more", "err", err)
		close(l.failed)
	})
	return err
}

// failure returns why the log failed, or nil.
func (l *Log) failure() error {
	if e := l.failErr.Load(); e != nil {
		return *e
	}
	return nil
}

// Close implements eventlog.Log. Appends that were queued before it are finished. After a fatal
// error the database is left as it is, for the next start to recover: closing it would flush again
// what could not be flushed before.
func (l *Log) Close() error {
	l.closeOnce.Do(func() {
		close(l.stopping)
		l.stop()
		l.done.Wait()
		if l.failure() != nil {
			l.closeErr = errors.Join(l.points.close(), l.reader.Close())
			return
		}
		var errs []error
		if l.w != nil {
			l.markClosed()
		}
		errs = append(errs, l.closeFiles())
		if l.lock != nil {
			l.noteClosed()
			errs = append(errs, l.lock.release())
		}
		l.closeErr = errors.Join(errs...)
	})
	return l.closeErr
}

// closeFiles closes all connections. The writer is closed last, so that it copies the write-ahead
// log back and removes it.
func (l *Log) closeFiles() error {
	var errs []error
	errs = append(errs, l.reads.close(), l.points.close())
	if l.reader != nil {
		errs = append(errs, l.reader.Close())
	}
	if l.check != nil {
		errs = append(errs, l.check.conn.close())
	}
	if l.w != nil {
		errs = append(errs, l.w.conn.close())
	}
	return errors.Join(errs...)
}
