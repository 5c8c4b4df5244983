package ops

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Handler serves GET /metrics, /healthz, /readyz and /debug/pprof/ to requests whose Host is an IP
// address, localhost or one of the given host names, with or without a port (or is missing:
// HTTP/1.0). Other hosts are refused, so that a web page whose own name was made to point at this
// listener (DNS rebinding) cannot read it.
func Handler(reg *prometheus.Registry, health *Health, log *slog.Logger, hosts ...string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metricsHandler(reg, log))
	mux.HandleFunc("GET /healthz", health.serveAlive)
	mux.HandleFunc("GET /readyz", health.serveReady)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return onlyFor(hosts, mux, reg, log)
}

func onlyFor(hosts []string, next http.Handler, reg *prometheus.Registry, log *slog.Logger) http.Handler {
	refused := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "parley_ops_refused_total", Help: "Requests to the operators' listener under a host name that is not its own.",
	})
	reg.MustRegister(refused)
	said := rate.Sometimes{Interval: time.Minute}
	known := map[string]bool{"localhost": true}
	for _, h := range hosts {
		known[strings.ToLower(h)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		if _, err := netip.ParseAddr(host); err != nil && host != "" && !known[host] {
			refused.Inc()
			said.Do(func() {
				log.Warn("a request to the operators' listener named another host: list it in listen.ops_hosts if it is right")
			})
			http.Error(w, "this listener does not serve that host name: add it to listen.ops_hosts", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostOf is a Host header in lower case, without port, brackets and the root's trailing dot.
func hostOf(header string) string {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
