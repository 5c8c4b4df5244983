package stream

import (
	"errors"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lxzan/gws"
	"golang.org/x/time/rate"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/auth"
	"github.com/parley-gateway/parley/internal/wsframe"
)

// socket is one agent's connection. One goroutine reads and decodes frames, one polls the feed and
// writes, and a third runs commands one after the other while there are any. What is written comes
// from the feed, which is polled only when the socket can take more, and from a bounded queue of
// answers.
type socket struct {
	s       *Stream
	conn    *gws.Conn
	net     net.Conn
	id      auth.Identity // as it was when the socket was opened
	opened  time.Time
	release func() // gives back the socket's places under the limits

	feed    Feed
	view    *view // used by the writing goroutine only
	wake    chan struct{}
	gone    chan struct{} // closed when the reading goroutine has ended
	parts   sync.WaitGroup
	unwatch func()

	// When the client last sent something and when it was last pinged, in nanoseconds since opened:
	// wall time would make every socket look silent when the clock is set (FT19).
	heard     atomic.Int64
	pinged    atomic.Int64
	board     atomic.Bool
	boardSent atomic.Bool

	// These are used by the reading goroutine only.
	incoming              wsframe.Check
	frames, sends, typing *rate.Limiter
	faults                int

	mu        sync.Mutex
	queue     []byte // frames that wait to be written
	farewell  *farewell
	over      bool // nothing is written any more
	helloed   bool // the client has sent a hello
	ready     bool // the hello was dealt with, so the feed is polled
	connected bool // the router counts this socket
	cursors   map[conversation.ConversationID]uint64
	jobs      []func()
	working   bool
	reason    string // why the socket ended; label of the metric
}

// farewell is what the server tells a client whose socket it closes.
type farewell struct {
	reason string
	code   uint16
	retry  time.Duration
}

// newSocket makes the socket for a connection that is not upgraded yet.
func newSocket(s *Stream, conn net.Conn, id auth.Identity, release func()) *socket {
	return &socket{
		s: s, net: conn, opened: time.Now(), release: release, id: id,
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
		incoming: wsframe.Check{Limit: maxFrame},
		frames:   rate.NewLimiter(rate.Limit(s.opts.FramePerSecond), s.opts.FrameBurst),
		sends:    rate.NewLimiter(rate.Limit(s.opts.SendPerSecond), s.opts.SendBurst),
		typing:   rate.NewLimiter(4, 20),
	}
}

// start starts the socket's goroutines; the caller holds the stream's mutex.
func (k *socket) start() {
	k.feed = k.s.opts.Router.NewFeed(k.id.User, api.AudienceOf(k.id), k.poke)
	k.view = newView(k)
	k.parts.Go(func() {
		defer k.contain("write")
		k.write()
	})
	k.s.work.Go(func() {
		// Watch may call back at once, so it comes when all else is set.
		ended := k.s.opts.Sessions.Watch(k.id, func() { k.bye("revoked", closeRevoked, 0) })
		// What the user may see has changed, so the client must open a new socket.
		changed := k.s.opts.Sessions.WatchRights(k.id, func() { k.bye("restart", closeRestart, 0) })
		k.unwatch = func() { ended(); changed() }
		defer k.end()
		defer k.contain("read")
		k.conn.ReadLoop()
	})
}

// contain is deferred by the socket's goroutines: a panic in one of them ends this socket and
// nothing else (PR19). The value of a panic may contain what customers wrote, so only runtime
// errors are logged.
func (k *socket) contain(part string) {
	p := recover()
	if p == nil {
		return
	}
	text := "panic"
	if err, ok := p.(runtime.Error); ok {
		text = err.Error()
	}
	k.s.metrics.panics.Inc()
	k.s.log.Error("stream: socket panicked", "part", part, "err", text, "stack", string(debug.Stack()))
	k.kill()
}

// end runs on the reading goroutine after its loop, and releases all that the socket holds.
func (k *socket) end() {
	k.unwatch()
	close(k.gone)
	_ = k.net.Close()
	k.parts.Wait()
	k.feed.Close()
	k.mu.Lock()
	reason, connected := k.reason, k.connected
	k.mu.Unlock()
	if connected {
		k.s.opts.Router.AgentDisconnected(k.id.User)
	}
	if reason == "" {
		reason = "client"
	}
	k.release()
	k.s.metrics.closed.WithLabelValues(reason).Inc()
	k.s.metrics.sockets.Dec()
	k.s.mu.Lock()
	delete(k.s.sockets, k)
	k.s.mu.Unlock()
}

// kill closes the connection without a bye or close frame.
func (k *socket) kill() { _ = k.net.Close() }

// poke wakes the writing goroutine.
func (k *socket) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// identity is the present identity of the socket's user.
func (k *socket) identity() (auth.Identity, error) { return k.s.opts.Sessions.Current(k.id) }

// put queues whole frames. If the queue is full the socket is closed: its client resumes from its
// cursors and loses nothing.
func (k *socket) put(frames []byte) {
	k.mu.Lock()
	full := len(k.queue)+len(frames) > maxQueue
	if !full && !k.over {
		k.queue = append(k.queue, frames...)
	}
	k.mu.Unlock()
	if full {
		k.bye("slow", closeSlow, time.Second)
		return
	}
	k.poke()
}

// shed queues frames that are useful only now (pongs, typing) if there is room, and else drops
// them.
func (k *socket) shed(frames []byte) {
	k.mu.Lock()
	room := len(k.queue)+len(frames) <= shedQueue
	k.mu.Unlock()
	if !room {
		k.s.metrics.shed.Inc()
		return
	}
	k.put(frames)
}

