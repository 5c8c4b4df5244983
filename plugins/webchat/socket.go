package webchat

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/lxzan/gws"

	"github.com/parley-gateway/parley/internal/wsframe"
	"github.com/parley-gateway/parley/plugins/sdk"
)

// Limits on what one socket may send.
const (
	// maxFrame is the longest message of a client that is carried out, in bytes: the longest text
	// together with a filled-in form. A longer one is answered with too_long up to maxRead; beyond
	// that it is not read, and closes the socket.
	maxFrame = 32 << 10
	maxRead  = 2 * maxFrame
	// readBuffer is the buffer that an idle socket keeps for reading.
	readBuffer = 512

	frameRate, frameBurst = 20, 120           // frames a second, besides the site's message rate
	bytesRate, bytesBurst = 32 << 10, 1 << 20 // bytes a second, of frames of any kind
	bytesPerMessage       = 1 << 10           // added to bytesRate for each message a second
	grantRate, grantBurst = 0.5, 20           // upload grants and file URLs
	startRate, startBurst = 0.2, 10           // conversations of one visitor
	maxHeld, maxHeldBytes = 16, 64 << 10      // frames, beginning with a start, that wait for the first pong
	tokenRate, tokenBurst = 0.2, 3            // tokens made for one socket
	pageRate, pageBurst   = 1, 10
	typingEvery           = 2000 // milliseconds between two typing signals
)

// socket is one customer's connection. One goroutine reads and handles frames; answers go through
// the outbox.
type socket struct {
	p      *Plugin
	conn   *gws.Conn
	origin string // "" = the client is not a browser
	slot   int    // place in the hub's table of sockets; guarded by the hub's mutex
	place  int

	raw    net.Conn
	remote netip.Addr   // the client's address as the proxy reports it (clientAddress)
	opened int64        // when it was opened, in milliseconds
	heard  atomic.Int64 // milliseconds: when the client last sent something
	hello  atomic.Bool  // the client has sent a hello
	vis    atomic.Pointer[visitor]
	reason atomic.Pointer[string] // why the server ends the socket
	heldAt atomic.Int64           // milliseconds: since when a start is held; 0 = none is
	out    outbox

	at   atomic.Pointer[site] // nil before hello; changes with the configuration
	page atomic.Pointer[sdk.Page]

	// These are used by the reading goroutine only.
	incoming wsframe.Check
	frames   bucket
	bytes    bucket
	grants   bucket
	tokens   bucket
	locale   string
	from     *address // nil: the address is exempt, or hello has not come
	// proof is the payload of the first ping; proven: its pong has come, so the client reads. Until
	// then a start, and the frames after it, are held.
	proof     [8]byte
	proven    bool
	held      [][]byte
	heldBytes int
	// resumed: the client continues from its cursor, and reports itself when its page changes.
	resumed bool
	sub     sdk.Subscription
}

func (s *socket) visitor() *visitor { return s.vis.Load() }

// serveSocket upgrades a request. The handler returns at once, so nothing of the request is kept
// while the socket is open.
func (p *Plugin) serveSocket(w http.ResponseWriter, r *http.Request) {
	h := p.hub.Load()
	conf := p.sites.Load()
	if h == nil || conf == nil {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	origin := r.Header.Get("Origin")
	if !conf.allows(origin) {
		h.count.forbidden.Add(1)
		http.Error(w, "origin not allowed", http.StatusForbidden)
		return
	}
	if !websocketRequest(r) {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this is a WebSocket; see plugins/webchat/README.md", http.StatusUpgradeRequired)
		return
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "cannot upgrade", http.StatusInternalServerError)
		return
	}
	conn, rw, err := hijacker.Hijack()
	if err != nil {
		p.log().Warn("socket not taken over", "err", err)
		return
	}
	if rw.Reader.Buffered() > 0 { // RFC 6455, 4.1: the client must not send before the server's answer
		_ = conn.Close()
		return
	}
	s := &socket{p: p, raw: conn, origin: origin, remote: clientAddress(r), opened: h.now(), incoming: wsframe.Check{Limit: maxRead}}
	s.out.init()
	s.heard.Store(s.opened)
	// The library uses compression only if told to, but it parses this header in any case.
	r.Header.Del("Sec-Websocket-Extensions")
	ws, err := p.upgrader.UpgradeFromConn(conn, bufio.NewReaderSize(s, readBuffer), r)
	if err != nil {
		return // gws has answered and closed
	}
	ws.Session().(*session).s = s
	s.conn = ws
	if !h.add(s) {
		_ = ws.WriteClose(closeRestart, []byte("restart"))
		return
	}
	h.count.opened.Add(1)
	h.work.Go(func() {
		defer s.end()
		defer s.contain("read")
		ws.ReadLoop()
	})
}

