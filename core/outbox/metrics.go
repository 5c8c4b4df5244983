package outbox

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// metrics of the outbox (SPEC Z2). Labels are bounded: plugins that exist,
// published outcomes and kinds.
type metrics struct {
	results *prometheus.CounterVec
	givenUp *prometheus.CounterVec
	ended   *prometheus.CounterVec
}

func newMetrics() metrics {
	return metrics{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_outbound_results_total", Help: "Outcomes of commands to store-and-forward channels."}, []string{"channel", "outcome"}),
		givenUp: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_outbox_failed_total", Help: "Commands that failed for good without a word in a conversation, by channel and kind; each has a record on its account."}, []string{"channel", "kind"}),
		ended:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_outbox_ended_total", Help: "Commands whose outcome became durable, by kind and outcome; superseded: a newer one said the same and more."}, []string{"kind", "outcome"}),
	}
}

// Collectors are the outbox's metrics, for the router's registry.
func (o *Outbox) Collectors() []prometheus.Collector {
	return []prometheus.Collector{o.metrics.results, o.metrics.givenUp, o.metrics.ended, pending{
		o:     o,
		count: prometheus.NewDesc("parley_outbox_pending", "Commands of this node that have not ended, by kind.", []string{"kind"}, nil),
		oldest: prometheus.NewDesc("parley_outbox_oldest_seconds", "Age of the oldest command of this node that has not ended, by kind; 0: there is none.",
			[]string{"kind"}, nil),
	}}
}

// pending shows the commands in memory.
type pending struct {
	o             *Outbox
	count, oldest *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (p pending) Describe(ch chan<- *prometheus.Desc) {
	ch <- p.count
	ch <- p.oldest
}

// Collect implements prometheus.Collector.
func (p pending) Collect(ch chan<- prometheus.Metric) {
	type of struct {
		count  int
		oldest time.Time
	}
	all := map[string]of{}
	p.o.mu.Lock()
	for _, c := range p.o.byID {
		kind := kindLabel(c.row.Kind)
		k, at := all[kind], c.made()
		if k.count == 0 || at.Before(k.oldest) {
			k.oldest = at
		}
		k.count++
		all[kind] = k
	}
	p.o.mu.Unlock()
	now := time.Now()
	for _, kind := range append(kinds(), otherKind) {
		k, age := all[kind], 0.0
		if k.count > 0 {
			age = max(0, now.Sub(k.oldest).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(p.count, prometheus.GaugeValue, float64(k.count), kind)
		ch <- prometheus.MustNewConstMetric(p.oldest, prometheus.GaugeValue, age, kind)
	}
}

// made is when a command was made, by the system's clock: its id is a UUIDv7 (RFC 9562 section 5.7).
// An id that is none, as commands made by hand may have, counts from when it was read.
func (c *Command) made() time.Time {
	if c.row.CommandID[6]>>4 != 7 {
		return c.since
	}
	var ms [8]byte
	copy(ms[2:], c.row.CommandID[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:])))
}

const otherKind = "other"

// kindLabel is the metric label of a kind. A row of a newer version may have a kind that this
// version does not know.
func kindLabel(kind string) string {
	if slices.Contains(kinds(), kind) {
		return kind
	}
	return otherKind
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
