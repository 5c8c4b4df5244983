package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/parley-gateway/parley/gateway/limit"
	"github.com/parley-gateway/parley/gateway/ops"
)

// Server runs the public and the operators' listener. New binds them, Start serves, Shutdown
// drains.
type Server struct {
	opts    Options
	limits  Limits
	origins Origins
	hosts   hosts
	log     *slog.Logger
	metrics *metrics
	rates   *limit.Rates[netip.Addr]
	atOnce  *limit.Conns[netip.Addr] // requests under way of one client
	turned  rate.Sometimes           // limits how often refusals are logged

	public, ops net.Listener // ops is nil if there is no operators' listener
	tls         bool

	policies            policies
	drain               []func(context.Context)
	publicHTTP, opsHTTP *http.Server
	serving             sync.WaitGroup
	failed              chan error
	shutdownOnce        sync.Once
	shutdownErr         error
}

// New binds both listeners, so that addresses and origins are known before anything is built on
// them; connections wait in the kernel until Start. Errors wrap ErrOptions or say what could not be
// bound. After New the caller must call Shutdown in the end.
func New(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{opts: opts, limits: opts.Limits.withDefaults(), log: opts.Log, failed: make(chan error, 2)}
	if opts.Registry == nil || opts.Health == nil || opts.Log == nil {
		return nil, fmt.Errorf("%w: registry, health and log are required", ErrOptions)
	}
	if (opts.TLSCert == "") != (opts.TLSKey == "") {
		return nil, fmt.Errorf("%w: a certificate needs its key and the other way round", ErrOptions)
	}
	var tlsConfig *tls.Config
	if opts.TLSCert != "" {
		cert, err := newCertificate(opts.TLSCert, opts.TLSKey, opts.Log)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
		tlsConfig, s.tls = cert.config(), true
	}
	tcp, err := listen(ctx, opts.Listen)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if s.origins, s.hosts, err = opts.Origins.resolve(tcp.Addr().(*net.TCPAddr).Port, s.tls); err != nil {
		_ = tcp.Close()
		return nil, err
	}
	if opts.OpsListen != "" {
		if s.ops, err = listen(ctx, opts.OpsListen); err != nil {
			_ = tcp.Close()
			return nil, fmt.Errorf("gateway: ops: %w", err)
		}
	}
	conns := limit.NewConns[netip.Addr](s.limits.ConnsPerIP, s.limits.Conns)
	s.metrics = newMetrics(opts.Registry, conns.Open)
	s.rates = limit.NewRates[netip.Addr](s.limits.RequestsPerSecond, s.limits.Burst, 50_000)
	s.atOnce = limit.NewConns[netip.Addr](s.limits.ConnsPerIP, 0)
	s.turned.Interval = 10 * time.Second
	s.public = &door{
		TCPListener: tcp, conns: conns,
		exempt:  slices.Concat(s.limits.Exempt, opts.TrustedProxies),
		refused: s.refused,
	}
	if tlsConfig != nil {
		s.public = tls.NewListener(s.public, tlsConfig)
	}
	return s, nil
}

// Addr is the public listener's address.
func (s *Server) Addr() net.Addr { return s.public.Addr() }

// OpsAddr is the ops listener's address; nil when there is none.
func (s *Server) OpsAddr() net.Addr {
	if s.ops == nil {
		return nil
	}
	return s.ops.Addr()
}

// Origins are the origins with the listener's port filled in.
func (s *Server) Origins() Origins { return s.origins }

// TLS reports whether the public listener has a certificate.
func (s *Server) TLS() bool { return s.tls }

// Start serves h until Shutdown. It returns at once.
func (s *Server) Start(h Handlers) {
	desk := newDesktop(h.Desktop)
	s.policies = newPolicies(s.origins, desk.scriptHashes())
	s.drain = h.Drain
	errorLog := slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	s.publicHTTP = &http.Server{
		Handler:           s.handler(h, desk),
		ReadHeaderTimeout: s.limits.HeaderTimeout,
		IdleTimeout:       s.limits.IdleTimeout,
		// net/http sets it anew for each request; pace extends it for bodies and long answers.
		WriteTimeout:   30 * time.Second,
		MaxHeaderBytes: s.limits.HeaderBytes,
		ErrorLog:       errorLog,
	}
	s.serve(s.publicHTTP, s.public)
	if s.ops != nil {
		s.opsHTTP = &http.Server{
			Handler:           ops.Handler(s.opts.Registry, s.opts.Health, s.log, s.opts.OpsHosts...),
			ReadHeaderTimeout: 5 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          errorLog,
		}
		s.serve(s.opsHTTP, s.ops)
	}
	s.opts.Health.Started()
}

