package sqlite

import (
	"context"
	"fmt"
	"runtime"
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

// request is one unit of work for the writer goroutine, with the place for its result and the
// caller who waits for it.
type request struct {
	ctx     context.Context //nolint:containedctx // the waiter's; travels with its request
	batch   *eventlog.Batch
	work    func() error // instead of batch: any other work that writes
	outside func() error // instead of batch and work: is run outside a transaction
	result  eventlog.Appended
	err     error
	done    chan struct{} // gets one token when result and err are final
}

// writer owns the writing connection. Only its goroutine touches the fields
// up to published.
type writer struct {
	l     *Log
	conn  *conn
	sql   statements
	known known
	heads map[eventlog.StreamID]uint64 // last sequence of each stream, as of the open transaction
	// pos and maxKey are as of the open transaction; committed holds the values for a rollback.
	pos, maxKey int64
	committed   struct{ pos, maxKey int64 }
	batch       []*request
	full        uint64 // writes refused because the disk is full, since the last successful one

	queue chan *request
	idle  chan struct{} // closed when the goroutine has ended
	pool  sync.Pool

	published atomic.Int64 // last committed position
	growMu    sync.Mutex
	grown     chan struct{} // closed and replaced after a commit; nil when nobody waits

	statsMu sync.Mutex
	stats   eventlog.Stats
}

// maxHeads bounds the heads kept in memory (about 64 bytes each).
const maxHeads = 1 << 17

// maxYields is how often the writer yields the processor before it commits, so that the callers
// whom the last commit has woken can add their appends: a flush for many costs little more than one
// for few. It never waits: if nobody else runs, it goes on at once.
const maxYields = 4

// newWriter connects to the database; load must be called before run.
func newWriter(l *Log) (*writer, error) {
	c, err := connect(DSN(l.path))
	if err != nil {
		return nil, err
	}
	w := &writer{
		l:     l,
		conn:  c,
		heads: make(map[eventlog.StreamID]uint64),
		queue: make(chan *request, queueSize),
		idle:  make(chan struct{}),
	}
	w.known.w = w
	w.pool.New = func() any { return &request{done: make(chan struct{}, 1)} }
	return w, nil
}

// load prepares the statements and reads where the log ends.
func (w *writer) load() error {
	if err := w.prepare(); err != nil {
		return err
	}
	row, err := w.conn.once(`PRAGMA journal_mode`)
	if err != nil {
		return err
	}
	if mode := row[0]; mode != "wal" { // some network file systems do not support this mode
		return fmt.Errorf("journal mode is %v, want wal: is the data folder on a local disk?", mode)
	}
	row, err = w.conn.once(`SELECT (SELECT coalesce(max(pos), 0) FROM events), (SELECT value FROM log_meta WHERE name = 'max_key')`)
	if err != nil {
		return err
	}
	w.pos, w.maxKey = row[0].(int64), row[1].(int64)
	w.committed.pos, w.committed.maxKey = w.pos, w.maxKey
	w.published.Store(w.pos)
	return nil
}

// do hands work to the writer and waits for its result. When ctx ends first the work may still be
// done.
func (l *Log) do(ctx context.Context, fill func(*request)) (eventlog.Appended, error) {
	if l.w == nil {
		return eventlog.Appended{}, ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return eventlog.Appended{}, err
	}
	w := l.w
	r := w.pool.Get().(*request)
	r.ctx = ctx
	fill(r)
	select {
	case w.queue <- r:
	case <-l.stopping:
		return eventlog.Appended{}, l.ended()
	case <-l.failed:
		return eventlog.Appended{}, l.failure()
	case <-ctx.Done():
		return eventlog.Appended{}, ctx.Err()
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return eventlog.Appended{}, ctx.Err() // the writer may still use r, so r must not be reused
	case <-w.idle:
		select {
		case <-r.done: // the writer's last batch contained it
		default:
			return eventlog.Appended{}, l.ended()
		}
	}
	result, err := r.result, r.err
	*r = request{done: r.done}
	w.pool.Put(r)
	return result, err
}

// ended returns why nothing is written any more.
func (l *Log) ended() error {
	if err := l.failure(); err != nil {
		return err
	}
	return eventlog.ErrClosed
}

// Append implements eventlog.Log.
func (l *Log) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	if err := b.Validate(); err != nil {
		return eventlog.Appended{}, err
	}
	return l.do(ctx, func(r *request) { r.batch = b })
}

// run is the writer goroutine. It ends when the log fails, or after Close when the queue is empty.
func (w *writer) run() {
	defer close(w.idle)
	for w.l.failure() == nil {
		select {
		case r := <-w.queue:
			w.take(r)
		case <-w.l.failed:
			return
		case <-w.l.stopping:
			select {
			case r := <-w.queue:
				w.take(r)
			default:
				return
			}
		}
		if w.l.failure() == nil {
			w.commit(w.batch)
		}
	}
}

