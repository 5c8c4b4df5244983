package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-gateway/parley/core/eventlog"
)

// lane is a connection that writes, used by one goroutine at a time. It has a
// row of its own in log_writers.
type lane struct {
	w     *writer
	id    [16]byte
	conn  *pgx.Conn
	token int64
	heads map[eventlog.StreamID]uint64 // last sequence as far as this lane knows; other nodes may be ahead
	fails int                          // how many attempts to connect have failed in a row
}

// maxHeads bounds the heads kept in memory (about 64 bytes each).
const maxHeads = 1 << 17

func newLane(w *writer, id [16]byte, n byte) *lane {
	id[15] = n
	return &lane{w: w, id: id, heads: make(map[eventlog.StreamID]uint64)}
}

// connect makes sure that there is a connection.
func (ln *lane) connect(ctx context.Context, waiter context.Context) error {
	if ln.conn != nil && !ln.conn.IsClosed() {
		return nil
	}
	if err := waiter.Err(); err != nil {
		return err
	}
	ln.drop()
	conn, err := connectOnce(ctx, byKey(ln.w.l.pc.ConnConfig))
	if err != nil {
		if ln.fails++; ln.fails == 1 {
			ln.w.l.log.WarnContext(ctx, "database cannot be reached", "err", plain(err))
		}
		return named(ctx, err)
	}
	if ln.fails > 0 {
		ln.w.l.log.InfoContext(ctx, "database can be reached again", "attempts", ln.fails)
	}
	ln.conn, ln.fails = conn, 0
	return nil
}

// pause waits a little longer after each failed attempt to connect, so that a server that is
// starting is not flooded with connections.
func (ln *lane) pause(l *Log) {
	if ln.fails == 0 {
		return
	}
	d := min(50*time.Millisecond<<min(ln.fails, 5), time.Second)
	t := time.NewTimer(d/2 + rand.N(d/2)) //nolint:gosec // jitter, no secret
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.stopping:
	}
}

// drop closes the connection and forgets what the lane knew through it.
func (ln *lane) drop() {
	clear(ln.heads)
	if ln.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the time to say goodbye to the server is bounded
	defer cancel()
	_ = ln.conn.Close(ctx)
	ln.conn = nil
}

// close closes the connection and waits for that; the row of log_writers stays, since its max_key
// is still needed.
func (ln *lane) close() {
	conn := ln.conn
	ln.drop()
	if conn == nil {
		return
	}
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-conn.PgConn().CleanupDone():
	case <-t.C:
	}
}

// learn stores the heads that a committed transaction made.
func (ln *lane) learn(p *plan) {
	for id, h := range p.heads {
		ln.heads[id] = h.seq
	}
	for id := range ln.heads {
		if len(ln.heads) <= maxHeads {
			break
		}
		delete(ln.heads, id)
	}
}

// suspectFor is how long appends to a stream go to the slow lanes after one of them waited for a
// lock without getting it.
const suspectFor = 3 * time.Second

// suspect reports whether r would probably wait for a lock.
func (w *writer) suspect(r *request) bool {
	w.suspectMu.Lock()
	defer w.suspectMu.Unlock()
	if len(w.suspects) == 0 {
		return false
	}
	for _, id := range streamsOf(r.batch) {
		until, ok := w.suspects[id]
		if ok && time.Now().Before(until) {
			return true
		}
		delete(w.suspects, id)
	}
	return false
}

func (w *writer) blame(r *request) {
	w.suspectMu.Lock()
	defer w.suspectMu.Unlock()
	for _, id := range streamsOf(r.batch) {
		w.suspects[id] = time.Now().Add(suspectFor)
	}
	for id, until := range w.suspects {
		if time.Now().After(until) {
			delete(w.suspects, id)
		}
	}
}

// streamsOf lists the streams and rows that an append changes.
func streamsOf(b *eventlog.Batch) (ids []eventlog.StreamID) {
	for i := range b.Streams {
		ids = append(ids, b.Streams[i].Stream)
	}
	for i := range b.Conversations {
		ids = append(ids, b.Conversations[i].ID)
	}
	for i := range b.OutboxUpdates {
		ids = append(ids, b.OutboxUpdates[i].CommandID)
	}
	return ids
}

// setAside hands a request that no lane has taken yet to the slow lanes.
func (w *writer) setAside(r *request) {
	select {
	case w.slow <- r:
	default:
		if r.take() {
			w.answer([]*request{r}, eventlog.ErrUnavailable)
		}
	}
}

// runSlow does appends one by one, each with its own wait for locks. Its connection is open only
// while there is work.
func (w *writer) runSlow(ln *lane) {
	defer ln.close()
	idle := time.NewTimer(time.Minute)
	defer idle.Stop()
	for {
		select {
		case r, ok := <-w.slow:
			if !ok {
				return
			}
			idle.Reset(time.Minute)
			if time.Since(r.since) > 2*w.l.o.Patience { // it has waited too long behind other requests
				if r.take() {
					w.answer([]*request{r}, eventlog.ErrUnavailable)
				}
				continue
			}
			if err := ln.connect(w.l.background, r.ctx); err != nil {
				ln.pause(w.l)
				if r.take() {
					w.answer([]*request{r}, err)
				}
				continue
			}
			if !r.take() {
				continue
			}
			w.commitSlow(ln, r)
		case <-idle.C:
			ln.drop()
		}
	}
}

func (w *writer) commitSlow(ln *lane, r *request) {
	p, took, err := ln.write([]*request{r})
	switch classify(err) {
	case troubleNone:
		w.succeeded([]*request{r}, p, took)
	case troubleLocked:
		w.blame(r)
		w.answer([]*request{r}, named(context.Background(), err))
	case troubleCorrupt:
		w.answer([]*request{r}, w.l.fail(plain(err)))
	default:
		w.answer([]*request{r}, named(context.Background(), err))
	}
}
