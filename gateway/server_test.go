package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/parley-gateway/parley/gateway"
	"github.com/parley-gateway/parley/gateway/ops"
)

// site is a running server on loopback.
type site struct {
	*gateway.Server
	t      *testing.T
	reg    *prometheus.Registry
	health *ops.Health
	client *http.Client
}

func start(t *testing.T, opts gateway.Options, h gateway.Handlers) *site {
	t.Helper()
	opts.Listen, opts.OpsListen = "127.0.0.1:0", "127.0.0.1:0"
	if opts.Origins.Desk == "" {
		opts.Origins = gateway.Origins{
			Desk: "http://desk.localhost:0", Chat: "http://chat.localhost:0", Files: "http://files.localhost:0",
			Aliases: []string{"127.0.0.1", "[::1]"},
		}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.Registry, opts.Health = prometheus.NewRegistry(), ops.NewHealth()
	srv, err := gateway.New(t.Context(), opts)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	s := &site{Server: srv, t: t, reg: opts.Registry, health: opts.Health}
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", srv.Addr().String())
	}}
	s.client = &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	srv.Start(h)
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return s
}

// do sends a request to a host of the site and returns the answer with its body.
func (s *site) do(method, host, path string, header ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+host+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s%s: %v", method, host, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res, string(b)
}

// dial opens a bare connection.
func (s *site) dial() net.Conn {
	s.t.Helper()
	c, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", s.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *site) metric(name string) string {
	s.t.Helper()
	res, err := http.Get("http://" + s.OpsAddr().String() + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var out []string
	for sc := bufio.NewScanner(res.Body); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), name) {
			out = append(out, sc.Text())
		}
	}
	http.DefaultClient.CloseIdleConnections()
	return strings.Join(out, "\n")
}

// says is a handler that answers with its name.
func says(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name) })
}

func all() gateway.Handlers {
	return gateway.Handlers{
		API: says("api"), Hooks: says("hooks"), Plugins: says("plugins"), Files: says("files"),
		Desktop: fstest.MapFS{
			"index.html":           {Data: []byte(`<!doctype html><script type="module">boot()</script><body>desk</body>`)},
			"assets/app-1a2b3c.js": {Data: bytes.Repeat([]byte("let a = 1;\n"), 500)},
			"favicon.svg":          {Data: []byte("<svg/>")},
		},
	}
}

func TestOriginsServeWhatIsTheirs(t *testing.T) {
	s := start(t, gateway.Options{}, all())
	cases := []struct {
		host, path string
		status     int
		body       string
	}{
		{"desk.localhost", "/api/v1/me", 200, "api"},
		{"desk.localhost", "/", 200, "desk"},
		{"desk.localhost", "/conversations/17", 200, "desk"},
		{"desk.localhost", "/hooks/a", 200, "hooks"},
		{"desk.localhost", "/p/x/", 200, "plugins"},
		{"desk.localhost", "/f/x", 404, ""},
		{"chat.localhost", "/p/webchat/widget.js", 200, "plugins"},
		{"chat.localhost", "/hooks/a", 200, "hooks"},
		{"chat.localhost", "/api/v1/me", 404, ""},
		{"chat.localhost", "/", 404, ""},
		{"chat.localhost", "/f/x", 404, ""},
		{"files.localhost", "/f/x", 200, "files"},
		{"files.localhost", "/api/v1/me", 404, ""},
		{"files.localhost", "/p/x/", 404, ""},
		{"DESK.localhost:1", "/api/v1/me", 200, "api"},
		{"127.0.0.1", "/api/v1/me", 200, "api"},
		{"127.0.0.1", "/f/x", 200, "files"},
		{"[::1]", "/f/x", 200, "files"},
		{"[::1]:8080", "/f/x", 200, "files"},
		{"evil.example", "/api/v1/me", 421, ""},
	}
	for _, c := range cases {
		res, body := s.do("GET", c.host, c.path)
		if res.StatusCode != c.status || !strings.Contains(body, c.body) {
			t.Errorf("GET %s%s = %d %q, want %d with %q", c.host, c.path, res.StatusCode, body, c.status, c.body)
		}
		if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" && c.status != 421 {
			t.Errorf("GET %s%s: X-Content-Type-Options = %q, want nosniff", c.host, c.path, got)
		}
	}
}

