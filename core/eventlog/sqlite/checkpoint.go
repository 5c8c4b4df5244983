package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Sizes of the write-ahead log, in pages of 4 KiB.
const (
	checkpointEvery = 250 * time.Millisecond
	walSoft         = 4096  // 16 MiB: from here on the log is copied back beside the writer
	walHard         = 65536 // 256 MiB: from here on the writer waits for readers
	walWarn         = 262144
)

// checkpointer copies the write-ahead log back into the database, at regular intervals and with a
// connection of its own, so that commits hardly wait for it. SQLite starts the log over only when
// all of it is copied back while nobody writes. Under steady load that moment never comes by
// itself, so the writer copies the last few pages between two batches.
type checkpointer struct {
	l      *Log
	conn   *conn
	size   *stmt
	copy   *stmt
	warned bool
}

func (l *Log) openCheckpointer() (_ *checkpointer, err error) {
	c, err := connect(DSN(l.path))
	if err != nil {
		return nil, err
	}
	k := &checkpointer{l: l, conn: c}
	if k.size, err = c.prepare(`PRAGMA wal_checkpoint(NOOP)`, 0); err == nil {
		k.copy, err = c.prepare(`PRAGMA wal_checkpoint(PASSIVE)`, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, c.close())
	}
	return k, nil
}

func (k *checkpointer) run(ctx context.Context) {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.l.failed:
			return
		case <-tick.C:
		}
		err := k.once(ctx)
		switch {
		case classify(err) == troubleFatal:
			_ = k.l.fail(fmt.Errorf("checkpoint: %w", err))
			return
		case err != nil && ctx.Err() == nil && !failing: // logged once, since a full disk may stay full
			k.l.log.WarnContext(ctx, "write-ahead log not copied back", "err", err)
		}
		failing = err != nil
	}
}

// wal is the size of the write-ahead log: its pages, and how many of them are copied back.
type wal struct{ pages, copied int64 }

func (s *stmt) wal() (wal, error) {
	row, err := s.row()
	if err != nil {
		return wal{}, err
	}
	return wal{row[1].(int64), row[2].(int64)}, nil
}

func (k *checkpointer) once(ctx context.Context) error {
	size, err := k.size.wal()
	if err != nil || size.pages < walSoft {
		k.warned = k.warned && size.pages >= walWarn
		return err
	}
	state, err := k.copy.wal()
	if err != nil || (state.copied == state.pages && state.pages < walHard) {
		return err // nothing is left to copy, so the next commit starts the log over
	}
	hard := state.pages >= walHard
	_, err = k.l.do(ctx, func(r *request) {
		r.outside = func() (err error) {
			state, err = k.l.w.finishCheckpoint(hard)
			return err
		}
	})
	if err == nil && state.copied < state.pages && state.pages >= walWarn && !k.warned {
		k.warned = true
		k.l.log.WarnContext(ctx, "write-ahead log keeps growing: somebody reads the database in one long transaction",
			"pages", state.pages, "copied", state.copied)
	}
	return err
}

// finishCheckpoint runs in the writer's goroutine, outside a transaction. If hard is set (the log
// has become large), it waits up to a second for readers that still use old pages, and the queued
// appends wait with it.
func (w *writer) finishCheckpoint(hard bool) (_ wal, err error) {
	w.l.gate.Lock()
	defer w.l.gate.Unlock()
	if !hard {
		return w.sql.checkpoint.wal()
	}
	if _, err := w.conn.once(`PRAGMA busy_timeout(1000)`); err != nil {
		return wal{}, err
	}
	state, err := w.sql.restart.wal()
	_, err2 := w.conn.once(`PRAGMA busy_timeout(10000)`)
	return state, errors.Join(err, err2)
}
