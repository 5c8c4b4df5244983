package sqlite

import (
	"context"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// followEvery is how often a read-only log looks for new events, since no writer tells it.
const followEvery = 100 * time.Millisecond

// Wait implements eventlog.Log.
func (l *Log) Wait(ctx context.Context, after int64) error {
	if l.w == nil {
		return l.waitByLooking(ctx, after)
	}
	for {
		grown := l.w.growth()
		if l.w.published.Load() > after {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.stopping:
			return eventlog.ErrClosed
		case <-l.failed:
			return l.failure()
		case <-grown:
		}
	}
}

// growth returns a channel that is closed after the next commit of events.
func (w *writer) growth() <-chan struct{} {
	w.growMu.Lock()
	defer w.growMu.Unlock()
	if w.grown == nil {
		w.grown = make(chan struct{})
	}
	return w.grown
}

func (w *writer) tellGrown() {
	w.growMu.Lock()
	defer w.growMu.Unlock()
	if w.grown != nil {
		close(w.grown)
		w.grown = nil
	}
}

func (l *Log) waitByLooking(ctx context.Context, after int64) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		pos, err := l.Position(ctx)
		if err != nil || pos > after {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.stopping:
			return eventlog.ErrClosed
		case <-tick.C:
		}
	}
}
