package proxy_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/parley-gateway/parley/gateway/proxy"
	"github.com/parley-gateway/parley/plugins/contract/identity"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// plugin is the HTTP server of a plugin, on a unix socket, that a test can kill.
type plugin struct {
	t      *testing.T
	socket string
	mux    *http.ServeMux

	mu    sync.Mutex
	srv   *http.Server
	conns map[net.Conn]struct{}
}

func newPlugin(t *testing.T) *plugin {
	p := &plugin{t: t, socket: filepath.Join(t.TempDir(), "http.sock"), mux: http.NewServeMux(), conns: map[net.Conn]struct{}{}}
	ln, err := new(net.ListenConfig).Listen(t.Context(), "unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	p.srv = &http.Server{Handler: p.mux, ReadHeaderTimeout: time.Second, ConnState: func(c net.Conn, s http.ConnState) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s == http.StateNew {
			p.conns[c] = struct{}{}
		}
	}}
	done := make(chan struct{})
	go func() { defer close(done); _ = p.srv.Serve(ln) }()
	t.Cleanup(func() { p.kill(); <-done })
	return p
}

// kill ends the server and all its connections as kill -9 would.
func (p *plugin) kill() {
	_ = p.srv.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// host knows one plugin.
type host struct {
	plugin *plugin
	routes map[string]proxy.Route
	down   bool
	err    error // returned instead of a route
}

func (h *host) Route(_ context.Context, name, path string) (proxy.Route, error) {
	if name != "toy" {
		return proxy.Route{}, proxy.ErrNoRoute
	}
	if h.err != nil {
		return proxy.Route{}, h.err
	}
	if h.down {
		return proxy.Route{}, proxy.ErrUnavailable
	}
	first, _, _ := strings.Cut(path, "/")
	r, ok := h.routes[first]
	if !ok {
		return r, proxy.ErrNoRoute
	}
	r.Socket, r.Key, r.Instance = h.plugin.socket, key, "toy-1"
	return r, nil
}

// desk is an Auth with one agent and single-use grants.
type desk struct {
	mu     sync.Mutex
	revoke []func() // called by logout
	out    bool     // logout was called
	grants map[string]identity.Identity
}

func (d *desk) Agent(r *http.Request) (identity.Identity, proxy.Watch, error) {
	if c, err := r.Cookie("__Host-parley"); err == nil && c.Value == "ana" {
		return identity.Identity{Subject: "ana", Role: "agent"}, d.watch, nil
	}
	return identity.Identity{}, nil, errors.New("nobody")
}

// watch calls fn at once if the session has ended already, as auth.Auth.WatchRights does: a client
// sees the 101 before its tunnel is watched, so a logout can come in between.
func (d *desk) watch(fn func()) (cancel func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.out {
		fn()
		return func() {}
	}
	d.revoke = append(d.revoke, fn)
	return func() {}
}

func (d *desk) logout() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out = true
	for _, fn := range d.revoke {
		fn()
	}
}

func (d *desk) Redeem(r *http.Request, _ string) (identity.Identity, proxy.Watch, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.grants[r.Header.Get("Parley-Grant")]
	if !ok {
		return id, nil, errors.New("no such grant")
	}
	delete(d.grants, r.Header.Get("Parley-Grant"))
	return id, nil, nil
}

type fixture struct {
	*proxy.Proxy
	plugin *plugin
	host   *host
	auth   *desk
	web    *httptest.Server
	reg    *prometheus.Registry
}

func setup(t *testing.T, opts proxy.Options) *fixture {
	t.Helper()
	return setupWeb(t, opts, false)
}

func setupWeb(t *testing.T, opts proxy.Options, secure bool) *fixture {
	t.Helper()
	f := &fixture{plugin: newPlugin(t), auth: &desk{grants: map[string]identity.Identity{}}, reg: prometheus.NewRegistry()}
	f.host = &host{plugin: f.plugin, routes: map[string]proxy.Route{
		"open":   {Access: proxy.Public, MaxBody: 64},
		"agent":  {Access: proxy.Agent, MaxBody: 64},
		"upload": {Access: proxy.Grant, MaxBody: 64},
		"mine":   {Access: proxy.Agent, Upgrade: true, MaxBody: 64},
		"socket": {Access: proxy.Public, Upgrade: true, MaxBody: 64},
	}}
	opts.Host, opts.Auth, opts.Log, opts.Registry = f.host, f.auth, slog.New(slog.DiscardHandler), f.reg
	f.Proxy = proxy.New(opts)
	f.web = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		f.ServeHTTP(w, r)
	}))
	if secure {
		f.web.StartTLS()
	} else {
		f.web.Start()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		f.Drain(ctx)
		f.web.Close()
	})
	return f
}

