package gateway

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/gateway/ops"
)

// Areas are the parts of the gateway that a path can belong to, by its first segment; they are the
// bounded label of all request metrics.
const (
	areaAPI     = "api"
	areaHooks   = "hooks"
	areaPlugins = "plugins"
	areaFiles   = "files"
	areaDesktop = "desktop"
)

func area(path string) string {
	head, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch head {
	case "api":
		return areaAPI
	case "hooks":
		return areaHooks
	case "p":
		return areaPlugins
	case "f":
		return areaFiles
	default:
		return areaDesktop
	}
}

func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	default:
		return "other"
	}
}

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	refused  *prometheus.CounterVec
	panics   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, open func() int) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_http_requests_total", Help: "Requests answered on the public listener, upgrades included.",
		}, []string{"area", "method", "code"}),
		seconds: prometheus.NewHistogramVec(ops.LatencyOpts("parley_http_request_duration_seconds",
			"Time from header to answer on the public listener; of upgrades the handshake."), []string{"area"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parley_http_requests_in_flight", Help: "Requests being answered.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_http_refused_total",
			Help: "Connections and requests turned away at the edge, by reason: address, total (at once), rate, host.",
		}, []string{"reason"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parley_http_panics_total", Help: "Requests whose handler panicked.",
		}),
	}
	for _, reason := range []string{"address", "total", "rate", "host"} {
		m.refused.WithLabelValues(reason)
	}
	reg.MustRegister(m.requests, m.seconds, m.inFlight, m.refused, m.panics, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "parley_http_connections", Help: "Open connections of the public listener, sockets included.",
	}, func() float64 { return float64(open()) }))
	return m
}

// observe counts and times every request, and turns a handler's panic into a 500 of that request
// alone.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, a := time.Now(), area(r.URL.Path)
		rec := &recorder{ResponseWriter: w}
		s.metrics.inFlight.Inc()
		defer func() {
			s.metrics.inFlight.Dec()
			p := recover()
			begun := rec.code != 0
			if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic value, compared as net/http does
				s.metrics.panics.Inc()
				s.log.Error("http: handler panicked", "area", a, "panic", p, "stack", string(debug.Stack()))
				if !begun {
					http.Error(rec, "internal error", http.StatusInternalServerError)
					p = nil
				}
			}
			if rec.code == 0 {
				rec.code = http.StatusOK
			}
			s.metrics.requests.WithLabelValues(a, method(r.Method), strconv.Itoa(rec.code)).Inc()
			s.metrics.seconds.WithLabelValues(a).Observe(time.Since(start).Seconds())
			if p != nil {
				panic(http.ErrAbortHandler) // part of the answer is sent: only closing the connection tells the client that the rest is missing
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// recorder remembers the status of the answer.
type recorder struct {
	http.ResponseWriter
	code int
}

// Unwrap gives http.ResponseController the wrapped writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader notes the final status.
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 && code >= 200 || code == http.StatusSwitchingProtocols {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write records status 200 if no other was written before.
func (r *recorder) Write(p []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}