// TestPluginsOrigins: the host of a third-party plugin serves that plugin and nothing else, and no
// other host is taken for a plugin's (DESIGN.md 7).
func TestPluginsOrigins(t *testing.T) {
	s := start(t, gateway.Options{Origins: gateway.Origins{
		Desk: "http://desk.localhost:0", Chat: "http://chat.localhost:0", Files: "http://files.localhost:0", Plugins: "http://Plugins.localhost:0",
	}}, all())
	cases := []struct {
		host, path string
		status     int
	}{
		{"toy.plugins.localhost", "/p/toy", 200},
		{"toy.plugins.localhost", "/p/toy/page", 200},
		{"TOY.plugins.localhost:1", "/p/toy/page", 200},
		{"toy.plugins.localhost", "/p/other/page", 404},
		{"toy.plugins.localhost", "/p/toys/page", 404},
		{"toy.plugins.localhost", "/p/", 404},
		{"toy.plugins.localhost", "/p//toy/", 307}, // redirected to the cleaned path on the same host
		{"toy.plugins.localhost", "/api/v1/me", 404},
		{"toy.plugins.localhost", "/hooks/a", 404},
		{"toy.plugins.localhost", "/f/x", 404},
		{"toy.plugins.localhost", "/", 404},
		{"toy.plugins.localhost", "/index.html", 404},
		{"plugins.localhost", "/p/toy/page", 421},
		{".plugins.localhost", "/p/toy/page", 421},
		{"a.toy.plugins.localhost", "/p/toy/page", 421},
		{"a_b.plugins.localhost", "/p/a_b/page", 421},
		{"toyplugins.localhost", "/p/toy/page", 421},
		{"toy.plugins.localhost.evil.example", "/p/toy/page", 421},
		{"chat.localhost", "/p/toy/page", 200},
		{"desk.localhost", "/p/toy/page", 200},
	}
	for _, c := range cases {
		if res, body := s.do("GET", c.host, c.path); res.StatusCode != c.status || c.status == 200 && body != "plugins" {
			t.Errorf("GET %s%s = %d %q, want %d", c.host, c.path, res.StatusCode, body, c.status)
		}
	}
	res, _ := s.do("GET", "toy.plugins.localhost", "/p/toy/page")
	if csp := res.Header.Get("Content-Security-Policy"); strings.Contains(csp, "sandbox") || !strings.Contains(csp, "default-src 'self'") {
		t.Errorf("policy of a plugin's own origin: %q, want that of the chat origin", csp)
	}
	if got := res.Header.Get("Origin-Agent-Cluster"); got != "?1" {
		t.Errorf("Origin-Agent-Cluster = %q, want ?1", got)
	}
	_, port, _ := net.SplitHostPort(s.Addr().String())
	for id, want := range map[string]string{
		"toy": "http://toy.plugins.localhost:" + port, "a-1": "http://a-1.plugins.localhost:" + port,
		"": "", "a_b": "", "a-": "", "xn--a": "", "A": "", "a.b": "", strings.Repeat("a", 64): "",
	} {
		if got := s.Origins().Plugin(id); got != want {
			t.Errorf("origin of plugin %q: %q, want %q", id, got, want)
		}
	}
	if got := (gateway.Origins{}).Plugin("toy"); got != "" {
		t.Errorf("origin of a plugin without origins.plugins: %q, want none", got)
	}
}

func TestSecurityHeaders(t *testing.T) {
	s := start(t, gateway.Options{}, all())
	cases := []struct {
		name, host, path, header, want string
	}{
		{"only own scripts and the inline one", "desk.localhost", "/", "Content-Security-Policy", "script-src 'self' 'sha256-"},
		{"nobody frames the desk", "desk.localhost", "/", "Content-Security-Policy", "frame-ancestors 'none'"},
		{"pictures of the files origin", "desk.localhost", "/", "Content-Security-Policy", "img-src 'self' data: blob: http://files.localhost:"},
		{"the desk is alone in its group", "desk.localhost", "/", "Cross-Origin-Opener-Policy", "same-origin"},
		{"a plugin on the desk is in a sandbox", "desk.localhost", "/p/x/", "Content-Security-Policy", "sandbox;"},
		{"a plugin on the chat origin is a page", "chat.localhost", "/p/x/", "Content-Security-Policy", "default-src 'self'"},
		{"uploads are inert", "files.localhost", "/f/x", "Content-Security-Policy", "sandbox; default-src 'none'"},
		{"but may be shown elsewhere", "files.localhost", "/f/x", "Cross-Origin-Resource-Policy", "cross-origin"},
		{"no address leaks", "desk.localhost", "/", "Referrer-Policy", "no-referrer"},
		{"no device", "desk.localhost", "/", "Permissions-Policy", "camera=()"},
	}
	for _, c := range cases {
		res, _ := s.do("GET", c.host, c.path)
		if got := res.Header.Get(c.header); !strings.Contains(got, c.want) {
			t.Errorf("%s: GET %s%s: %s = %q, want it to contain %q", c.name, c.host, c.path, c.header, got, c.want)
		}
	}
	if res, _ := s.do("GET", "desk.localhost", "/"); res.Header.Get("Strict-Transport-Security") != "" {
		t.Error("Strict-Transport-Security over plain HTTP")
	}
}