func (f *fixture) do(t *testing.T, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.web.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := f.web.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestGate(t *testing.T) {
	f := setup(t, proxy.Options{})
	f.plugin.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		id, err := identity.Verify(key, r.Header.Get(identity.Header), r.Method, r.URL.Path, time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
		_, _ = io.WriteString(w, r.URL.Path+" by "+id.Subject+" from "+id.RemoteIP)
		if c := r.Header.Get("Cookie") + r.Header.Get("Authorization") + r.Header.Get("Parley-Grant"); c != "" {
			_, _ = io.WriteString(w, " credentials leak: "+c)
		}
	})
	f.auth.grants["g1"] = identity.Identity{Subject: "web:1", Role: "visitor"}
	f.auth.grants["g2"] = identity.Identity{Subject: "web:1", Instance: "toy-0"}
	steps := []struct {
		name, path string
		header     []string
		status     int
		body       string
	}{
		{"public", "/p/toy/open/x", nil, 200, "/open/x by  from 127.0.0.1"},
		{"public with credentials and a forged identity", "/p/toy/open", []string{"Cookie", "__Host-parley=ana", "Authorization", "Bearer x", identity.Header, "forged"}, 200, "/open by  from 127.0.0.1"},
		{"escaped path", "/p/toy/open/a%20b", nil, 200, "/open/a b by"},
		{"agent without session", "/p/toy/agent", nil, 401, "Unauthorized"},
		{"agent", "/p/toy/agent", []string{"Cookie", "__Host-parley=ana"}, 200, "/agent by ana"},
		{"grant missing", "/p/toy/upload", nil, 403, "Forbidden"},
		{"grant", "/p/toy/upload", []string{"Parley-Grant", "g1"}, 200, "/upload by web:1"},
		{"grant again", "/p/toy/upload", []string{"Parley-Grant", "g1"}, 403, "Forbidden"},
		{"grant of a process that is gone", "/p/toy/upload", []string{"Parley-Grant", "g2"}, 410, "Gone"},
		{"undeclared route", "/p/toy/secret", nil, 404, ""},
		{"unknown plugin", "/p/other/open", nil, 404, ""},
		{"no plugin", "/p/", nil, 404, ""},
	}
	for _, s := range steps {
		res, body := f.do(t, "GET", s.path, "", s.header...)
		if res.StatusCode != s.status || !strings.Contains(body, s.body) || strings.Contains(body, "leak") {
			t.Errorf("%s: GET %s = %d %q, want %d with %q", s.name, s.path, res.StatusCode, body, s.status, s.body)
		}
	}
	f.host.down = true
	if res, _ := f.do(t, "GET", "/p/toy/open", ""); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("plugin not ready = %d, want 503 with Retry-After", res.StatusCode)
	}
}

// The plugin learns the files origin from the gateway, never from the client.
func TestFilesOrigin(t *testing.T) {
	for _, origin := range []string{"https://files.example", ""} {
		f := setup(t, proxy.Options{FilesOrigin: origin})
		f.plugin.mux.HandleFunc("/open", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.Join(r.Header.Values("Parley-Files-Origin"), "|"))
		})
		if _, body := f.do(t, "GET", "/p/toy/open", "", "Parley-Files-Origin", "https://evil.example"); body != origin {
			t.Errorf("the plugin was told %q, want %q", body, origin)
		}
	}
}

