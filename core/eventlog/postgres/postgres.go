package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Options says which database and how to wait for it.
type Options struct {
	// DSN is the connection string, postgres://... The schema is the first one
	// of its search_path. It carries a password and is never shown.
	DSN string
	// Logger gets events of the log's life and problems; nil discards them.
	Logger *slog.Logger
	// Patience bounds how long an append waits for its turn, and how long a read waits for a server
	// that is not there. 0 means 5 s.
	Patience time.Duration
	// LockTimeout bounds the wait for one lock that another session holds. 0 means 1 s.
	LockTimeout time.Duration
}

// Log is an eventlog.Log on PostgreSQL. Safe for concurrent use.
type Log struct {
	o    Options
	log  *slog.Logger
	pc   *pgxpool.Config
	pool *pgxpool.Pool // the readers' pool
	w    *writer       // nil when read only
	hint hints

	member membership

	rewriting chan struct{} // holds a token while a Rewrite runs: one at a time, so that they share one connection

	stopping   chan struct{}   // closed by Close
	background context.Context //nolint:containedctx // of the goroutines; ends with Close
	stop       context.CancelFunc
	done       sync.WaitGroup

	failOnce sync.Once
	failErr  atomic.Pointer[error]
	failed   chan struct{}

	closeOnce sync.Once
}

var _ eventlog.Shared = (*Log)(nil)

// Open connects, brings the tables up to date and starts the goroutines that
// write; Close stops them. Errors: ErrServer, eventlog.ErrUnavailable, and
// those of the server without their content.
func Open(ctx context.Context, o Options) (_ *Log, err error) {
	l, err := newLog(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("eventlog: open: %w", err)
			l.stop()
			l.pool.Close()
		}
	}()
	if err := l.checkServer(ctx); err != nil {
		return nil, err
	}
	if err := migrate(ctx, l.pc.ConnConfig); err != nil {
		return nil, err
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	l.w = newWriter(l, id)
	if err := l.w.forgetWriters(ctx); err != nil {
		return nil, err
	}
	l.w.start()
	return l, nil
}

// OpenReadOnly opens an existing log to read it while nodes write it. Every method that writes
// fails with ErrReadOnly.
func OpenReadOnly(ctx context.Context, o Options) (_ *Log, err error) {
	l, err := newLog(o)
	if err != nil {
		return nil, err
	}
	if _, err := l.MaxKeyID(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("eventlog: open: %w", err), l.Close())
	}
	return l, nil
}

func newLog(o Options) (*Log, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = time.Second
	}
	pc, err := parse(o.DSN, o.LockTimeout)
	if err != nil {
		return nil, fmt.Errorf("eventlog: open: %w", err)
	}
	pool, err := newPool(pc)
	if err != nil {
		return nil, fmt.Errorf("eventlog: open: %w", plain(err))
	}
	l := &Log{o: o, log: o.Logger, pc: pc, pool: pool, rewriting: make(chan struct{}, 1), stopping: make(chan struct{}), failed: make(chan struct{})}
	l.hint.init()
	// The log's goroutines live until Close, so they must not end with Open's context.
	l.background, l.stop = context.WithCancel(context.Background())
	return l, nil
}

// checkServer refuses a server that does not fit and warns of settings that break promises. The
// commits made here wait for the disk even if the server's default is not to wait (PR1).
func (l *Log) checkServer(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, l.pc.ConnConfig)
	if err != nil {
		return named(ctx, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	s, err := inspect(ctx, conn)
	if err != nil {
		return err
	}
	for _, w := range s.Warnings() {
		l.log.WarnContext(ctx, "database settings", "warning", w)
	}
	if s.SynchronousCommit == "off" {
		l.pc.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	}
	return s.Fits()
}

// Failed implements eventlog.Log. It is closed when the server reports damage in its files; losing
// the connection to the server does not close it.
func (l *Log) Failed() <-chan struct{} { return l.failed }

// fail marks the log as failed for good. The first reason is kept.
func (l *Log) fail(err error) error {
	err = fmt.Errorf("%w: %w", eventlog.ErrFatal, err)
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

// ended returns why nothing is written any more.
func (l *Log) ended() error {
	if err := l.failure(); err != nil {
		return err
	}
	return eventlog.ErrClosed
}

// Close implements eventlog.Log. Appends that were queued before it are finished, as far as the
// server answers.
func (l *Log) Close() error {
	l.closeOnce.Do(func() {
		close(l.stopping)
		if l.w != nil {
			l.w.done.Wait()
		}
		l.stop()
		l.done.Wait()
		l.member.mu.Lock()
		l.member.close()
		l.member.mu.Unlock()
		l.pool.Close()
	})
	return nil
}