// Each origin's content policy, word for word: whoever widens one must change this test, too [ASVS
// 3.4.3].
func TestContentPolicies(t *testing.T) {
	s := start(t, gateway.Options{}, all())
	_, port, _ := net.SplitHostPort(s.Addr().String())
	const (
		sealed = "sandbox; default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
		inert  = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	)
	inline := regexp.MustCompile(`'sha256-[A-Za-z0-9+/=]+'`) // inline scripts of the desktop's page, whichever is built in
	for _, c := range []struct{ host, path, want string }{
		{"desk.localhost", "/", "default-src 'none'; script-src 'self' HASH; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob: http://files.localhost:PORT; " +
			"font-src 'self'; connect-src 'self' ws://desk.localhost:PORT; form-action 'none'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"},
		{"desk.localhost", "/api/v1/me", inert},
		{"desk.localhost", "/api/v1/openapi.json", inert},
		{"desk.localhost", "/p/x/", sealed},
		{"chat.localhost", "/p/x/", "default-src 'self'; img-src 'self' data: blob: http://files.localhost:PORT; base-uri 'none'; object-src 'none'; frame-ancestors 'self'"},
		{"chat.localhost", "/hooks/x", sealed},
		{"files.localhost", "/f/x", sealed},
	} {
		res, _ := s.do("GET", c.host, c.path)
		got := strings.Join(res.Header.Values("Content-Security-Policy"), " | ")
		got = inline.ReplaceAllString(strings.ReplaceAll(got, ":"+port, ":PORT"), "HASH")
		if got != c.want {
			t.Errorf("GET %s%s: policy\n%s\nwant\n%s", c.host, c.path, got, c.want)
		}
	}
}

func TestDesktopFiles(t *testing.T) {
	s := start(t, gateway.Options{}, all())
	res, _ := s.do("GET", "desk.localhost", "/assets/app-1a2b3c.js", "Accept-Encoding", "gzip")
	if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("hashed asset: Cache-Control = %q, want immutable", got)
	}
	if res.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/javascript") {
		t.Errorf("hashed asset: Content-Encoding %q, Content-Type %q; want gzip, text/javascript", res.Header.Get("Content-Encoding"), res.Header.Get("Content-Type"))
	}
	res, _ = s.do("GET", "desk.localhost", "/")
	if got := res.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("page: Cache-Control = %q, want no-cache", got)
	}
	if res, _ = s.do("GET", "desk.localhost", "/", "If-None-Match", res.Header.Get("Etag")); res.StatusCode != 304 {
		t.Errorf("page again with its ETag = %d, want 304", res.StatusCode)
	}
	if res, _ = s.do("GET", "desk.localhost", "/assets/app-old.js"); res.StatusCode != 404 {
		t.Errorf("asset of another build = %d, want 404 rather than a page", res.StatusCode)
	}
	if res, _ = s.do("POST", "desk.localhost", "/"); res.StatusCode != 405 {
		t.Errorf("POST / = %d, want 405", res.StatusCode)
	}

	h := all()
	h.Desktop = fstest.MapFS{}
	s = start(t, gateway.Options{}, h)
	if res, body := s.do("GET", "desk.localhost", "/"); res.StatusCode != 503 || !strings.Contains(body, "not in this binary") {
		t.Errorf("without a build GET / = %d %q, want 503 and a page that says so", res.StatusCode, body)
	}
}

