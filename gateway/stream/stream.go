package stream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/lxzan/gws"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/auth"
	"github.com/parley-gateway/parley/gateway/limit"
)

// Sessions finds out who opens a socket and when their session ends (auth.Auth).
type Sessions interface {
	// Authenticate returns the identity of r's sender; for a socket with a cookie it has checked
	// the origin.
	Authenticate(r *http.Request) (auth.Identity, error)
	// Current returns the user's present identity; an error when the session has ended.
	Current(id auth.Identity) (auth.Identity, error)
	// Watch calls fn once when the session has ended.
	Watch(id auth.Identity, fn func()) (cancel func())
	// WatchRights calls fn once when the session has ended, or when the user's role or privileges
	// are no longer those of id. It is called after a Watch that began earlier.
	WatchRights(id auth.Identity, fn func()) (cancel func())
}

// Records gives the present records (directory.Directory).
type Records interface {
	Snapshot() *directory.Snapshot
}

// Options configure a Stream.
type Options struct {
	Router   Router
	Sessions Sessions
	Records  Records
	Trail    api.Trail // what agents read
	Version  string    // shown in the welcome frame
	// Now is the installation's time, by which desktops set their clocks; nil: time.Now.
	Now func() time.Time

	Limits
	Registry prometheus.Registerer
	Log      *slog.Logger
}

// Limits bound what agents' sockets may use. A zero field means its default.
type Limits struct {
	SocketsPerIP   int            // of one address or /64 network; default 1024
	SocketsPerUser int            // default 16
	Exempt         []netip.Prefix // networks not limited by SocketsPerIP; nil: loopback
	SendPerSecond  float64        // messages that one socket may send; default 10
	SendBurst      int            // default 60
	FramePerSecond float64        // frames of one socket of any kind; default 100
	FrameBurst     int            // default 400
	Stall          time.Duration  // how long a write may take without progress; default 20 s (PR13)
}

// Times of the protocol (docs/protocol/agent-stream.md).
const (
	helloWithin  = 10 * time.Second
	pingEvery    = 20 * time.Second
	silentFor    = 30 * time.Second
	commandTime  = 15 * time.Second
	sweepEvery   = time.Second
	maxFrame     = 64 << 10
	readBuffer   = 2 << 10   // buffer that an idle socket keeps for reading
	maxQueue     = 1 << 20   // bytes that may wait for a socket
	shedQueue    = 256 << 10 // when so much waits, pongs and typing are dropped
	maxCursors   = 2000
	maxWatched   = 200
	maxPipelined = 64 // commands of one socket that may wait
)

// Close codes.
const (
	closeProtocol = 1008
	closeRestart  = 1012
	closeSlow     = 1013
	closeRevoked  = 4001
)

// Stream serves the agents' WebSocket. Safe for concurrent use.
type Stream struct {
	opts     Options
	log      *slog.Logger
	commands map[string]run
	upgrader *gws.Upgrader
	perIP    *limit.Conns[netip.Addr]
	perUser  *limit.Conns[conversation.AgentID]
	metrics  *metrics
	buffers  sync.Pool
	// complaints limits how often clients' faults are logged.
	complaints rate.Sometimes

	ctx    context.Context //nolint:containedctx // of all commands, which outlive their request; ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	sockets  map[*socket]struct{}
	draining bool
	board    []byte // the board that was sent last, as JSON without its time
}