func TestAnswersAreCleaned(t *testing.T) {
	f := setup(t, proxy.Options{})
	f.plugin.mux.HandleFunc("/open/plain", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "__Host-parley=evil")
		w.Header().Set("Clear-Site-Data", "*")
		w.Header().Set("X-Content-Type-Options", "none")
	})
	f.plugin.mux.HandleFunc("/open/panel", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "frame-ancestors https://shop.example")
	})
	res, _ := f.do(t, "GET", "/p/toy/open/plain", "")
	for name, want := range map[string]string{
		"Set-Cookie": "", "Clear-Site-Data": "", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'self'",
	} {
		if got := strings.Join(res.Header.Values(name), "|"); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	res, _ = f.do(t, "GET", "/p/toy/open/panel", "")
	if got := strings.Join(res.Header.Values("Content-Security-Policy"), "|"); got != "frame-ancestors https://shop.example" {
		t.Errorf("a page's own policy = %q, want it alone", got)
	}
}

// TestFraming (FT22, FT23): the gateway stops bodies over the route's limit, and the plugin sees
// the same requests as the gateway.
func TestFraming(t *testing.T) {
	f := setup(t, proxy.Options{})
	var mu sync.Mutex
	var seen []string
	f.plugin.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			seen = append(seen, r.Method+" "+r.URL.Path+" "+string(b))
		}
	})
	if res, _ := f.do(t, "POST", "/p/toy/open", strings.Repeat("a", 65)); res.StatusCode != 413 {
		t.Errorf("65 bytes on a route that takes 64 = %d, want 413", res.StatusCode)
	}
	raw := func(text string) string {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", f.web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, text)
		_ = c.(*net.TCPConn).CloseWrite()
		b, _ := io.ReadAll(c)
		line, _, _ := bytes.Cut(b, []byte("\r\n"))
		return string(line)
	}
	const post = "POST /p/toy/open HTTP/1.1\r\nHost: x\r\n"
	hidden := "GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"
	cases := []struct{ name, text, want string }{
		{"chunked body over the limit", post + "Transfer-Encoding: chunked\r\n\r\n100\r\n" + strings.Repeat("a", 256) + "\r\n0\r\n\r\n", "HTTP/1.1 413"},
		{"broken chunk", post + "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n", "HTTP/1.1 400"},
		{"two lengths", post + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", "HTTP/1.1 400"},
		{"negative length", post + "Content-Length: -4\r\n\r\n", "HTTP/1.1 400"},
		{"unknown transfer coding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 501"},
		{"folded transfer coding", post + "Transfer-Encoding:\r\n chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", ""},
		{"length and chunks, a request behind", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, ""},
		{"bare line feeds in chunks", post + "Transfer-Encoding: chunked\r\n\r\n2\nab\n0\n\n" + hidden, ""},
		{"line break in the path", "GET /p/toy/open\r\nX: y HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400"},
		{"nul in a header", "GET /p/toy/open HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", "HTTP/1.1 400"},
	}
	for _, c := range cases {
		if got := raw(c.text); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, s := range seen {
		if !strings.HasPrefix(s, "POST /open ") {
			t.Errorf("the plugin saw %q, which nobody may send it", s)
		}
	}
}

// echo serves a WebSocket that sends back every message.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"parley"}})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if string(b) == "bye" {
			_ = c.Close(4000, "done")
			return
		}
		if c.Write(r.Context(), kind, b) != nil {
			return
		}
	}
}

