package proxy

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/gateway/ops"
)

// noPlugin is the label of requests that were refused before a plugin was looked up.
const noPlugin = "-"

// metrics of the proxy. The plugin label is noPlugin or a plugin that has the route, so the number
// of series is bounded by the installed plugins.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	open     *prometheus.GaugeVec
	ended    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_proxy_requests_total", Help: "Requests for plugins' own pages and sockets, by class of the answer.",
		}, []string{"plugin", "class"}),
		seconds: prometheus.NewHistogramVec(ops.LatencyOpts("parley_proxy_request_duration_seconds",
			"Time of a request that went to a plugin, sockets excluded."), []string{"plugin"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "parley_proxy_sockets", Help: "WebSockets open to plugins.",
		}, []string{"plugin"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_proxy_sockets_ended_total",
			Help: "WebSockets to plugins that ended, by reason: client, plugin, plugin_gone, drain, slow, revoked.",
		}, []string{"plugin", "reason"}),
	}
	reg.MustRegister(m.requests, m.seconds, m.open, m.ended)
	return m
}

func (m *metrics) count(plugin string, status int) {
	m.requests.WithLabelValues(plugin, strconv.Itoa(status/100)+"xx").Inc()
}
