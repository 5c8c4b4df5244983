package agents

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// metrics of agents (SPEC Z2).
type metrics struct {
	offers *prometheus.CounterVec
	accept prometheus.Histogram
}

func newMetrics() metrics {
	return metrics{
		offers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_offers_total", Help: "Offers to agents that ended, by cause."}, []string{"cause"}),
		accept: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "parley_offer_accept_seconds", Help: "Time from an offer to its acceptance.", Buckets: []float64{1, 2, 5, 10, 20, 30, 60},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: 3600e9,
		}),
	}
}

// Collectors are the metrics of agents, for the router's registry.
func (k *Keeper) Collectors() []prometheus.Collector {
	return []prometheus.Collector{k.metrics.offers, k.metrics.accept}
}

// event counts one event of an agent; held is the offer that the agent had before it, or nil.
func (m *metrics) event(ev conversation.Event, held *acd.HeldOffer) {
	e, ok := ev.Head.(*acd.OfferEnded)
	if !ok {
		return
	}
	m.offers.WithLabelValues(string(e.Cause)).Inc()
	if e.Cause == conversation.CauseAccepted && held != nil {
		m.accept.Observe(ev.At.Sub(held.At).Seconds())
	}
}