func (f *fixture) open(t *testing.T) *websocket.Conn {
	t.Helper()
	c, res, err := websocket.Dial(t.Context(), f.web.URL+"/p/toy/socket", &websocket.DialOptions{HTTPClient: f.web.Client(), Subprotocols: []string{"parley"}, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	if ext := res.Header.Get("Sec-WebSocket-Extensions"); ext != "" {
		t.Errorf("extensions agreed through the proxy: %q, want none", ext)
	}
	c.SetReadLimit(1 << 20)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func (f *fixture) count(t *testing.T, name string) (total float64) {
	t.Helper()
	families, err := f.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, fam := range families {
		if fam.GetName() == name {
			for _, m := range fam.GetMetric() {
				total += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return total
}

func TestTunnel(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("tls=", secure), func(t *testing.T) { testTunnel(t, setupWeb(t, proxy.Options{}, secure)) })
	}
}

func testTunnel(t *testing.T, f *fixture) {
	f.plugin.mux.HandleFunc("/socket", echo)
	c := f.open(t)
	if c.Subprotocol() != "parley" {
		t.Errorf("subprotocol = %q, want parley", c.Subprotocol())
	}
	for _, n := range []int{0, 1, 125, 126, 16 << 10, 65536, 300_000} {
		want := bytes.Repeat([]byte{'x'}, n)
		if err := c.Write(t.Context(), websocket.MessageText, want); err != nil {
			t.Fatalf("write %d bytes: %v", n, err)
		}
		if n >= 32<<10 {
			continue // too large for echo, which closes
		}
		_, got, err := c.Read(t.Context())
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("echo of %d bytes = %d bytes, %v", n, len(got), err)
		}
		if n == 16<<10 {
			break
		}
	}
	if got := f.count(t, "parley_proxy_sockets"); got != 1 {
		t.Errorf("parley_proxy_sockets = %v, want 1", got)
	}
	if err := c.Write(t.Context(), websocket.MessageText, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != 4000 {
		t.Errorf("the plugin's close = %v, want its code 4000", err)
	}
	eventually(t, "the tunnel is gone", func() bool { return f.count(t, "parley_proxy_sockets") == 0 })
}

// TestTunnelEnds: whatever ends the plugin's side between two frames, the client is told to connect
// again.
func TestTunnelEnds(t *testing.T) {
	cases := []struct {
		name string
		end  func(*fixture)
	}{
		{"plugin killed", func(f *fixture) { f.plugin.kill() }},
		{"gateway drains", func(f *fixture) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			f.Drain(ctx)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := setup(t, proxy.Options{})
			f.plugin.mux.HandleFunc("/socket", echo)
			ws := f.open(t)
			if err := ws.Write(t.Context(), websocket.MessageText, []byte("hi")); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ws.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); c.end(f) }()
			if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
				t.Errorf("the client saw %v, want close code 1012", err)
			}
			_ = ws.CloseNow()
			<-ended
			eventually(t, "the tunnel is gone", func() bool { return f.count(t, "parley_proxy_sockets") == 0 })
		})
	}
}

// TestTunnelRevoked (PR23): an agent's tunnel ends with the session that opened it; other tunnels
// stay.
func TestTunnelRevoked(t *testing.T) {
	f := setup(t, proxy.Options{})
	f.plugin.mux.HandleFunc("/mine", echo)
	f.plugin.mux.HandleFunc("/socket", echo)
	visitor := f.open(t)
	ws, _, err := websocket.Dial(t.Context(), f.web.URL+"/p/toy/mine", &websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {"__Host-parley=ana"}}})
	if err != nil {
		t.Fatal(err)
	}
	f.auth.logout()
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != 4001 {
		t.Errorf("the agent saw %v, want close code 4001", err)
	}
	_ = ws.CloseNow()
	if err := visitor.Write(t.Context(), websocket.MessageText, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := visitor.Read(t.Context()); err != nil {
		t.Errorf("the visitor's tunnel: %v", err)
	}
}

// TestRequestRevoked (PR23): an agent's request that the plugin is still answering ends with the
// session, whether or not the answer has begun; other requests go on.
func TestRequestRevoked(t *testing.T) {
	f := setup(t, proxy.Options{})
	asked, goOn := make(chan struct{}, 6), make(chan struct{})
	f.plugin.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/silent") {
			asked <- struct{}{}
		} else { // its client says when it has what was flushed
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-goOn:
		case <-r.Context().Done():
		}
	})
	type outcome struct {
		status int
		body   string
		err    error
	}
	get := func(path string) <-chan outcome {
		out := make(chan outcome, 1)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.web.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", "__Host-parley=ana")
		go func() {
			res, err := f.web.Client().Do(req)
			if err != nil {
				asked <- struct{}{}
				out <- outcome{err: err}
				return
			}
			defer func() { _ = res.Body.Close() }()
			first := make([]byte, len("begun"))
			n, err := io.ReadFull(res.Body, first)
			asked <- struct{}{}
			b, rest := io.ReadAll(res.Body)
			out <- outcome{res.StatusCode, string(first[:n]) + string(b), cmp.Or(err, rest)}
		}()
		<-asked
		return out
	}
	begun, silent, stranger := get("/p/toy/agent/begun"), get("/p/toy/agent/silent"), get("/p/toy/open")
	f.auth.logout()
	if o := <-begun; o.err == nil || o.body != "begun" {
		t.Errorf("the answer that had begun: %+v, want it cut off", o)
	}
	if o := <-silent; o.status != http.StatusUnauthorized {
		t.Errorf("the request without an answer yet: %+v, want 401", o)
	}
	close(goOn)
	if o := <-stranger; o.status != http.StatusOK || o.err != nil {
		t.Errorf("somebody else's request: %+v, want it answered", o)
	}
}