// take collects first and all other queued requests, leaving out those whose caller has given up.
func (w *writer) take(first *request) {
	w.batch = w.batch[:0]
	size, yields := 0, 0
	for r := first; ; {
		switch {
		case r.ctx.Err() != nil:
		case r.outside != nil:
			if r.err = r.outside(); classify(r.err) == troubleFatal {
				r.err = w.l.fail(r.err)
			}
			r.done <- struct{}{}
		default:
			w.batch = append(w.batch, r)
			size += r.size()
		}
		if len(w.batch) >= maxBatchAppends || size >= maxBatchBytes {
			return
		}
		select {
		case r = <-w.queue:
		default:
			if yields == maxYields {
				return
			}
			yields++
			runtime.Gosched()
			select {
			case r = <-w.queue:
			default:
				return
			}
		}
	}
}

func (r *request) size() int {
	n := 0
	if r.batch != nil {
		for i := range r.batch.Streams {
			for j := range r.batch.Streams[i].Events {
				e := &r.batch.Streams[i].Events[j]
				n += len(e.Head) + len(e.Body)
			}
		}
	}
	return n
}

// commit writes the batch in one transaction and answers every request in it.
func (w *writer) commit(batch []*request) {
	if len(batch) == 0 {
		return
	}
	events := w.pos
	took, err := w.transact(batch)
	switch kind := classify(err); {
	case err == nil:
		if w.full > 0 {
			w.l.log.Info("there is space on the disk again: writes go on", "refused", w.full)
			w.full = 0
		}
		w.succeeded(batch, uint64(w.pos-events), took)
	case kind == troubleFatal:
		w.answer(batch, w.l.fail(err))
	case kind == troubleFull:
		if w.full == 0 {
			w.l.log.Warn("the disk is full: writes fail until there is space", "err", err)
		}
		w.full += uint64(len(batch))
		w.answer(batch, fmt.Errorf("append: %w", named(err)))
	case kind == troubleBusy || len(batch) == 1:
		w.answer(batch, fmt.Errorf("append: %w", err))
	default:
		// One of the requests cannot be written (a value that is too long, say). To find out which
		// one, each is written in a transaction of its own.
		for i := range batch {
			if err := w.l.failure(); err != nil {
				w.answer(batch[i:], err)
				return
			}
			w.commit(batch[i : i+1])
		}
	}
}

// transact runs the batch up to the flush. After a nil error every request that has no error of its
// own is durable; otherwise nothing is.
func (w *writer) transact(batch []*request) (took time.Duration, err error) {
	w.l.gate.Lock()
	defer w.l.gate.Unlock()
	if _, err := w.sql.begin.exec(); err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	key := w.maxKey
	for _, r := range batch {
		if r.work != nil {
			r.err = r.work()
		} else {
			r.result, r.err = w.append(r.batch)
		}
		if classify(r.err) != troubleNone {
			return 0, w.rollback(r.err)
		}
	}
	if w.maxKey != key {
		if _, err := w.sql.setMeta.exec(w.maxKey, "max_key"); err != nil {
			return 0, w.rollback(err)
		}
	}
	start := time.Now()
	if _, err := w.sql.commit.exec(); err != nil {
		return 0, w.rollback(fmt.Errorf("commit: %w", err))
	}
	w.committed.pos, w.committed.maxKey = w.pos, w.maxKey
	return time.Since(start), nil
}

// rollback undoes the open transaction, also in memory. An error of ROLLBACK itself is ignored:
// SQLite rolls back by itself after some errors, and then nothing is left to roll back.
func (w *writer) rollback(err error) error {
	_, _ = w.sql.rollback.exec()
	clear(w.heads)
	w.pos, w.maxKey = w.committed.pos, w.committed.maxKey
	return err
}

func (w *writer) succeeded(batch []*request, events uint64, took time.Duration) {
	if events > 0 {
		// If this write is lost, only the check at the next start is weaker.
		_ = w.l.lock.write(witness{pos: w.pos})
		w.published.Store(w.pos)
	}
	var conflicts uint64
	for _, r := range batch {
		if r.err != nil {
			conflicts++
		}
	}
	w.statsMu.Lock()
	w.stats.Batches++
	w.stats.Appends += uint64(len(batch)) - conflicts
	w.stats.Events += events
	w.stats.Conflicts += conflicts
	w.stats.FlushSeconds += took.Seconds()
	w.stats.LastFlush = took
	w.statsMu.Unlock()
	for _, r := range batch {
		r.done <- struct{}{}
	}
	if events > 0 {
		w.tellGrown()
	}
	for id := range w.heads {
		if len(w.heads) <= maxHeads {
			break
		}
		delete(w.heads, id)
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
	s.Queue = len(l.w.queue)
	return s
}