func (k *socket) send(frame any) { k.put(appendJSON(nil, frame)) }

// bye tells the client the reason and closes the socket. Only the first call counts. A write under
// way gets two more seconds.
func (k *socket) bye(reason string, code uint16, retry time.Duration) {
	k.mu.Lock()
	if k.farewell == nil && !k.over {
		k.farewell = &farewell{reason, code, retry}
		k.reason = reason
		_ = k.net.SetWriteDeadline(time.Now().Add(2 * time.Second))
	}
	k.mu.Unlock()
	k.poke()
}

// check is called once a second; it closes a silent socket and pings a quiet one.
func (k *socket) check(now time.Time) {
	since := now.Sub(k.opened)
	quiet := since - time.Duration(k.heard.Load())
	k.mu.Lock()
	helloed := k.helloed
	if quiet > silentFor && k.reason == "" {
		k.reason = "silent"
	}
	k.mu.Unlock()
	switch {
	case quiet > silentFor:
		k.kill() // nobody is there who could read a bye: the connection is half open (FT20)
		return
	case !helloed && since > helloWithin:
		k.bye("protocol", closeProtocol, 0)
		return
	}
	if _, err := k.identity(); err != nil {
		k.bye("revoked", closeRevoked, 0)
		return
	}
	if since-time.Duration(k.pinged.Load()) >= pingEvery {
		k.pinged.Store(int64(since))
		k.put(wsframe.Append(nil, wsframe.Ping, nil))
	}
}

// pollItems is how many items one Poll asks the feed for, and writeChunk how many bytes are
// gathered before they are written.
const (
	pollItems  = 64
	writeChunk = 32 << 10
)

// write is the loop of the writing goroutine.
func (k *socket) write() {
	failures := 0
	for {
		bp := k.s.buffers.Get().(*[]byte)
		buf, last, more := k.gather((*bp)[:0], &failures)
		ok := len(buf) == 0 || k.flush(buf, last)
		if cap(buf) <= 4*writeChunk {
			*bp = buf[:0]
			k.s.buffers.Put(bp)
		}
		if !ok || last {
			return
		}
		if more {
			continue
		}
		select {
		case <-k.wake:
		case <-k.gone:
			return
		}
	}
}

// gather appends what is to be written now to buf. last: the socket is closed after it. more: there
// may be more to write at once.
func (k *socket) gather(buf []byte, failures *int) (_ []byte, last, more bool) {
	k.mu.Lock()
	buf = append(buf, k.queue...)
	if k.queue = k.queue[:0]; cap(k.queue) > writeChunk {
		k.queue = nil
	}
	f, ready := k.farewell, k.ready
	k.mu.Unlock()
	if f != nil {
		buf = appendJSON(buf, byeFrame{T: "bye", Reason: f.reason, RetryMS: f.retry.Milliseconds()})
		return wsframe.AppendClose(buf, f.code, f.reason), true, false
	}
	if !ready {
		return buf, false, false
	}
	if !k.view.sent {
		buf = k.view.agent(buf)
		if k.view.sent {
			buf = k.view.recent(buf)
		}
	}
	for len(buf) < writeChunk {
		items, err := k.feed.Poll(k.s.ctx, pollItems)
		n := 0
		for i := range items {
			buf, n = k.view.item(buf, &items[i], n)
		}
		k.s.metrics.events.Add(float64(n))
		if err != nil {
			return buf, false, k.pause(err, failures)
		}
		*failures = 0
		if len(items) == 0 {
			return buf, false, false
		}
	}
	return buf, false, true
}

// pause waits after the store has failed to answer the feed, whose cursors have not moved. It
// reports whether to go on.
func (k *socket) pause(err error, failures *int) bool {
	*failures++
	if *failures == 1 {
		k.s.log.Error("stream: feed cannot be read", "err", err)
	}
	if *failures > 40 {
		k.bye("restart", closeRestart, 5*time.Second)
		return true
	}
	select {
	case <-k.gone:
		return false
	case <-time.After(250 * time.Millisecond):
		return true
	}
}

// flush writes frames with one write. After the last ones it waits for the client to answer the
// close frame, so that closing does not reset what the client has yet to read.
func (k *socket) flush(buf []byte, last bool) bool {
	k.mu.Lock()
	stall := k.s.opts.Stall
	if k.farewell != nil {
		stall = 2 * time.Second
	}
	_ = k.net.SetWriteDeadline(time.Now().Add(stall)) // fails when the connection is closed, and then the write fails, too
	k.mu.Unlock()
	_, err := k.net.Write(buf)
	k.s.metrics.bytes.Add(float64(len(buf)))
	k.mu.Lock()
	if err != nil || last {
		k.over, k.queue = true, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && k.reason == "" {
		k.reason = "slow"
	}
	k.mu.Unlock()
	switch {
	case err != nil:
		k.kill()
	case last:
		if c, ok := k.net.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
		_ = k.net.SetReadDeadline(time.Now().Add(2 * time.Second))
	}
	return err == nil
}

// job runs fn after the jobs queued before it; false when too many wait.
func (k *socket) job(fn func()) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.jobs) >= maxPipelined {
		return false
	}
	k.jobs = append(k.jobs, fn)
	if !k.working {
		k.working = true
		k.parts.Go(k.runJobs)
	}
	return true
}

func (k *socket) runJobs() {
	for {
		k.mu.Lock()
		if len(k.jobs) == 0 {
			k.working, k.jobs = false, nil
			k.mu.Unlock()
			return
		}
		fn := k.jobs[0]
		k.jobs = k.jobs[1:]
		k.mu.Unlock()
		func() {
			defer k.contain("command")
			fn()
		}()
	}
}