func TestClientAddress(t *testing.T) {
	h := all()
	h.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = fmt.Fprintf(w, "%s fwd=%q same=%v", host, r.Header.Get("X-Forwarded-For")+r.Header.Get("Forwarded")+r.Header.Get("X-Real-IP"), gateway.SameOrigin(r))
	})
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8")}
	cases := []struct {
		name    string
		trusted []netip.Prefix
		header  []string
		want    string
	}{
		{"nobody is trusted", nil, []string{"X-Forwarded-For", "203.0.113.9", "X-Real-Ip", "203.0.113.9", "Forwarded", "for=203.0.113.9"}, `127.0.0.1 fwd="" same=false`},
		{"a trusted proxy's word", trusted, []string{"X-Forwarded-For", "203.0.113.9"}, `203.0.113.9 fwd="" same=false`},
		{"what the client itself wrote does not count", trusted, []string{"X-Forwarded-For", "1.2.3.4, 203.0.113.9, 10.1.1.1"}, `203.0.113.9 fwd="" same=false`},
		{"nonsense", trusted, []string{"X-Forwarded-For", "x, y"}, `127.0.0.1 fwd="" same=false`},
		{"exact origin", nil, []string{"Origin", "http://desk.localhost"}, `127.0.0.1 fwd="" same=true`},
		{"another port is another origin", nil, []string{"Origin", "http://desk.localhost:81"}, `127.0.0.1 fwd="" same=false`},
		{"another scheme is another origin", nil, []string{"Origin", "https://desk.localhost"}, `127.0.0.1 fwd="" same=false`},
		{"the proxy ended TLS", trusted, []string{"Origin", "https://desk.localhost", "X-Forwarded-Proto", "https"}, `127.0.0.1 fwd="" same=true`},
		{"a stranger says that TLS ended", nil, []string{"Origin", "https://desk.localhost", "X-Forwarded-Proto", "https"}, `127.0.0.1 fwd="" same=false`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, gateway.Options{TrustedProxies: c.trusted}, h)
			if _, got := s.do("GET", "desk.localhost", "/api/x", c.header...); got != c.want {
				t.Errorf("with %q the handler saw %q, want %q", c.header, got, c.want)
			}
		})
	}
}

// TestForgottenProxy: behind a proxy on this machine that is not configured as trusted, no limit by
// address works, since loopback is exempt. The log says so, once.
func TestForgottenProxy(t *testing.T) {
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		header  []string
		want    int
	}{
		"forgotten": {nil, []string{"X-Forwarded-For", "203.0.113.9"}, 1},
		"trusted":   {[]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, []string{"X-Forwarded-For", "203.0.113.9"}, 0},
		"no proxy":  {nil, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer // read only after the server has stopped
			t.Run("requests", func(t *testing.T) {
				s := start(t, gateway.Options{TrustedProxies: c.trusted, Log: slog.New(slog.NewTextHandler(&log, nil))}, all())
				for range 3 {
					s.do("GET", "desk.localhost", "/api/x", c.header...)
				}
			})
			if got := strings.Count(log.String(), "http.trusted_proxies"); got != c.want {
				t.Errorf("warnings: got %d, want %d\n%s", got, c.want, log.String())
			}
		})
	}
}

// nobody is the empty list of exempt networks: limits hold for loopback, too.
var nobody = []netip.Prefix{}

// TestConnectionsPerAddress (FT24): a connection over the limit is closed at once, and a place that
// becomes free is used again.
func TestConnectionsPerAddress(t *testing.T) {
	s := start(t, gateway.Options{Limits: gateway.Limits{ConnsPerIP: 3, Exempt: nobody}}, all())
	var held []net.Conn
	for range 3 {
		held = append(held, s.dial())
	}
	if over, err := net.DialTimeout("tcp", s.Addr().String(), 5*time.Second); err == nil { // if the dial fails, the connection was reset already
		defer func() { _ = over.Close() }()
		_ = over.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := over.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Fatalf("the fourth connection: read = %v, want it closed", err)
		}
	}
	if got := s.metric(`parley_http_refused_total{reason="address"}`); !strings.HasSuffix(got, " 1") {
		t.Errorf("refused counter = %q, want 1", got)
	}
	_ = held[0].Close()
	eventually(t, "a place is free again", func() bool {
		c, err := net.DialTimeout("tcp", s.Addr().String(), time.Second)
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "GET /api/x HTTP/1.1\r\nHost: desk.localhost\r\nConnection: close\r\n\r\n")
		b, _ := io.ReadAll(c)
		return bytes.HasPrefix(b, []byte("HTTP/1.1 200"))
	})
}