// New makes a Stream and starts its sweeper; Close stops it.
func New(opts Options) *Stream {
	def(&opts.SocketsPerIP, 1024)
	def(&opts.SocketsPerUser, 16)
	def(&opts.SendPerSecond, 10)
	def(&opts.SendBurst, 60)
	def(&opts.FramePerSecond, 100)
	def(&opts.FrameBurst, 400)
	def(&opts.Stall, 20*time.Second)
	if opts.Exempt == nil {
		opts.Exempt = limit.Loopback()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Stream{
		opts: opts, log: opts.Log,
		commands: commands(),
		perIP:    limit.NewConns[netip.Addr](opts.SocketsPerIP, 0),
		perUser:  limit.NewConns[conversation.AgentID](opts.SocketsPerUser, 0),
		metrics:  newMetrics(opts.Registry),
		buffers:  sync.Pool{New: func() any { b := make([]byte, 0, 8<<10); return &b }},
		sockets:  map[*socket]struct{}{},

		complaints: rate.Sometimes{Interval: 10 * time.Second},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background()) // cancelled by Close
	s.upgrader = gws.NewUpgrader(s, &gws.ServerOption{
		ReadMaxPayloadSize: maxFrame,
		ReadBufferSize:     readBuffer,
		CheckUtf8Enabled:   true,
		Logger:             gwsLogger{s.log},
		NewSession:         func() gws.SessionStorage { return &holder{} },
	})
	s.work.Go(s.sweep)
	return s
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ServeHTTP opens a socket. The handler returns as soon as the socket runs.
func (s *Stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, err := s.opts.Sessions.Authenticate(r)
	if err != nil {
		api.WriteFault(w, s.fault(err, "stream"))
		return
	}
	key := limit.Client(r)
	if s.perIP.Acquire(key, limit.Contains(s.opts.Exempt, limit.IP(r))) != limit.OK {
		s.metrics.closed.WithLabelValues("refused").Inc()
		api.WriteFault(w, api.NewFault("rate_limited"))
		return
	}
	if s.perUser.Acquire(id.User, false) != limit.OK {
		s.perIP.Release(key)
		s.metrics.closed.WithLabelValues("refused").Inc()
		api.WriteFault(w, api.NewFault("rate_limited", api.Detail{Problem: "too many open sockets of this user"}))
		return
	}
	release := func() {
		s.perIP.Release(key)
		s.perUser.Release(id.User)
	}
	netConn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		release()
		api.WriteFault(w, api.NewFault("malformed", api.Detail{Problem: "this connection cannot become a WebSocket"}))
		return
	}
	if rw.Reader.Buffered() > 0 { // RFC 6455 section 4.1: the client must not send before the server's answer
		_ = netConn.Close()
		release()
		return
	}
	// The library uses compression only if told to, but it parses this header in any case.
	r.Header.Del("Sec-Websocket-Extensions")
	k := newSocket(s, netConn, id, release)
	conn, err := s.upgrader.UpgradeFromConn(netConn, bufio.NewReaderSize(k, readBuffer), r)
	if err != nil {
		release()
		return // gws has answered 400, or the client has gone
	}
	k.conn = conn
	conn.Session().(*holder).k = k
	s.mu.Lock()
	draining := s.draining
	if !draining {
		s.sockets[k] = struct{}{}
		s.metrics.sockets.Inc()
		k.start()
	}
	s.mu.Unlock()
	if draining {
		_ = conn.WriteClose(closeRestart, []byte("restart"))
		release()
	}
}

// sweep checks all sockets once a second: whether they are silent, need a ping, or have lost their
// session, and who gets the board.
func (s *Stream) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		var watchers []*socket
		for _, k := range s.list() {
			k.check(now)
			if k.board.Load() {
				watchers = append(watchers, k)
			}
		}
		if len(watchers) > 0 {
			s.sendBoard(watchers)
		}
	}
}

func (s *Stream) list() []*socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*socket, 0, len(s.sockets))
	for k := range s.sockets {
		out = append(out, k)
	}
	return out
}

// sendBoard sends the board to those sockets that have not seen its present state.
func (s *Stream) sendBoard(to []*socket) {
	ctx, cancel := context.WithTimeout(s.ctx, sweepEvery)
	defer cancel()
	view := api.NewBoardView(s.opts.Router.Board(ctx))
	at := view.At
	view.At = time.Time{}
	same, err := json.Marshal(view)
	if err != nil {
		return
	}
	changed := !bytes.Equal(same, s.board)
	s.board = same
	view.At = at
	text, err := json.Marshal(view)
	if err != nil {
		return
	}
	frame := appendJSON(nil, boardFrame{T: "board", Board: text})
	for _, k := range to {
		if first := k.boardSent.CompareAndSwap(false, true); first || changed {
			k.shed(frame)
		}
	}
}

// Drain tells every socket, and every new one, to connect again later and closes it. It returns
// when all are gone, or when ctx ends.
func (s *Stream) Drain(ctx context.Context) {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	for _, k := range s.list() {
		k.bye("restart", closeRestart, 500)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(s.list()) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Close cuts off the remaining sockets and waits for all goroutines.
func (s *Stream) Close() {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.cancel()
	for _, k := range s.list() {
		k.kill()
	}
	s.work.Wait()
}

func (s *Stream) fault(err error, where string) *api.Fault {
	return api.ToFault(err, func(id string, err error) {
		s.log.Error("api: unforeseen error", "incident", id, "where", where, "err", err)
	})
}

// holder lets gws keep the socket with its connection, as the connection's session.
type holder struct{ k *socket }

// Len, Load, Delete, Store and Range implement gws.SessionStorage; a holder keeps nothing but the
// socket.
func (*holder) Len() int                               { return 0 }
func (*holder) Load(string) (any, bool)                { return nil, false }
func (*holder) Delete(string)                          {}
func (*holder) Store(string, any)                      {}
func (*holder) Range(func(key string, value any) bool) {}

type gwsLogger struct{ log *slog.Logger }

// Error implements gws.Logger.
func (l gwsLogger) Error(v ...any) { l.log.Error("stream: websocket", "err", v) }
