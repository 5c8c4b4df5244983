package webchat

import (
	"sync"

	"github.com/parley-gateway/parley/internal/wsframe"
)

// Bounds of what waits for one socket, in bytes.
const (
	// recordMark stops the reading of the log for a socket until it drains:
	// the host then waits with the next records (credit).
	recordMark = 64 << 10
	// shedMark drops typing and queue frames, which are only worth knowing now.
	shedMark = 16 << 10
	// hardLimit closes the socket: its client asks for answers without
	// reading them.
	hardLimit = 256 << 10
)

// packet is one WebSocket frame to be written. A close ends the socket.
type packet struct {
	data []byte
	op   byte   // of wsframe
	code uint16 // of a close
}

// outbox is what waits for a socket. Nothing is allocated and no goroutine
// runs while it is empty; one runs while it is not. It never drops what is
// logged: it makes its feeder wait, or ends the socket.
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

// put appends p. It reports whether the caller has to start the writer and
// whether the hard limit is passed.
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

// shed appends p unless much is waiting already.
func (o *outbox) shed(p packet) (start bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.bytes > shedMark {
		return false
	}
	return o.push(p)
}

// feed appends p after waiting for room. It reports false when the socket has
// ended.
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

// next hands the whole queue to the writer, which has just written spent
// bytes; nil: the writer ends.
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

// stuckSince tells when the write under way began, in milliseconds; 0 = none.
func (o *outbox) stuckSince() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.since
}

// end refuses everything from now on and lets a waiting feeder go.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.queue, o.bytes = nil, 0
	o.drained.Broadcast()
}