// TestFewPlaces (FT25): where few file descriptors allow few connections, one address cannot hold
// them all, whatever limit is configured for it.
func TestFewPlaces(t *testing.T) {
	s := start(t, gateway.Options{Limits: gateway.Limits{Conns: 20, ConnsPerIP: 1024, Exempt: nobody}}, all())
	for range 20 {
		if c, err := net.DialTimeout("tcp", s.Addr().String(), 5*time.Second); err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
	}
	eventually(t, "connections are turned away", func() bool { return strings.HasSuffix(s.metric(`parley_http_refused_total{reason="address"}`), " 10") })
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := d.DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "GET /api/x HTTP/1.1\r\nHost: desk.localhost\r\nConnection: close\r\n\r\n")
	if b, err := io.ReadAll(c); !bytes.HasPrefix(b, []byte("HTTP/1.1 200")) {
		t.Errorf("another address: %q, %v, want a 200", b, err)
	}
}

// TestAtOnceBehindAProxy (FT25): the limit on what one client may have open at once counts the
// client behind a trusted proxy, not the proxy.
func TestAtOnceBehindAProxy(t *testing.T) {
	h, release, begun := all(), make(chan struct{}), make(chan struct{}, 16)
	h.API = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/wait" {
			begun <- struct{}{}
			<-release
		}
	})
	s := start(t, gateway.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Limits: gateway.Limits{ConnsPerIP: 3}}, h)
	var waiting sync.WaitGroup
	for _, client := range []string{"198.51.100.7", "198.51.100.7", "198.51.100.7", "198.51.100.8"} {
		waiting.Go(func() {
			if res, _ := s.do("GET", "desk.localhost", "/api/wait", "X-Forwarded-For", client); res.StatusCode != 200 {
				t.Errorf("a request of %s: %d, want 200", client, res.StatusCode)
			}
		})
	}
	for range 4 {
		<-begun
	}
	for client, want := range map[string]int{"198.51.100.7": 429, "198.51.100.8": 200, "203.0.113.9": 200} {
		if res, _ := s.do("GET", "desk.localhost", "/api/x", "X-Forwarded-For", client); res.StatusCode != want {
			t.Errorf("a request of %s while it has 3, 1 and none: %d, want %d", client, res.StatusCode, want)
		}
	}
	close(release)
	waiting.Wait()
	if res, _ := s.do("GET", "desk.localhost", "/api/x", "X-Forwarded-For", "198.51.100.7"); res.StatusCode != 200 {
		t.Errorf("a request afterwards: %d, want 200", res.StatusCode)
	}
}

func TestRequestRate(t *testing.T) {
	s := start(t, gateway.Options{Limits: gateway.Limits{RequestsPerSecond: .01, Burst: 5, Exempt: nobody}}, all())
	for i := range 5 {
		if res, _ := s.do("GET", "desk.localhost", "/api/x"); res.StatusCode != 200 {
			t.Fatalf("request %d = %d, want 200", i, res.StatusCode)
		}
	}
	res, _ := s.do("GET", "desk.localhost", "/api/x")
	if res.StatusCode != 429 || res.Header.Get("Retry-After") == "" {
		t.Errorf("request over the burst = %d, Retry-After %q; want 429 with a hint", res.StatusCode, res.Header.Get("Retry-After"))
	}
}

// TestSlowAndHuge (FT21, FT22): a header that does not end, a header that is too large, and a body
// that does not come.
func TestSlowAndHuge(t *testing.T) {
	h := all()
	h.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			http.Error(w, "body", http.StatusBadRequest)
		}
	})
	s := start(t, gateway.Options{Limits: gateway.Limits{HeaderTimeout: 200 * time.Millisecond, HeaderBytes: 8 << 10}}, h)
	t.Run("header never ends", func(t *testing.T) {
		c := s.dial()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: desk.localhost\r\nX-A: ")
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if b, err := io.ReadAll(c); isTimeout(err) {
			t.Errorf("still open after 5 s, got %q", b)
		}
	})
	t.Run("header too large", func(t *testing.T) {
		res, _ := s.do("GET", "desk.localhost", "/", "X-Big", strings.Repeat("a", 20<<10))
		if res.StatusCode != 431 {
			t.Errorf("status = %d, want 431", res.StatusCode)
		}
	})
	t.Run("both lengths", func(t *testing.T) {
		c := s.dial()
		_, _ = io.WriteString(c, "POST /api/x HTTP/1.1\r\nHost: desk.localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b, _ := io.ReadAll(c)
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 400")) {
			t.Errorf("two different lengths = %.40q, want 400", b)
		}
	})
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // the connection's own error
	return ok && ne.Timeout()
}