// end runs on the reading goroutine after its loop, and releases all that the socket holds.
func (s *socket) end() {
	s.out.end()
	if s.sub != nil {
		s.sub.Close()
	}
	h := s.p.hub.Load()
	if len(s.held) > 0 {
		h.count.unproven.Add(1)
	}
	h.addresses.leave(s.from, h.now())
	h.remove(s)
}

// contain is deferred by the socket's goroutines: a panic in one of them ends this socket and
// nothing else (PR19). The value of a panic may contain what customers wrote, so only runtime
// errors are logged.
func (s *socket) contain(part string) {
	v := recover()
	if v == nil {
		return
	}
	text := "panic"
	if err, ok := v.(runtime.Error); ok {
		text = err.Error()
	}
	s.p.hub.Load().count.panics.Add(1)
	s.p.log().Error("socket panicked", "part", part, "err", text, "stack", string(debug.Stack()))
	s.kill()
}

// OnOpen implements gws.Event.
func (p *Plugin) OnOpen(*gws.Conn) {}

// OnClose implements gws.Event; the socket ends after its loop.
func (p *Plugin) OnClose(*gws.Conn, error) {}

// OnPing implements gws.Event.
func (p *Plugin) OnPing(c *gws.Conn, payload []byte) {
	socketOf(c).put(packet{op: wsframe.Pong, data: append([]byte(nil), payload...)})
}

// OnPong implements gws.Event; Read has recorded that the client is alive.
func (p *Plugin) OnPong(c *gws.Conn, payload []byte) {
	if s := socketOf(c); !s.proven && s.hello.Load() && bytes.Equal(payload, s.proof[:]) {
		s.proven = true
		s.release()
	}
}

// OnMessage implements gws.Event.
func (p *Plugin) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	s := socketOf(c)
	if m.Opcode != wsframe.Text {
		s.bye("protocol", closeProtocol, 0)
		return
	}
	s.handle(m.Bytes())
}

// send queues an answer.
func (s *socket) send(frame any) { s.put(packet{op: wsframe.Text, data: encodeFrame(frame)}) }

// hint queues a frame that matters only now, and may be dropped.
func (s *socket) hint(data []byte) {
	if s.out.shed(packet{op: wsframe.Text, data: data}) {
		s.startWriter()
	}
}

func (s *socket) put(p packet) {
	start, over := s.out.put(p)
	if over {
		s.slow()
		return
	}
	if start {
		s.startWriter()
	}
}

func (s *socket) startWriter() {
	h := s.p.hub.Load()
	h.work.Go(func() {
		defer s.contain("write")
		s.write(h)
	})
}

// batchBytes is the most that one write to the connection contains, unless a single frame is
// longer.
const batchBytes = 16 << 10

// write writes until the outbox is empty. Frames that wait together go out in one write, because
// each write costs the gateway's tunnel a read and a write as well.
func (s *socket) write(h *hub) {
	buf := h.buffers.Get().(*[]byte)
	defer h.buffers.Put(buf)
	for spent := 0; ; {
		queue := s.out.next(spent, h.now())
		if len(queue) == 0 {
			return
		}
		spent = 0
		batch := (*buf)[:0]
		for i := range queue {
			p := &queue[i]
			spent += len(p.data)
			if p.op == wsframe.Close {
				if s.flush(batch) == nil {
					_ = s.conn.WriteClose(p.code, p.data) // closes the connection whether it succeeds or not
				}
				return
			}
			if len(batch) > 0 && len(batch)+len(p.data) > batchBytes {
				if s.flush(batch) != nil {
					return
				}
				batch = batch[:0]
			}
			batch = wsframe.Append(batch, p.op, p.data)
		}
		if s.flush(batch) != nil {
			return
		}
		if cap(batch) <= 2*batchBytes {
			*buf = batch
		}
	}
}

// flush writes whole frames. gws writes its own close frames to the same connection, whose writes
// are atomic.
func (s *socket) flush(batch []byte) error {
	if len(batch) == 0 {
		return nil
	}
	_, err := s.raw.Write(batch)
	if err != nil {
		s.kill()
	}
	return err
}

