package outbox

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// metrics of the outbox (SPEC Z2). Labels are bounded: plugins that exist,
// published outcomes and kinds.
type metrics struct {
	results *prometheus.CounterVec
	givenUp *prometheus.CounterVec
}

func newMetrics() metrics {
	return metrics{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_outbound_results_total", Help: "Outcomes of commands to store-and-forward channels."}, []string{"channel", "outcome"}),
		givenUp: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_outbox_failed_total", Help: "Commands that failed for good without a word in a conversation, by channel and kind; each has a record on its account."}, []string{"channel", "kind"}),
	}
}

// Collectors are the outbox's metrics, for the router's registry.
func (o *Outbox) Collectors() []prometheus.Collector {
	return []prometheus.Collector{o.metrics.results, o.metrics.givenUp}
}

// channel is the metric label of an account: its plugin if that has been connected here, else
// "other".
func (o *Outbox) channel(account eventlog.StreamID) string {
	id := o.convs.Plugin(conversation.AccountID(account))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.plugins[id] == nil {
		return "other"
	}
	return id
}
