package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Bounds of one transaction: a batch is everything that is queued, up to these.
const (
	maxBatchAppends = 2048
	maxBatchBytes   = 16 << 20
	queueSize       = 4096 // when the queue is full, callers wait to hand over their append
)

// Who owns a request: its caller until a lane takes it, then the lane until it answers. A caller
// whose patience ends may withdraw a request that no lane has taken.
const (
	held int32 = iota
	taken
	withdrawn
)

// request is one append, with the place for its result and the caller who waits for it.
type request struct {
	ctx    context.Context //nolint:containedctx // the waiter's; travels with its request
	batch  *eventlog.Batch
	since  time.Time
	owner  atomic.Int32
	result eventlog.Appended
	err    error
	done   chan struct{} // gets one token when result and err are final
}

// writer owns the queue and the lanes that write.
type writer struct {
	l     *Log
	main  *lane
	queue chan *request
	slow  chan *request // requests that waited too long for a lock (lane.go)
	idle  chan struct{} // closed when all lanes have ended
	done  sync.WaitGroup
	pool  sync.Pool

	suspectMu sync.Mutex
	suspects  map[eventlog.StreamID]time.Time // streams whose appends wait for locks, and until when they are treated so

	statsMu sync.Mutex
	stats   eventlog.Stats
}

// slowLanes is how many appends may wait for locks at once, apart from the others.
const slowLanes = 2

func newWriter(l *Log, id [16]byte) *writer {
	w := &writer{
		l:        l,
		queue:    make(chan *request, queueSize),
		slow:     make(chan *request, queueSize),
		idle:     make(chan struct{}),
		suspects: map[eventlog.StreamID]time.Time{},
	}
	w.main = newLane(w, id, 0)
	w.pool.New = func() any { return &request{done: make(chan struct{}, 1)} }
	return w
}

func (w *writer) start() {
	var main, slow sync.WaitGroup
	main.Go(w.run)
	for i := range slowLanes {
		ln := newLane(w, w.main.id, byte(i+1))
		slow.Go(func() { w.runSlow(ln) })
	}
	w.done.Go(func() {
		main.Wait()
		close(w.slow)
		slow.Wait()
		close(w.idle)
	})
	w.l.done.Go(w.l.notify)
}

// Append implements eventlog.Log.
func (l *Log) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	if err := b.Validate(); err != nil {
		return eventlog.Appended{}, err
	}
	if l.w == nil {
		return eventlog.Appended{}, ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return eventlog.Appended{}, err
	}
	w := l.w
	r := w.pool.Get().(*request)
	r.ctx, r.batch, r.since = ctx, b, time.Now()
	patience := time.NewTimer(l.o.Patience)
	defer patience.Stop()
	select {
	case w.queue <- r:
	case <-l.stopping:
		return eventlog.Appended{}, l.ended()
	case <-l.failed:
		return eventlog.Appended{}, l.failure()
	case <-ctx.Done():
		return eventlog.Appended{}, ctx.Err()
	case <-patience.C:
		return eventlog.Appended{}, fmt.Errorf("append: %w: queue is full", eventlog.ErrUnavailable)
	}
	return w.await(ctx, r, patience.C)
}

// await waits for the answer to a request. A lane that has taken the request answers within its own
// time limits.
func (w *writer) await(ctx context.Context, r *request, patience <-chan time.Time) (eventlog.Appended, error) {
	for {
		select {
		case <-r.done:
		case <-ctx.Done():
			return eventlog.Appended{}, ctx.Err() // a lane may still use r, so r must not be reused
		case <-patience:
			if r.owner.CompareAndSwap(held, withdrawn) {
				return eventlog.Appended{}, fmt.Errorf("append: %w", eventlog.ErrUnavailable)
			}
			patience = nil
			continue
		case <-w.idle:
			select {
			case <-r.done: // the lane's last batch contained it
			default:
				return eventlog.Appended{}, w.l.ended()
			}
		}
		result, err := r.result, r.err
		w.reuse(r)
		return result, err
	}
}

func (w *writer) reuse(r *request) {
	r.ctx, r.batch, r.result, r.err = nil, nil, eventlog.Appended{}, nil
	r.owner.Store(held)
	w.pool.Put(r)
}