// bye tells the client the reason and ends the socket. Only the first call counts.
func (s *socket) bye(reason string, code uint16, retryMS int64) {
	if !s.reason.CompareAndSwap(nil, &reason) {
		return
	}
	switch h := s.p.hub.Load(); reason {
	case "flood":
		h.count.flood.Add(1)
	case "protocol":
		h.count.malformed.Add(1)
	}
	s.put(packet{op: wsframe.Text, data: encodeFrame(byeFrame{T: "bye", Reason: reason, RetryMS: retryMS})})
	s.put(packet{op: wsframe.Close, code: code, data: []byte(reason)})
}

// slow ends a socket whose client does not read. No reason can be sent, since there is no room for
// it: the client resumes from its cursor.
func (s *socket) slow() {
	reason := "slow"
	if s.reason.CompareAndSwap(nil, &reason) {
		s.p.hub.Load().count.slow.Add(1)
	}
	s.kill()
}

// kill ends the socket without a close frame.
func (s *socket) kill() {
	s.out.end()
	_ = s.conn.NetConn().Close()
}

// reconfigure gives the socket its site in a new configuration.
func (s *socket) reconfigure(conf *sites) {
	was := s.at.Load()
	if was == nil {
		return
	}
	now := conf.byAccount[was.account]
	switch {
	case now == nil:
		s.bye("site", closeSite, 0)
	case !now.allows(s.origin):
		s.bye("origin", closeOrigin, 0)
	default:
		s.at.Store(now)
	}
}

// check is called every 10 s: it closes a socket that is silent or stuck, and pings a quiet one.
func (s *socket) check(now int64) {
	silent := time.Duration(now-s.heard.Load()) * time.Millisecond
	since := s.out.stuckSince()
	switch {
	case since != 0 && time.Duration(now-since)*time.Millisecond > stuckAfter:
		s.slow()
	case silent > deadAfter:
		s.p.hub.Load().count.silent.Add(1)
		s.kill()
	case !s.hello.Load() && time.Duration(now-s.opened)*time.Millisecond > helloTimeout:
		s.bye("hello", closeProtocol, 0)
	case s.unprovenSince(now) > proofTimeout:
		s.bye("unproven", closeProtocol, 60_000)
	case silent > pingAfter:
		s.put(packet{op: wsframe.Ping})
	}
}

// Read is what gws reads from: the client's bytes, as long as its frames are well-formed and
// neither frames nor bytes are too many (FT24). Otherwise it queues the goodbye, and reads on and
// drops what comes until the writer has closed the connection: closing a connection with unread
// bytes resets it, and the client would not learn why it was closed.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.raw.Read(b)
	if n == 0 || s.admit(b[:n]) {
		return n, err
	}
	for err == nil {
		_, err = s.raw.Read(b)
	}
	return 0, err
}

// admit checks the frames that begin in b, whether messages, fragments or pings, and records that
// the client is alive.
func (s *socket) admit(b []byte) bool {
	h := s.p.hub.Load()
	now := h.now()
	rate, burst, bps := float32(frameRate), float32(frameBurst), float32(bytesRate)
	if at := s.at.Load(); at != nil {
		rate += 3 * float32(at.MessagesPerSecond)
		burst += 3 * float32(at.MessageBurst)
		bps += bytesPerMessage * float32(at.MessagesPerSecond)
	}
	frames, fault := s.incoming.Next(b)
	if fault != nil {
		s.bye("protocol", fault.Code, 0)
		return false
	}
	if frames > 0 {
		s.heard.Store(now)
		h.count.frames.Add(uint64(frames))
	}
	if !s.bytes.take(now, float32(len(b)), bps, bytesBurst) || !s.frames.take(now, float32(frames), rate, burst) {
		s.bye("flood", closeProtocol, 60_000)
		return false
	}
	return true
}

// unprovenSince is how long a start has been waiting for its client's pong.
func (s *socket) unprovenSince(now int64) time.Duration {
	if at := s.heldAt.Load(); at != 0 {
		return time.Duration(now-at) * time.Millisecond
	}
	return 0
}

func websocketRequest(r *http.Request) bool {
	return r.Method == http.MethodGet && headerHas(r.Header, "Connection", "upgrade") && headerHas(r.Header, "Upgrade", "websocket")
}
