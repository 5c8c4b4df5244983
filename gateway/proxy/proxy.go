package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/gateway/limit"
	"github.com/parley-gateway/parley/plugins/contract/identity"
)

// Access says who may use a route.
type Access int

// Who may use a route (DESIGN.md 7).
const (
	Public Access = iota + 1 // anybody; the plugin authenticates
	Agent                    // a logged-in user of the desktop
	Grant                    // whoever sends a single-use grant
)

// Route is a declared route of a running plugin.
type Route struct {
	Access   Access
	Upgrade  bool   // WebSockets are allowed
	MaxBody  int64  // largest body of a request, in bytes
	Instance string // the generation of the plugin that serves it
	Socket   string // path of its unix socket
	Key      []byte // signs the Parley-Identity header
	// Foreign: a third-party plugin. Its pages must not share an origin with other plugins' pages:
	// they have an origin of their own, or are put into a sandbox.
	Foreign bool
	// Gone is closed when the generation has ended; nil: the end shows only in its connections,
	// which it closes.
	Gone <-chan struct{}
}

// Errors that a Host returns.
var (
	// ErrNoRoute: there is no such plugin, or it declared no such route.
	ErrNoRoute = errors.New("proxy: no such route")
	// ErrUnavailable: the plugin is not ready now.
	ErrUnavailable = errors.New("proxy: plugin not ready")
)

// Host is what this package needs of the plugin host.
type Host interface {
	// Route finds the plugin's route for path, which is below /p/<plugin>/ and has no leading
	// slash. While the plugin restarts it waits a moment. Errors: ErrNoRoute, ErrUnavailable, and
	// that of ctx.
	Route(ctx context.Context, plugin, path string) (Route, error)
}

// Auth finds out who sends a request. An error means that the request has no valid sender.
type Auth interface {
	// Agent identifies a logged-in user by the session that r carries.
	Agent(r *http.Request) (identity.Identity, Watch, error)
	// Redeem uses up the grant that r carries for plugin.
	Redeem(r *http.Request, plugin string) (identity.Identity, Watch, error)
}

// Watch calls fn, once, when the session that allowed a request or tunnel has ended (PR23): tunnels
// are closed then, and requests cut off. fn does not block. A nil Watch: there is no session that
// can end.
type Watch = func(fn func()) (cancel func())

// FilesHeader tells a plugin the origin of attachments (scheme://host[:port]), which its pages'
// Content-Security-Policy must name.
const FilesHeader = "Parley-Files-Origin"

// Options configure a Proxy.
type Options struct {
	Host Host
	Auth Auth
	// Origin returns the origin of a third-party plugin's pages, "scheme://host[:port]"; "" = the
	// plugin has no origin of its own. Nil: no plugin has one.
	Origin func(plugin string) string
	// FilesOrigin is the origin of attachments, which plugins get in FilesHeader. "" = they do not
	// get the header.
	FilesOrigin string
	// SocketsPerIP is how many tunnels one address or /64 network may have open. Default 512.
	SocketsPerIP int
	// Exempt networks are not limited by SocketsPerIP. Nil: loopback.
	Exempt []netip.Prefix
	// Stall is how long a write to either end of a tunnel may take without progress. Default 25 s
	// (PR13).
	Stall    time.Duration
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Proxy serves /p/<plugin>/... Safe for concurrent use.
type Proxy struct {
	opts      Options
	reverse   *httputil.ReverseProxy
	transport *http.Transport
	pool      *chunks
	sockets   *limit.Conns[netip.Addr]
	metrics   *metrics

	mu       sync.Mutex
	tunnels  map[*tunnel]struct{}
	watched  map[string]bool // generations for whose end a goroutine waits
	draining bool
	drained  chan struct{}
	work     sync.WaitGroup
}

// New makes a Proxy. The caller must call Drain in the end.
func New(opts Options) *Proxy {
	if opts.SocketsPerIP == 0 {
		opts.SocketsPerIP = 512
	}
	if opts.Stall == 0 {
		opts.Stall = 25 * time.Second
	}
	if opts.Exempt == nil {
		opts.Exempt = limit.Loopback()
	}
	p := &Proxy{
		opts:    opts,
		pool:    newChunks(),
		sockets: limit.NewConns[netip.Addr](opts.SocketsPerIP, 0),
		tunnels: map[*tunnel]struct{}{},
		watched: map[string]bool{},
		drained: make(chan struct{}),
		metrics: newMetrics(opts.Registry),
	}
	p.transport = newTransport()
	p.reverse = p.newReverse()
	return p
}

// request holds what the access check decided about one HTTP request.
type request struct {
	plugin string
	route  Route
	sub    string // the path that the plugin sees, decoded
	who    identity.Identity
	watch  Watch
	policy string // the content policy that the gateway has set
	sealed bool   // policy holds whatever policy the plugin sets
	own    bool   // the request is to the plugin's own origin
	w      http.ResponseWriter
	body   clientBody
}

// ServeHTTP passes one request on to its plugin.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	plugin, rest, ok := split(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if crooked(rest) {
		p.metrics.count(noPlugin, http.StatusBadRequest)
		http.Error(w, "no such path here", http.StatusBadRequest)
		return
	}
	route, err := p.opts.Host.Route(r.Context(), plugin, rest)
	switch {
	case errors.Is(err, ErrNoRoute):
		http.NotFound(w, r)
		return
	case errors.Is(err, ErrUnavailable):
		p.metrics.count(plugin, http.StatusServiceUnavailable)
		unavailable(w)
		return
	case err != nil: // the client has gone
		panic(http.ErrAbortHandler) // returning from the handler would answer 200
	}
	q := &request{plugin: plugin, route: route, sub: "/" + rest, w: w}
	if !p.place(w, r, q) {
		return
	}
	if status := p.gate(q, r); status != http.StatusOK {
		p.metrics.count(plugin, status)
		http.Error(w, http.StatusText(status), status)
		return
	}
	if r.Header.Get("Upgrade") != "" {
		p.upgrade(w, r, q)
		return
	}
	start := time.Now()
	p.pass(w, r, q)
	p.metrics.seconds.WithLabelValues(plugin).Observe(time.Since(start).Seconds())
}

