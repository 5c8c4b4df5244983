package router_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
)

// fate is what becomes of an append.
type fate int

const (
	answered    fate = iota
	lostWritten      // the append is written, and its answer is lost
	lostLate         // the answer is lost, and the append is written later
	lostNever        // the answer is lost, and the append is not written
)

// lossyLog loses the answers to appends, as a database does that is away for longer than its
// clients wait. While an append is still to be written, other appends that name the same streams,
// ids, threads or commands wait for it, as they would for the locks of a transaction; reads do not
// see it.
type lossyLog struct {
	*memlog.Log
	mu     sync.Mutex
	fate   func(*eventlog.Batch) fate // nil: every append is answered
	lag    func() <-chan struct{}     // returns a channel that is closed when a late append is to be written
	locked map[any]chan struct{}
	late   sync.WaitGroup
}

func newLossyLog() *lossyLog {
	return &lossyLog{Log: memlog.New(), locked: map[any]chan struct{}{}}
}

// lose gives a fate to the next append for which chosen returns true, and to no other. An append
// whose fate is lostLate is written when the returned function is called.
func (l *lossyLog) lose(f fate, chosen func(*eventlog.Batch) bool) (write func()) {
	release := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lag = func() <-chan struct{} { return release }
	l.fate = func(b *eventlog.Batch) fate {
		if !chosen(b) {
			return answered
		}
		l.fate = nil
		return f
	}
	return sync.OnceFunc(func() { close(release); l.late.Wait() })
}

// randomly gives one append in n a random fate other than answered.
func (l *lossyLog) randomly(rng *rand.Rand, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fate = func(*eventlog.Batch) fate {
		if rng.IntN(n) > 0 {
			return answered
		}
		return []fate{lostWritten, lostLate, lostNever}[rng.IntN(3)]
	}
	l.lag = func() <-chan struct{} {
		ch := make(chan struct{})
		time.AfterFunc(time.Duration(rng.IntN(60))*time.Millisecond, func() { close(ch) })
		return ch
	}
}

// keys lists what a batch locks: its streams, ids, threads and commands.
func keys(b *eventlog.Batch) (out []any) {
	for i := range b.Streams {
		out = append(out, b.Streams[i].Stream)
	}
	for _, x := range b.External {
		out = append(out, [2]any{x.Account, x.Key})
	}
	for _, list := range [][]eventlog.Thread{b.OpenThreads, b.CloseThreads} {
		for _, t := range list {
			out = append(out, [3]any{"thread", t.Account, t.Key})
		}
	}
	for i := range b.Outbox {
		out = append(out, b.Outbox[i].CommandID)
	}
	for i := range b.OutboxUpdates {
		out = append(out, b.OutboxUpdates[i].CommandID)
	}
	for _, x := range b.JoinReceipts {
		out = append(out, [2]any{x.Account, x.Key})
	}
	for i := range b.ParkReceipts {
		out = append(out, [2]any{b.ParkReceipts[i].Account, b.ParkReceipts[i].Key})
	}
	return out
}

func (l *lossyLog) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	ks := keys(b)
	l.mu.Lock()
	for {
		var wait chan struct{}
		for _, k := range ks {
			if wait = l.locked[k]; wait != nil {
				break
			}
		}
		if wait == nil {
			break
		}
		l.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return eventlog.Appended{}, ctx.Err()
		}
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	f := answered
	if l.fate != nil {
		f = l.fate(b)
	}
	lost := fmt.Errorf("append: %w: outcome is not known", eventlog.ErrUnavailable)
	switch f {
	case lostNever:
		return eventlog.Appended{}, lost
	case lostWritten:
		if _, err := l.Log.Append(ctx, b); err != nil {
			return eventlog.Appended{}, err
		}
		return eventlog.Appended{}, lost
	case lostLate:
		done, now, later := make(chan struct{}), l.lag(), *b
		for _, k := range ks {
			l.locked[k] = done
		}
		l.late.Go(func() {
			<-now
			l.mu.Lock()
			defer l.mu.Unlock()
			_, _ = l.Log.Append(context.WithoutCancel(ctx), &later) // if this is a conflict, nothing is written
			for _, k := range ks {
				delete(l.locked, k)
			}
			close(done)
		})
		return eventlog.Appended{}, lost
	default:
		return l.Log.Append(ctx, b)
	}
}

func (l *lossyLog) Close() error {
	l.late.Wait()
	return l.Log.Close()
}
