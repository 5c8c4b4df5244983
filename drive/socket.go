package drive

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/lxzan/gws"
)

// ErrClosed: the socket is closed.
var ErrClosed = errors.New("drive: socket closed")

var errMalformed = errors.New("drive: the server sent a frame that cannot be read")

// socket is a client's WebSocket. frame is called for each text frame, from one goroutine; the
// bytes are valid only during the call.
type socket struct {
	gws.BuiltinEventHandler
	conn   *gws.Conn
	frame  func([]byte)
	once   sync.Once
	closed chan struct{}
	err    error
	wg     sync.WaitGroup
}

func dial(ctx context.Context, rawURL string, header http.Header, frame func([]byte)) (*socket, error) {
	return dialWith(ctx, &net.Dialer{}, rawURL, header, frame)
}

func dialWith(ctx context.Context, from *net.Dialer, rawURL string, header http.Header, frame func([]byte)) (*socket, error) {
	s := &socket{frame: frame, closed: make(chan struct{})}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("drive: %w", err)
	}
	opts := &gws.ClientOption{Addr: rawURL, RequestHeader: header, HandshakeTimeout: 10 * time.Second, ReadMaxPayloadSize: 4 << 20, ReadBufferSize: 1024}
	opts.NewDialer = func() (gws.Dialer, error) { return loopback{ctx, from}, nil }
	if u.Scheme == "wss" {
		opts.TlsConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // bench and tests speak to their own server
	}
	conn, resp, err := gws.NewClient(s, opts) //nolint:bodyclose // the connection is the body
	if err != nil {
		if resp != nil {
			return nil, &DialError{Status: resp.StatusCode, Err: err}
		}
		return nil, fmt.Errorf("drive: dial: %w", err)
	}
	s.conn = conn
	s.wg.Go(s.read)
	return s, nil
}

// read runs the library's loop. A length with its top bit set makes the library panic; read
// recovers, so that only this socket ends.
func (s *socket) read() {
	defer func() {
		if recover() != nil {
			_ = s.conn.NetConn().Close()
			s.OnClose(s.conn, errMalformed)
		}
	}()
	s.conn.ReadLoop()
}

// DialError means that the upgrade was refused. Status is the HTTP status of the answer.
type DialError struct {
	Status int
	Err    error
}

// Error says what the server answered.
func (e *DialError) Error() string { return fmt.Sprintf("drive: dial: status %d: %v", e.Status, e.Err) }

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// loopback connects to 127.0.0.1 for *.localhost, as browsers do (RFC 6761 section 6.3).
type loopback struct {
	ctx  context.Context //nolint:containedctx // gws has no dialer with a context
	from *net.Dialer
}

// Dial implements gws.Dialer.
func (d loopback) Dial(network, addr string) (net.Conn, error) {
	return dialLoopback(d.ctx, d.from, network, addr)
}

// DialLoopback connects to an address; names below localhost mean 127.0.0.1.
func DialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	return dialLoopback(ctx, &net.Dialer{}, network, addr)
}

func dialLoopback(ctx context.Context, from *net.Dialer, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if len(host) > 10 && host[len(host)-10:] == ".localhost" {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return from.DialContext(ctx, network, addr)
}

// dialerFrom makes a dialer that connects from an IP address; "" = any.
func dialerFrom(ip string) (*net.Dialer, error) {
	if ip == "" {
		return &net.Dialer{}, nil
	}
	addr := net.ParseIP(ip)
	if addr == nil {
		return nil, fmt.Errorf("drive: %q is no IP address", ip)
	}
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: addr}}, nil
}

// HTTPClient makes a client that resolves names below localhost as browsers do.
func HTTPClient() *http.Client { return httpClient(&net.Dialer{}) }

func httpClient(from *net.Dialer) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialLoopback(ctx, from, network, addr)
		},
		MaxIdleConnsPerHost: 16,
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // bench and tests speak to their own server
	}}
}

func (s *socket) OnMessage(_ *gws.Conn, m *gws.Message) {
	if m.Opcode == gws.OpcodeText {
		s.frame(m.Bytes())
	}
	_ = m.Close()
}

func (s *socket) OnPing(c *gws.Conn, payload []byte) { _ = c.WritePong(payload) }

func (s *socket) OnClose(_ *gws.Conn, err error) {
	s.once.Do(func() {
		s.err = err
		close(s.closed)
	})
}

func (s *socket) write(frame []byte) error {
	if err := s.conn.WriteMessage(gws.OpcodeText, frame); err != nil {
		return fmt.Errorf("drive: write: %w", err)
	}
	return nil
}

// Write sends bytes as a text frame, whether or not they are a valid frame of the protocol.
func (s *socket) Write(frame []byte) error { return s.write(frame) }

// Closed returns a channel that is closed when the socket is.
func (s *socket) Closed() <-chan struct{} { return s.closed }

// CloseReason is why the socket was closed; call it after Closed.
func (s *socket) CloseReason() error { return s.err }

// Close closes the connection and waits for the goroutine that reads it.
func (s *socket) Close() {
	_ = s.conn.NetConn().Close()
	s.wg.Wait()
}