// place reports whether the plugin is served at the host of the request, and answers if it is not.
// A third-party plugin with an origin of its own is served there and not on origins that it would
// share with others. The exception is the desk's origin, for requests that need the desktop's
// session: there the plugin's pages are sandboxed and run no script.
func (p *Proxy) place(w http.ResponseWriter, r *http.Request, q *request) bool {
	if p.opts.Origin == nil {
		return true
	}
	origin := p.opts.Origin(q.plugin)
	if origin == "" {
		return true
	}
	_, host, _ := strings.Cut(origin, "://")
	q.own = strings.EqualFold(withoutPort(host), withoutPort(r.Host))
	status := http.StatusMisdirectedRequest
	switch {
	case !q.route.Foreign && q.own:
		status = http.StatusNotFound
	case !q.route.Foreign, q.own, strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "sandbox"):
		return true
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Upgrade") == "":
		p.metrics.count(q.plugin, http.StatusTemporaryRedirect)
		http.Redirect(w, r, origin+r.URL.RequestURI(), http.StatusTemporaryRedirect) //nolint:gosec // the host is configured; only the path below /p/ is of the request
		return false
	}
	p.metrics.count(q.plugin, status)
	http.Error(w, http.StatusText(status), status)
	return false
}

// withoutPort is a host name without its port. It does not handle IPv6 addresses in brackets.
func withoutPort(host string) string {
	name, _, _ := strings.Cut(host, ":")
	return name
}

// split splits /p/<plugin>/<rest> into plugin and rest.
func split(path string) (plugin, rest string, ok bool) {
	path, ok = strings.CutPrefix(path, "/p/")
	if !ok {
		return "", "", false
	}
	plugin, rest, _ = strings.Cut(path, "/")
	return plugin, rest, plugin != ""
}

// gate checks whether the sender may use the route [ASVS 8.3.1], and returns the status: 200 if so.
func (p *Proxy) gate(q *request, r *http.Request) int {
	var err error
	switch q.route.Access {
	case Public:
	case Agent:
		if q.who, q.watch, err = p.opts.Auth.Agent(r); err != nil {
			return http.StatusUnauthorized
		}
	case Grant:
		if q.who, q.watch, err = p.opts.Auth.Redeem(r, q.plugin); err != nil {
			return http.StatusForbidden
		}
		if q.who.Instance != "" && q.who.Instance != q.route.Instance {
			return http.StatusGone // the grant was made for a generation of the plugin that has ended
		}
	default:
		return http.StatusNotFound
	}
	q.who.RemoteIP = limit.IP(r).String()
	return http.StatusOK
}

func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "this part is starting again", http.StatusServiceUnavailable)
}

// Drain ends all tunnels with 1012 and waits for them, at the latest until ctx ends, when it cuts
// off the rest. No tunnel opens after it.
func (p *Proxy) Drain(ctx context.Context) {
	p.mu.Lock()
	if !p.draining {
		p.draining = true
		close(p.drained)
	}
	for t := range p.tunnels {
		t.end(atDrain)
	}
	p.mu.Unlock()
	cut := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for t := range p.tunnels {
			t.ended(endDrain)
			t.close()
		}
	})
	defer cut()
	p.work.Wait()
	p.transport.CloseIdleConnections()
}

// watch ends the tunnels of a generation when the host says that it has ended: the process of an
// attached plugin may live on, and with it its connections. The caller holds the mutex.
func (p *Proxy) watch(r Route) {
	if r.Gone == nil || p.watched[r.Instance] {
		return
	}
	p.watched[r.Instance] = true
	p.work.Go(func() {
		select {
		case <-r.Gone:
		case <-p.drained:
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watched, r.Instance)
		for t := range p.tunnels {
			if t.instance == r.Instance {
				t.end(atDrain)
			}
		}
	})
}