// TestPanic (PR19): a handler's panic gives a 500 to that request and harms no other.
func TestPanic(t *testing.T) {
	h := all()
	h.API = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })
	s := start(t, gateway.Options{}, h)
	if res, body := s.do("GET", "desk.localhost", "/api/x"); res.StatusCode != 500 || strings.Contains(body, "boom") {
		t.Errorf("panicking handler = %d %q, want a 500 that tells nothing", res.StatusCode, body)
	}
	if res, _ := s.do("GET", "desk.localhost", "/"); res.StatusCode != 200 {
		t.Errorf("the next request = %d, want 200", res.StatusCode)
	}
	if got := s.metric("parley_http_panics_total"); !strings.HasSuffix(got, " 1") {
		t.Errorf("parley_http_panics_total = %q, want 1", got)
	}
}

// TestShutdown (PR15): readiness fails first, a request under way is answered, sockets are told,
// and new connections are refused.
func TestShutdown(t *testing.T) {
	in, out, told := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h := all()
	h.API = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(in)
		<-out
		_, _ = io.WriteString(w, "done")
	})
	var s *site
	h.Drain = []func(context.Context){func(ctx context.Context) {
		if ok, _ := s.health.Ready(ctx); ok {
			t.Error("sockets were told before readiness went off")
		}
		close(told)
	}}
	s = start(t, gateway.Options{}, h)
	answer := make(chan string, 1)
	go func() {
		_, body := s.do("GET", "desk.localhost", "/api/x")
		answer <- body
	}()
	<-in
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stopped <- s.Shutdown(ctx)
	}()
	<-told
	eventually(t, "the listener is closed", func() bool {
		c, err := net.DialTimeout("tcp", s.Addr().String(), time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(out)
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if got := <-answer; got != "done" {
		t.Errorf("the request in flight got %q, want its answer", got)
	}
}

// TestBoundedSeries (SPEC Z2): many distinct inputs add no series.
func TestBoundedSeries(t *testing.T) {
	s := start(t, gateway.Options{}, all())
	series := func() int { return strings.Count(s.metric("parley_"), "\n") }
	storm := func(from, n int) {
		for i := from; i < from+n; i++ {
			for _, host := range []string{"desk.localhost", "chat.localhost", fmt.Sprintf("h%d.example", i)} {
				for _, p := range []string{"/x%d", "/api/v1/%d", "/hooks/%d", "/p/%d/", "/f/%d"} {
					s.do(fmt.Sprintf("M%d", i), host, fmt.Sprintf(p, i))
				}
			}
		}
	}
	storm(0, 3)
	before := series()
	storm(1000, 30)
	if after := series(); after != before {
		t.Errorf("%d series before, %d after 450 more distinct requests", before, after)
	}
}

func TestMetricNames(t *testing.T) {
	s := start(t, gateway.Options{}, all())
	s.do("GET", "desk.localhost", "/")
	families, err := s.reg.Gather()
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
}

func TestOptions(t *testing.T) {
	good := gateway.Origins{Desk: "http://desk.localhost:0", Chat: "http://chat.localhost:0", Files: "http://files.localhost:0"}
	cases := []struct {
		name string
		mend func(*gateway.Options)
		want string
	}{
		{"key without certificate", func(o *gateway.Options) { o.TLSKey = "k.pem" }, "needs its key"},
		{"origin with a path", func(o *gateway.Options) { o.Origins.Chat = "http://chat.localhost/x" }, "origin of chat"},
		{"origin without scheme", func(o *gateway.Options) { o.Origins.Desk = "desk.localhost" }, "origin of desk"},
		{"certificate that is not there", func(o *gateway.Options) { o.TLSCert, o.TLSKey = "/nowhere/c.pem", "/nowhere/k.pem" }, "no such file"},
		{"address that cannot be bound", func(o *gateway.Options) { o.Listen = "192.0.2.1:1" }, "listen on 192.0.2.1:1"},
	}
	for _, c := range cases {
		opts := gateway.Options{Listen: "127.0.0.1:0", Origins: good, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: ops.NewHealth()}
		c.mend(&opts)
		if _, err := gateway.New(t.Context(), opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: New = %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// eventually waits for a condition that other goroutines bring about.
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
