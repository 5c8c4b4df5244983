package sessionwork

import (
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

type metrics struct {
	ended   *prometheus.CounterVec
	calls   *prometheus.CounterVec
	limited *prometheus.CounterVec
	asked   *prometheus.CounterVec
	live    *prometheus.Desc
}

func newMetrics() metrics {
	return metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_sessions_ended_total",
			Help: "Calls and tools that ended, by kind and cause, where this node wrote the end."}, []string{"kind", "cause"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_tool_calls_total",
			Help: "Calls of tools, by what was asked and how it went: ok, fault, gone, no_answer."}, []string{"call", "outcome"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_tool_acts_limited_total",
			Help: "Acts on tools that were refused because there were too many on one session, by who acted."}, []string{"by"}),
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_call_commands_total",
			Help: "Commands for calls, by command and outcome: given, refused, and, of those given by anybody, failed and lost."}, []string{"command", "outcome"}),
		live: prometheus.NewDesc("parley_sessions_live", "Calls and tools that this node knows as live.", []string{"kind"}, nil),
	}
}

// causes are those that metrics tell apart.
var causes = []conversation.Cause{
	conversation.CauseFinished, conversation.CauseRejected, conversation.CauseExpired, conversation.CauseCancelled, conversation.CauseFailed,
	conversation.CauseLost, conversation.CauseEnded, conversation.CauseIdle, conversation.CauseManual, conversation.CauseHangup,
	conversation.CauseBusy, conversation.CauseNoAnswer,
}

// Ended counts the end of a session.
func (w *Work) Ended(h *conversation.SessionEnded) {
	cause := h.Cause
	if !slices.Contains(causes, cause) {
		cause = "other"
	}
	w.metrics.ended.WithLabelValues(string(h.Kind), string(cause)).Inc()
}

// called counts a call of a tool.
func (w *Work) called(call string, err error, fault *plugin.ToolFault) {
	outcome := "ok"
	switch {
	case errors.Is(err, plugin.ErrInstanceGone):
		outcome = "gone"
	case err != nil:
		outcome = "no_answer"
	case fault != nil:
		outcome = "fault"
	}
	w.metrics.calls.WithLabelValues(call, outcome).Inc()
}

// Describe implements prometheus.Collector.
func (w *Work) Describe(ch chan<- *prometheus.Desc) {
	w.metrics.ended.Describe(ch)
	w.metrics.calls.Describe(ch)
	w.metrics.limited.Describe(ch)
	w.metrics.asked.Describe(ch)
	ch <- w.metrics.live
}

// Collect implements prometheus.Collector.
func (w *Work) Collect(ch chan<- prometheus.Metric) {
	w.metrics.ended.Collect(ch)
	w.metrics.calls.Collect(ch)
	w.metrics.limited.Collect(ch)
	w.metrics.asked.Collect(ch)
	n := map[conversation.SessionKind]int{conversation.SessionCall: 0, conversation.SessionTool: 0}
	w.mu.Lock()
	for _, h := range w.sessions {
		n[h.kind]++
	}
	w.mu.Unlock()
	for kind, count := range n {
		ch <- prometheus.MustNewConstMetric(w.metrics.live, prometheus.GaugeValue, float64(count), string(kind))
	}
}