// TestTunnelEndsWithinFrame: after half a frame no close frame is sent, since it would be read as
// the rest of that frame.
func TestTunnelEndsWithinFrame(t *testing.T) {
	f := setup(t, proxy.Options{})
	f.plugin.mux.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n\x81\x05ab")
		_ = rw.Flush()
		_ = c.Close()
	})
	got := f.rawUpgrade(t, "")
	if _, frames, _ := strings.Cut(got, "\r\n\r\n"); frames != "\x81\x05ab" {
		t.Errorf("after half a frame the client got %q, want just that half", frames)
	}
}

// TestSlowClient (PR13): a client that reads nothing is disconnected, and the plugin's connection
// is closed with it.
func TestSlowClient(t *testing.T) {
	f := setup(t, proxy.Options{Stall: 200 * time.Millisecond})
	ended := make(chan error, 1)
	f.plugin.mux.HandleFunc("/socket", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = c.CloseNow() }()
		for err == nil {
			err = c.Write(context.Background(), websocket.MessageText, make([]byte, 64<<10))
		}
		ended <- err
	})
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", f.web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "GET /p/toy/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the plugin could still write after 10 s")
	}
	eventually(t, "it is counted as slow", func() bool {
		return f.count(t, "parley_proxy_sockets_ended_total") == 1 && f.count(t, "parley_proxy_sockets") == 0
	})
}

// rawUpgrade sends an upgrade by hand and returns everything until the end.
func (f *fixture) rawUpgrade(t *testing.T, extra string) string {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", f.web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "GET /p/toy/socket HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"+extra)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("the connection did not end: %v", err)
	}
	return string(b)
}

func TestUpgradeRefused(t *testing.T) {
	f := setup(t, proxy.Options{SocketsPerIP: 2, Exempt: []netip.Prefix{}})
	f.plugin.mux.HandleFunc("/socket/no", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		http.Error(w, "origin not allowed", http.StatusForbidden)
	})
	f.plugin.mux.HandleFunc("/socket", echo)
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	cases := []struct {
		name, path string
		header     []string
		status     int
	}{
		{"route without upgrades", "/p/toy/open", upgrade, 400},
		{"another protocol", "/p/toy/socket", []string{"Connection", "Upgrade", "Upgrade", "h2c"}, 400},
		{"no Connection header", "/p/toy/socket", []string{"Upgrade", "websocket"}, 400},
		{"the plugin refuses", "/p/toy/socket/no", upgrade, 403},
	}
	for _, c := range cases {
		res, _ := f.do(t, "GET", c.path, "", c.header...)
		if res.StatusCode != c.status || res.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d with cookie %q, want %d without", c.name, res.StatusCode, res.Header.Get("Set-Cookie"), c.status)
		}
	}
	a, _ := f.open(t), f.open(t)
	if _, res, err := websocket.Dial(t.Context(), f.web.URL+"/p/toy/socket", nil); err == nil || res == nil || res.StatusCode != 429 {
		t.Errorf("the third socket of an address that may have 2: %v, want 429", err)
	}
	_ = a.CloseNow()
	eventually(t, "a place is free", func() bool {
		c, _, err := websocket.Dial(t.Context(), f.web.URL+"/p/toy/socket", nil)
		if err == nil {
			_ = c.CloseNow()
		}
		return err == nil
	})
}

func TestMetricNames(t *testing.T) {
	f := setup(t, proxy.Options{})
	f.plugin.mux.HandleFunc("/socket", echo)
	f.do(t, "GET", "/p/toy/open", "")
	_ = f.open(t).CloseNow()
	for range 20 {
		f.do(t, "GET", "/p/x"+strings.Repeat("y", len(t.Name()))+"/open", "") // unknown plugins add no series
	}
	families, err := f.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
	for _, fam := range families {
		if n := len(fam.GetMetric()); n > 8 {
			t.Errorf("%s has %d series", fam.GetName(), n)
		}
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}
