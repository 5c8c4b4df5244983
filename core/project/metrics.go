package project

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the follower (SPEC Z2). The label is the name of a projection of this build. How far the
// projections are behind is told by the node that follows the log.
type metrics struct {
	f       *Follower
	applied *prometheus.CounterVec
	events  *prometheus.Desc
	seconds *prometheus.Desc
	stopped *prometheus.Desc
}

func newMetrics(f *Follower) *metrics {
	label := []string{"projection"}
	m := &metrics{
		f:       f,
		applied: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_projection_applied_total", Help: "Events applied to a projection by this node."}, label),
		events:  prometheus.NewDesc("parley_projection_lag_events", "Positions of the log that a projection has not reached.", label, nil),
		seconds: prometheus.NewDesc("parley_projection_lag_seconds", "Age of the first event that is not applied to a projection; 0 when all are.", label, nil),
		stopped: prometheus.NewDesc("parley_projection_stopped", "1 while a projection has stopped because of an event that it cannot apply, or tables of a newer version.", label, nil),
	}
	for _, p := range f.all {
		m.applied.WithLabelValues(p.Name)
	}
	return m
}

// Collector returns the follower's metrics for a Prometheus registry.
func (f *Follower) Collector() prometheus.Collector { return f.metrics }

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	m.applied.Describe(ch)
	ch <- m.events
	ch <- m.seconds
	ch <- m.stopped
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.applied.Collect(ch)
	for _, p := range m.f.all {
		p.mu.Lock()
		leads, behind, oldest, stopped := p.leads, p.head-p.position, p.oldest, p.problem != ""
		p.mu.Unlock()
		if !leads {
			continue
		}
		age := time.Duration(0)
		if !oldest.IsZero() {
			age = max(0, m.f.now().Sub(oldest))
		}
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, p.Name)
		}
		gauge(m.events, float64(max(0, behind)))
		gauge(m.seconds, age.Seconds())
		one := 0.0
		if stopped {
			one = 1
		}
		gauge(m.stopped, one)
	}
}
