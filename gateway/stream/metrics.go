package stream

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/gateway/ops"
)

type metrics struct {
	sockets  prometheus.Gauge
	closed   *prometheus.CounterVec
	commands *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	events   prometheus.Counter
	bytes    prometheus.Counter
	shed     prometheus.Counter
	panics   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		sockets: prometheus.NewGauge(prometheus.GaugeOpts{Name: "parley_stream_sockets", Help: "Agents' sockets that are open."}),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_stream_closed_total",
			Help: "Agents' sockets that ended, by reason: client, silent, slow, revoked, restart, protocol, refused (never opened).",
		}, []string{"reason"}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_stream_commands_total", Help: "Commands of agents, by name and result: ok, refused, error.",
		}, []string{"command", "result"}),
		seconds: prometheus.NewHistogramVec(ops.LatencyOpts("parley_stream_command_duration_seconds",
			"Time from a command to its answer, the commit included."), []string{"command"}),
		events: prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_stream_events_total", Help: "Events written to agents' sockets."}),
		bytes:  prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_stream_sent_bytes_total", Help: "Bytes written to agents' sockets."}),
		shed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_stream_shed_total", Help: "Ephemeral frames dropped for sockets that were behind."}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_stream_panics_total", Help: "Panics that ended one agent's socket and nothing else."}),
	}
	for _, r := range []string{"client", "silent", "slow", "revoked", "restart", "protocol", "refused"} {
		m.closed.WithLabelValues(r)
	}
	reg.MustRegister(m.sockets, m.closed, m.commands, m.seconds, m.events, m.bytes, m.shed, m.panics)
	return m
}