// run is the main lane. It ends when the log fails, or after Close when the queue is empty.
func (w *writer) run() {
	defer w.main.close()
	var batch []*request
	for w.l.failure() == nil {
		var first *request
		select {
		case first = <-w.queue:
		case <-w.l.failed:
			return
		case <-w.l.stopping:
			select {
			case first = <-w.queue:
			default:
				return
			}
		}
		// A caller may withdraw while there is no connection, since nothing was sent yet.
		if err := w.main.connect(w.l.background, first.ctx); err != nil {
			w.main.pause(w.l)
			if first.take() {
				w.answer([]*request{first}, err)
			}
			continue
		}
		batch = w.gather(batch[:0], first)
		w.commit(w.main, batch)
	}
}

// take makes r the lane's, unless its caller has given up.
func (r *request) take() bool {
	return r.ctx.Err() == nil && r.owner.CompareAndSwap(held, taken)
}

// gather takes first and all other queued requests. Those that would probably wait for a lock are
// set aside.
func (w *writer) gather(batch []*request, first *request) []*request {
	size := 0
	for r := first; ; {
		switch {
		case r.ctx.Err() != nil:
		case w.suspect(r):
			w.setAside(r)
		case r.take():
			batch = append(batch, r)
			size += r.size()
		}
		if len(batch) >= maxBatchAppends || size >= maxBatchBytes {
			return batch
		}
		select {
		case r = <-w.queue:
		default:
			return batch
		}
	}
}

func (r *request) size() int {
	n := 0
	for i := range r.batch.Streams {
		for j := range r.batch.Streams[i].Events {
			e := &r.batch.Streams[i].Events[j]
			n += len(e.Head) + len(e.Body)
		}
	}
	return n
}

// commit writes the batch on a lane and answers every request in it.
func (w *writer) commit(ln *lane, batch []*request) {
	if len(batch) == 0 {
		return
	}
	p, took, err := ln.write(batch)
	switch kind := classify(err); {
	case err == nil:
		w.succeeded(batch, p, took)
	case kind == troubleCorrupt:
		w.answer(batch, w.l.fail(fmt.Errorf("%w: %w", eventlog.ErrCorrupt, plain(err))))
	case kind == troubleLocked && ln == w.main:
		for _, r := range batch {
			r.owner.Store(held)
			w.setAside(r)
		}
	case kind == troubleOne && len(batch) > 1:
		// One of the appends cannot be written (a text that is not UTF-8, say). To find out which
		// one, each is written in a transaction of its own.
		for i := range batch {
			w.commit(ln, batch[i:i+1])
		}
	default:
		w.answer(batch, fmt.Errorf("append: %w", named(context.Background(), err)))
	}
}

func (w *writer) succeeded(batch []*request, p *plan, took time.Duration) {
	var conflicts uint64
	for _, r := range batch {
		if r.err != nil {
			conflicts++
		}
	}
	w.statsMu.Lock()
	w.stats.Batches++
	w.stats.Appends += uint64(len(batch)) - conflicts
	w.stats.Events += uint64(len(p.events.pos))
	w.stats.Conflicts += conflicts
	w.stats.FlushSeconds += took.Seconds()
	w.stats.LastFlush = took
	w.statsMu.Unlock()
	for _, r := range batch {
		r.done <- struct{}{}
	}
	if len(p.events.pos)+len(p.queued) > 0 {
		w.l.hint.grown()
	}
}

// answer fails every request in batch with err.
func (w *writer) answer(batch []*request, err error) {
	w.statsMu.Lock()
	w.stats.Failures += uint64(len(batch))
	w.statsMu.Unlock()
	for _, r := range batch {
		r.result, r.err = eventlog.Appended{}, err
		r.done <- struct{}{}
	}
}

// Stats implements eventlog.Log.
func (l *Log) Stats() eventlog.Stats {
	if l.w == nil {
		return eventlog.Stats{}
	}
	l.w.statsMu.Lock()
	defer l.w.statsMu.Unlock()
	s := l.w.stats
	s.Queue = len(l.w.queue) + len(l.w.slow)
	return s
}
