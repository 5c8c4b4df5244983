package router

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/acd"
)

// metrics of the router (SPEC Z2). Labels are bounded: plugins and services
// that exist, published codes and causes.
type metrics struct {
	events    prometheus.Counter
	conflicts prometheus.Counter
	doubts    prometheus.Counter
	behind    prometheus.Counter
	newer     prometheus.Counter
	rewritten prometheus.Counter
	found     prometheus.Counter
	append    prometheus.Histogram

	unfinished prometheus.Gauge
	typing     *prometheus.CounterVec

	waiting *prometheus.Desc
	oldest  *prometheus.Desc
	agents  *prometheus.Desc
	lives   *prometheus.Desc
	owned   *prometheus.Desc
	doubted *prometheus.Desc
	threads *prometheus.Desc
}

func newMetrics() *metrics {
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: buckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: 3600e9,
		})
	}
	return &metrics{
		events:     prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_conversation_events_total", Help: "Events of conversations made durable by this node."}),
		conflicts:  prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_router_conflicts_total", Help: "Decisions taken again because another writer was first."}),
		doubts:     prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_router_doubts_total", Help: "Appends of which the log could not say whether they were written; each was looked up afterwards."}),
		behind:     prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_router_behind_total", Help: "Events and commands to come again because an earlier one of the same author, which the store refused, has to come first."}),
		newer:      prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_router_newer_total", Help: "Times that a conversation or agent was left alone because a newer version of the gateway keeps it."}),
		rewritten:  prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_router_rewritten_total", Help: "Conversations whose bodies were replaced, for masking or erasure."}),
		unfinished: prometheus.NewGauge(prometheus.GaugeOpts{Name: "parley_router_replaced_keys", Help: "Data keys that a rewriting has replaced and that were not destroyed when this was last looked at, at the start and every minute."}),
		typing:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_typing_commands_total", Help: "Typing that providers of store-and-forward channels were told of, by channel and outcome: sent, or dropped since the plugin was behind or away."}, []string{"channel", "outcome"}),
		found:      prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_router_sweep_finds_total", Help: "Conversations with a deadline that had passed and for which no timer was set here."}),
		append:     histogram("parley_router_append_seconds", "Time from a decision to its commit.", []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}),
		waiting:    prometheus.NewDesc("parley_queue_waiting", "Requests that wait for an agent.", []string{"service"}, nil),
		oldest:     prometheus.NewDesc("parley_queue_oldest_wait_seconds", "Age of the longest waiting request.", []string{"service"}, nil),
		agents:     prometheus.NewDesc("parley_agents", "Agents by status.", []string{"status"}, nil),
		lives:      prometheus.NewDesc("parley_router_conversations_in_memory", "Conversations that the router has in memory.", nil, nil),
		owned:      prometheus.NewDesc("parley_router_conversations_owned", "Conversations in memory of which this node is the preferred owner.", nil, nil),
		doubted:    prometheus.NewDesc("parley_router_streams_in_doubt", "Conversations and agents of which it is not known yet whether an append was written.", nil, nil),
		threads:    prometheus.NewDesc("parley_router_threads_in_memory", "Threads of accounts that the router has in memory.", nil, nil),
	}
}

// Collector returns the router's metrics for a Prometheus registry.
func (r *Router) Collector() prometheus.Collector { return collector{r} }

type collector struct{ r *Router }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, x := range c.parts() {
		x.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{c.r.metrics.waiting, c.r.metrics.oldest, c.r.metrics.agents, c.r.metrics.lives, c.r.metrics.owned, c.r.metrics.doubted, c.r.metrics.threads} {
		ch <- d
	}
}

func (c collector) parts() []prometheus.Collector {
	m := c.r.metrics
	return slices.Concat(c.r.bots.Collectors(), c.r.outbox.Collectors(), c.r.agents.Collectors(), c.r.messages.Collectors(), c.r.ingest.Collectors(),
		[]prometheus.Collector{m.events, c.r.sessions, m.conflicts, m.doubts, m.behind, m.newer, m.rewritten, m.unfinished, m.found, m.append, m.typing})
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, x := range c.parts() {
		x.Collect(ch)
	}
	b := c.r.Board(c.r.ctx)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, q := range b.Queues {
		gauge(c.r.metrics.waiting, float64(q.Waiting), q.Name)
		age := 0.0
		if !q.OldestSince.IsZero() {
			age = b.At.Sub(q.OldestSince).Seconds()
		}
		gauge(c.r.metrics.oldest, age, q.Name)
	}
	byStatus := map[string]int{}
	for _, s := range []acd.Status{acd.StatusLoggedOut, acd.StatusNotReady, acd.StatusReady, acd.StatusBusy, acd.StatusACW} {
		byStatus[string(s)] = 0
	}
	for _, a := range b.Agents {
		byStatus[a.Status]++
	}
	for s, n := range byStatus {
		gauge(c.r.metrics.agents, float64(n), s)
	}
	c.r.mu.Lock()
	n, owned := len(c.r.lives), 0
	for id := range c.r.lives {
		if c.r.owns(id) {
			owned++
		}
	}
	c.r.mu.Unlock()
	gauge(c.r.metrics.lives, float64(n))
	gauge(c.r.metrics.owned, float64(owned))
	gauge(c.r.metrics.doubted, float64(c.r.doubts.open()))
	c.r.threadsMu.RLock()
	n = len(c.r.threads)
	c.r.threadsMu.RUnlock()
	gauge(c.r.metrics.threads, float64(n))
}
