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
	// OpsListen is the operators' listener; "" = none. It has no
	// authentication and belongs on loopback or a private network.
	OpsListen string
	// OpsHosts are host names, without port, under which the operators' listener
	// may be asked, besides IP addresses and localhost.
	OpsHosts []string
	// TLSCert and TLSKey are PEM files for the public listener; both or none. A
	// changed certificate is taken up within a minute, without a restart.
	TLSCert, TLSKey string

	Origins Origins
	// TrustedProxies are the hops whose X-Forwarded-For and X-Forwarded-Proto
	// count. From anybody else these headers are removed.
	TrustedProxies []netip.Prefix
	Limits         Limits
	// DrainDelay is how long Shutdown leaves the listener open after readiness
	// went off, for load balancers to notice. 0 = not at all.
	DrainDelay time.Duration

	Log      *slog.Logger
	Registry *prometheus.Registry // required
	Health   *ops.Health          // required
}

// Origins are the three origins that keep console, widget and uploads apart
// [ASVS 3.5.4], each as "scheme://host[:port]"; port 0 stands for the
// listener's. Equal origins are one origin that serves all of them.
type Origins struct {
	Desk, Chat, Files string
	// Hooks is where carriers deliver webhooks and what they sign. "" = Chat.
	Hooks string
	// Plugins is the origin beneath which each third-party plugin has its own, for
	// its pages: "https://plugins.example.com" means "https://<id>.plugins.example.com".
	// Nothing is served at Plugins itself. "" = none: they share Chat, in a sandbox.
	Plugins string
	// Aliases are hosts, their port not counting, that serve everything, for a first
	// look on one machine. Empty in production.
	Aliases []string
}

// Limits bound what the outside may use. A zero field gets the default.
type Limits struct {
	// Conns is how many public connections may be open at once. Default: a third
	// of the file descriptors, since a proxied socket needs two.
	Conns int
	// ConnsPerIP is how many of one address (IPv4) or /64 network (IPv6), and how
	// many requests of one client at once, behind a trusted proxy too. Default as in the
	// configuration: a whole contact centre may share one. Half of Conns at most, so that one address
	// never holds all places where file descriptors are few (FT25). Negative: no
	// limit. Exempt addresses are only held to Conns.
	ConnsPerIP int
	// RequestsPerSecond and Burst are per address or /64 network. Default 200 and 1000.
	RequestsPerSecond float64
	Burst             int
	// Exempt networks are not held to limits per address. Nil: loopback. Trusted
	// proxies are exempt as connections; what they forward is not.
	Exempt []netip.Prefix
	// HeaderTimeout is how long a request's header may take. Default 5 s.
	HeaderTimeout time.Duration
	// HeaderBytes bounds request line and header. Default 32 KiB.
	HeaderBytes int
	// IdleTimeout is how long a kept connection may wait for its next request. Default 60 s.
	IdleTimeout time.Duration
	// BodyGrace is how long a body may take before its speed counts. Default 10 s.
	BodyGrace time.Duration
	// BodyRate is the least speed of bodies on the average, in bytes per second.
	// Default 2 KiB/s.
	BodyRate int
	// Stall is how long a write of a response may be stuck. Default 20 s.
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
	API     http.Handler // /api/ on the desk
	Hooks   http.Handler // /hooks/ on desk and chat
	Plugins http.Handler // /p/ on chat; on the desk in a sandbox (plugin-notes.md 8); /p/<id>/ on the plugin's own host
	Files   http.Handler // /f/ on files
	Desktop fs.FS        // the desktop's built files with index.html at the root; nil or empty: a page says that the build is missing
	// Drain are called at the start of a shutdown, side by side: they tell their
	// sockets to come back later, close them and return, at the latest when ctx ends.
	Drain []func(ctx context.Context)
}

// ErrOptions wraps what is wrong with Options.
var ErrOptions = errors.New("gateway: invalid options")
