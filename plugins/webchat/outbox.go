package webchat

import (
	"sync"

	"github.com/parley-gateway/parley/internal/wsframe"
)

// Limits on what may wait for one socket, in bytes.
const (
	// recordMark: with more than this, the log is not read further for the socket until it has
	// drained; the host then waits with the next records (credit).
	recordMark = 64 << 10
	// shedMark: with more than this, typing and queue frames are dropped, since they matter only
	// now.
	shedMark = 16 << 10
	// hardLimit: with more than this the socket is closed, because its client asks for answers and
	// does not read them.
	hardLimit = 256 << 10
)

// packet is one WebSocket frame to be written. A close frame ends the socket.
type packet struct {
	data []byte
	op   byte   // opcode, one of wsframe's
	code uint16 // close code, for a close frame
}

// outbox holds what waits to be written to a socket. While it is empty it has no memory and no
// goroutine; while it is not, one goroutine writes. It never drops events: it makes the goroutine
// that feeds it wait, or ends the socket.
type outbox struct {
	mu      sync.Mutex
	drained sync.Cond
	queue   []packet
	bytes   int
	writing bool
	since   int64 // milliseconds: when the write under way began; 0 = none
	closed  bool
}

func (o *outbox) init() { o.drained.L = &o.mu }

// put appends p. It reports whether the caller has to start the writer, and whether the hard limit
// is exceeded.
func (o *outbox) put(p packet) (start, over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false, false
	}
	if p.op == wsframe.Close {
		o.closed = true
		o.drained.Broadcast()
	} else if o.bytes+len(p.data) > hardLimit {
		return false, true
	}
	return o.push(p), false
}

// shed appends p, unless too much is waiting already.
func (o *outbox) shed(p packet) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.bytes > shedMark {
		return false
	}
	return o.push(p)
}

// feed waits for room and appends p. It reports false when the socket has ended.
func (o *outbox) feed(p packet) (start, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.bytes > recordMark && !o.closed {
		o.drained.Wait()
	}
	if o.closed {
		return false, false
	}
	return o.push(p), true
}

func (o *outbox) push(p packet) (start bool) {
	o.queue = append(o.queue, p)
	o.bytes += len(p.data)
	start = !o.writing
	o.writing = true
	return start
}

// next gives the whole queue to the writer, which has just written spent bytes; nil: the writer
// ends.
func (o *outbox) next(spent int, now int64) []packet {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes -= spent
	o.since = now
	q := o.queue
	o.queue = nil
	if len(q) == 0 {
		o.writing, o.since = false, 0
	}
	o.drained.Broadcast()
	return q
}

// stuckSince is when the write under way began, in milliseconds; 0 = none is.
func (o *outbox) stuckSince() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.since
}

// end makes the outbox refuse everything from now on, and wakes a waiting feeder.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.queue, o.bytes = nil, 0
	o.drained.Broadcast()
}