func (s *Server) serve(srv *http.Server, ln net.Listener) {
	s.serving.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("gateway: serve %s: %w", ln.Addr(), err)
		}
	})
}

// Failed delivers the error with which a listener stopped without Shutdown.
func (s *Server) Failed() <-chan error { return s.failed }

// handler wraps the routes in all that a public request passes, outermost first.
func (s *Server) handler(h Handlers, desk http.Handler) http.Handler {
	mux := s.routes(h, desk)
	edge := pace(s.limits, s.secure(mux))
	limited := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.hosts.serves(r.Host) == 0 {
			s.metrics.refused.WithLabelValues("host").Inc()
			w.Header().Set("Connection", "close")
			http.Error(w, "no such host here", http.StatusMisdirectedRequest)
			return
		}
		// A carrier sends thousands of webhooks from a handful of addresses, so the hook handler
		// limits them by account, and by address only those that it refuses.
		if ip := limit.IP(r); area(r.URL.Path) != areaHooks && !limit.Contains(s.limits.Exempt, ip) {
			key := limit.Address(ip)
			reason := ""
			switch {
			case !s.rates.Allow(key, time.Now()):
				reason = "rate"
			case s.atOnce.Acquire(key, false) != limit.OK:
				reason = "address" // one client behind a proxy, or many requests on one connection
			}
			if reason != "" {
				s.refused(reason)
				w.Header().Set("Retry-After", "1")
				http.Error(w, "too many requests", http.StatusTooManyRequests)
				return
			}
			defer s.atOnce.Release(key)
		}
		edge.ServeHTTP(w, r)
	})
	return s.observe(clients{s.opts.TrustedProxies, s.opts.Log}.middleware(limited))
}

// refused counts what was refused because of a limit, and logs it now and then.
func (s *Server) refused(reason string) {
	s.metrics.refused.WithLabelValues(reason).Inc()
	s.turned.Do(func() {
		s.log.Warn("http: over a limit, turned away; parley_http_refused_total counts", "reason", reason)
	})
}

// routes sends the requests of each area to its handler, on the hosts that serve that area.
func (s *Server) routes(h Handlers, desk http.Handler) http.Handler {
	mux := http.NewServeMux()
	on := func(pattern string, where surface, to http.Handler) {
		if to == nil {
			to = http.NotFoundHandler()
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if !s.hosts.serves(r.Host).has(where) {
				http.NotFound(w, r)
				return
			}
			to.ServeHTTP(w, r)
		})
	}
	on("/api/", surfaceDesk, h.API)
	on("/hooks/", surfaceDesk|surfaceChat|surfaceHooks, h.Hooks)
	on("/p/", surfaceDesk|surfaceChat|surfacePlugin, s.ownPages(h.Plugins))
	on("/f/", surfaceFiles, h.Files)
	on("/", surfaceDesk, desk)
	return mux
}

// ownPages serves only the plugin itself at a plugin's own host: its pages control everything in
// that origin, so no other plugin may share it.
func (s *Server) ownPages(next http.Handler) http.Handler {
	if next == nil {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.hosts.serves(r.Host) == surfacePlugin {
			rest, _ := strings.CutPrefix(r.URL.Path, "/p/")
			if id, _, _ := strings.Cut(rest, "/"); id != s.hosts.plugin(hostname(r.Host)) {
				http.NotFound(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// Shutdown makes readiness fail, tells sockets to connect again later, waits for the requests under
// way, and closes. When ctx ends first the rest is cut off. The operators' listener is closed last.
// Further calls wait for the first.
func (s *Server) Shutdown(ctx context.Context) error {
	s.shutdownOnce.Do(func() { s.shutdownErr = s.shutdown(ctx) })
	return s.shutdownErr
}

func (s *Server) shutdown(ctx context.Context) error {
	s.opts.Health.Drain()
	if s.publicHTTP == nil { // Start was never called
		err := s.public.Close()
		if s.ops != nil {
			err = errors.Join(err, s.ops.Close())
		}
		return err
	}
	if s.opts.DrainDelay > 0 {
		select {
		case <-time.After(s.opts.DrainDelay):
		case <-ctx.Done():
		}
	}
	s.publicHTTP.SetKeepAlivesEnabled(false)
	var wg sync.WaitGroup
	for _, drain := range s.drain {
		wg.Go(func() { drain(ctx) })
	}
	err := s.publicHTTP.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("gateway: shutdown: %w", err), s.publicHTTP.Close())
	}
	wg.Wait()
	if s.opsHTTP != nil {
		err = errors.Join(err, s.opsHTTP.Close())
	}
	s.serving.Wait()
	return err
}
