package gateway

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/gateway/limit"
	"github.com/parley-gateway/parley/gateway/ops"
)

// Options configure a Server.
type Options struct {
	// Listen is the public listener's "host:port"; port 0 lets the kernel choose.
	Listen string
	// OpsListen is the operators' listener; "" = none. It has no authentication, so it belongs on
	// loopback or a private network.
	OpsListen string
	// OpsHosts are the host names, without port, that requests to the operators' listener may use
	// besides IP addresses and localhost.
	OpsHosts []string
	// TLSCert and TLSKey are PEM files for the public listener; both or none. A changed certificate
	// is used within a minute, without a restart.
	TLSCert, TLSKey string

	Origins Origins
	// TrustedProxies are the hops whose X-Forwarded-For and X-Forwarded-Proto are believed. From
	// all others these headers are removed.
	TrustedProxies []netip.Prefix
	Limits         Limits
	// DrainDelay is how long Shutdown keeps the listener open after readiness has failed, so that
	// load balancers notice. 0 = not at all.
	DrainDelay time.Duration

	Log      *slog.Logger
	Registry *prometheus.Registry // required
	Health   *ops.Health          // required
}

// Origins are the three origins that separate desktop, widget and uploads [ASVS 3.5.4], each as
// "scheme://host[:port]"; port 0 stands for the listener's port. Origins that are equal are served
// as one.
type Origins struct {
	Desk, Chat, Files string
	// Hooks is the origin to which carriers deliver webhooks, and which they sign. "" = Chat.
	Hooks string
	// Plugins is the origin below which each third-party plugin has an origin of its own for its
	// pages: "https://plugins.example.com" means "https://<id>.plugins.example.com". Nothing is
	// served at Plugins itself. "" = plugins have no origins of their own and share Chat, in a
	// sandbox.
	Plugins string
	// Aliases are hosts, regardless of port, that serve all origins, for a first look on one
	// machine. Empty in production.
	Aliases []string
}

// Limits bound what clients may use. A zero field means its default.
type Limits struct {
	// Conns is how many public connections may be open at once. Default: a third
	// of the file descriptors, since a proxied socket needs two.
	Conns int
	// ConnsPerIP is how many connections one address (IPv4) or /64 network (IPv6) may have open at
	// once, and how many requests one client may have under way at once, also behind a trusted
	// proxy. Default as in the configuration: a whole contact centre may share one address. It is
	// at most half of Conns, so that one address never takes all places where file descriptors are
	// few (FT25). Negative: no limit. Exempt addresses are limited by Conns only.
	ConnsPerIP int
	// RequestsPerSecond and Burst limit the requests of one address or /64 network. Default 200 and
	// 1000.
	RequestsPerSecond float64
	Burst             int
	// Exempt networks have no limits per address. Nil: loopback. A trusted proxy's connections are
	// exempt; the requests that it forwards are not.
	Exempt []netip.Prefix
	// HeaderTimeout is how long a request's header may take. Default 5 s.
	HeaderTimeout time.Duration
	// HeaderBytes bounds request line and header. Default 32 KiB.
	HeaderBytes int
	// IdleTimeout is how long a kept connection may wait for its next request. Default 60 s.
	IdleTimeout time.Duration
	// BodyGrace is how long a body may take before its speed is checked. Default 10 s.
	BodyGrace time.Duration
	// BodyRate is the least average speed of a body, in bytes per second. Default 2 KiB/s.
	BodyRate int
	// Stall is how long a write of a response may take without progress. Default 20 s.
	Stall time.Duration
}

func (l Limits) withDefaults() Limits {
	set(&l.Conns, defaultConns())
	set(&l.ConnsPerIP, config.Default().HTTP.MaxConnsPerIP)
	l.ConnsPerIP = min(l.ConnsPerIP, max(l.Conns/2, 1))
	set(&l.RequestsPerSecond, 200)
	set(&l.Burst, 1000)
	set(&l.HeaderTimeout, 5*time.Second)
	set(&l.HeaderBytes, 32<<10)
	set(&l.IdleTimeout, time.Minute)
	set(&l.BodyGrace, 10*time.Second)
	set(&l.BodyRate, 2<<10)
	set(&l.Stall, 20*time.Second)
	if l.Exempt == nil {
		l.Exempt = limit.Loopback()
	}
	return l
}

func set[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// Handlers are what a Server serves. A nil handler answers 404.
type Handlers struct {
	API     http.Handler // serves /api/ on the desk
	Hooks   http.Handler // /hooks/ on desk and chat
	Plugins http.Handler // /p/ on chat; on the desk in a sandbox (plugin-notes.md 8); /p/<id>/ on the plugin's own host
	Files   http.Handler // serves /f/ on files
	Desktop fs.FS        // the desktop's built files with index.html at the root; nil or empty: a page says that the build is missing
	// Drain are called at the start of a shutdown, at the same time: each tells its sockets to
	// connect again later, closes them and returns, at the latest when ctx ends.
	Drain []func(ctx context.Context)
}

// ErrOptions wraps errors that say what is wrong with Options.
var ErrOptions = errors.New("gateway: invalid options")
