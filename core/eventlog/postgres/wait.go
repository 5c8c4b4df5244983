package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog"
)

const (
	channel = "parley_log"
	// tellEvery is the shortest pause between two notifications to other nodes.
	tellEvery = 20 * time.Millisecond
	// lookEvery is how often a waiter looks for new events without having been notified.
	lookEvery = time.Second
	// lookSoon is the pause when the event is there but a smaller position may still be committed.
	lookSoon = 2 * time.Millisecond
)

// hints wake waiters. A lost hint costs a second, and a false one costs a query.
type hints struct {
	any    waker         // of waiters for what any node commits
	others waker         // of those who follow what other nodes commit
	self   string        // the payload of this log's own notifications
	dirty  chan struct{} // holds a token when other nodes are to be told
	listen sync.Once
}

func (h *hints) init() {
	h.dirty = make(chan struct{}, 1)
	h.self = rand.Text()
}

// grown tells waiters here and on other nodes that the log has grown.
func (h *hints) grown() {
	h.any.wake()
	select {
	case h.dirty <- struct{}{}:
	default: // a notification is due already
	}
}

// waker wakes everybody who waits at once. The zero value is ready.
type waker struct {
	mu   sync.Mutex
	next chan struct{} // closed and replaced with each hint; nil when nobody waits
}

func (w *waker) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
}

func (w *waker) wait() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == nil {
		w.next = make(chan struct{})
	}
	return w.next
}

// notify tells other nodes, outside the commits: within a transaction a NOTIFY would make all
// commits of the database wait for each other.
func (l *Log) notify() {
	for {
		select {
		case <-l.hint.dirty:
		case <-l.background.Done():
			return
		}
		ctx, cancel := context.WithTimeout(l.background, l.o.Patience)
		_, _ = l.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, channel, l.hint.self) // only a hint: readers also look without it
		cancel()
		t := time.NewTimer(tellEvery)
		select {
		case <-t.C:
		case <-l.background.Done():
		}
		t.Stop()
	}
}

// follow listens to the notifications of other nodes until Close.
func (l *Log) follow() {
	for l.background.Err() == nil {
		_ = l.hear() // readers look by themselves while there is no connection
		t := time.NewTimer(lookEvery)
		select {
		case <-t.C:
		case <-l.background.Done():
		}
		t.Stop()
	}
}

func (l *Log) hear() error {
	conn, err := pgx.ConnectConfig(l.background, l.pc.ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the time to say goodbye to the server is bounded
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(l.background, `LISTEN `+channel); err != nil {
		return err
	}
	l.hint.others.wake() // what was notified before is not known
	for {
		l.hint.any.wake()
		n, err := conn.WaitForNotification(l.background)
		if err != nil {
			return err
		}
		if n.Payload != l.hint.self {
			l.hint.others.wake()
		}
	}
}

// Wait implements eventlog.Log. The first call starts to listen to the other nodes. While the
// server cannot be reached, Wait goes on waiting.
func (l *Log) Wait(ctx context.Context, after int64) error {
	if err := l.readable(ctx); err != nil {
		return err
	}
	l.hint.listen.Do(func() { l.done.Go(l.follow) })
	for {
		next := l.hint.any.wait()
		there, early, err := l.beyond(ctx, after)
		pause := lookEvery
		switch {
		case err != nil && !errors.Is(err, eventlog.ErrUnavailable):
			return err
		case there && !early:
			return nil
		case there:
			pause = lookSoon
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-l.stopping:
			err = eventlog.ErrClosed
		case <-l.failed:
			err = l.failure()
		case <-next:
			err = nil
		case <-t.C:
			err = nil
		}
		t.Stop()
		if err != nil {
			return err
		}
	}
}

// beyond reports whether there is an event after a position (there), and whether a smaller position
// may still be committed before it (early).
func (l *Log) beyond(ctx context.Context, after int64) (there, early bool, err error) {
	err = l.query(ctx, selectTail, func() { there = false }, func(rows pgx.Rows) error {
		there = true
		_, err := recordOf(rows, &early)
		return err
	}, after, int64(1))
	return there, early, err
}
