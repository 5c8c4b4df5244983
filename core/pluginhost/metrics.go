package pluginhost

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/plugin"
)

// The host's own series start with parley_pluginhost_, and those that plugins report with
// parley_plugin_<id>_, so that they never have the same name.
const metricsPrefix = "parley_pluginhost_"

// meters are the host's series. Their labels are bounded: ids of loaded plugins and fixed lists of
// classes.
type meters struct {
	commands, signals, shed, shedNotices, records, unknown, mended, quarantined *prometheus.CounterVec
	events, results, hooks, restarts, toolCalls                                 *prometheus.CounterVec
	commandSeconds, ingestSeconds, hookSeconds, toolSeconds                     *prometheus.HistogramVec

	mu      sync.Mutex
	plugins map[string]*pluginMeters
}

// pluginMeters are one plugin's series, looked up once and then kept.
type pluginMeters struct {
	commands, signals, shedSignals, shedNotices, records, unknownFrames, mended, quarantined prometheus.Counter
	commandSeconds, ingestSeconds, hookSeconds                                               prometheus.Observer
	tool                                                                                     func(method, outcome string, took time.Duration)

	events       map[string]prometheus.Counter
	results      map[string]prometheus.Counter
	hooks        map[string]prometheus.Counter
	restarts     map[string]prometheus.Counter
	droppedLines atomic.Uint64
}

// Classes in which events, results, hooks and restarts are counted.
var (
	eventClasses   = [...]string{"committed", "duplicate", "refused", "retry", "unknown_account", "invalid", "too_large", "unsupported"}
	resultClasses  = [...]string{"sent", "failed", "unknown"}
	hookClasses    = [...]string{"2xx", "3xx", "4xx", "5xx", "unavailable", "not_durable", "busy", "quarantined", "refused", "error"}
	restartClasses = [...]string{"exit", "signal", "stream", "unresponsive", "protocol", "lease", "start"}
)

func newMeters() *meters {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricsPrefix + name, Help: help}, append([]string{"plugin"}, labels...))
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: metricsPrefix + name, Help: help,
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"plugin"})
	}
	return &meters{
		commands:       counter("commands_total", "Commands sent to the plugin."),
		signals:        counter("signals_total", "Ephemeral signals taken from the plugin."),
		shed:           counter("shed_signals_total", "Ephemeral signals dropped because the plugin did not keep up."),
		shedNotices:    counter("shed_notices_total", "Notices for bots and tools dropped because the plugin did not keep up."),
		records:        counter("records_total", "Records sent to the plugin's subscriptions."),
		unknown:        counter("ignored_frames_total", "Frames and items that the host did not understand or expect."),
		mended:         counter("mended_messages_total", "Messages from or to the plugin with strings that were not UTF-8."),
		quarantined:    counter("quarantined_total", "Commands and hooks parked because they end the plugin."),
		events:         counter("events_total", "Events of the plugin by outcome.", "outcome"),
		results:        counter("results_total", "Results of commands by outcome.", "outcome"),
		hooks:          counter("hooks_total", "Webhooks by class of answer.", "class"),
		restarts:       counter("restarts_total", "Generations that ended or failed to start, by cause.", "cause"),
		toolCalls:      counter("tool_calls_total", "Calls of the plugin's tool by method and outcome.", "method", "outcome"),
		toolSeconds:    histogram("tool_call_seconds", "Time of an answered or failed call of the plugin's tool."),
		commandSeconds: histogram("command_seconds", "Time from sending a command to storing its result."),
		ingestSeconds:  histogram("event_seconds", "Time from receiving an event to its acknowledgement."),
		hookSeconds:    histogram("hook_seconds", "Time from taking a webhook to its answer."),
		plugins:        map[string]*pluginMeters{},
	}
}

func (m *meters) of(plugin string) *pluginMeters {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.plugins[plugin]; p != nil {
		return p
	}
	classes := func(vec *prometheus.CounterVec, names []string) map[string]prometheus.Counter {
		out := make(map[string]prometheus.Counter, len(names))
		for _, name := range names {
			out[name] = vec.WithLabelValues(plugin, name)
		}
		return out
	}
	p := &pluginMeters{
		commands: m.commands.WithLabelValues(plugin), signals: m.signals.WithLabelValues(plugin),
		shedSignals: m.shed.WithLabelValues(plugin), shedNotices: m.shedNotices.WithLabelValues(plugin), records: m.records.WithLabelValues(plugin),
		unknownFrames: m.unknown.WithLabelValues(plugin), mended: m.mended.WithLabelValues(plugin), quarantined: m.quarantined.WithLabelValues(plugin),
		commandSeconds: m.commandSeconds.WithLabelValues(plugin), ingestSeconds: m.ingestSeconds.WithLabelValues(plugin),
		hookSeconds: m.hookSeconds.WithLabelValues(plugin),
		events:      classes(m.events, eventClasses[:]), hooks: classes(m.hooks, hookClasses[:]),
		results:  classes(m.results, resultClasses[:]),
		restarts: classes(m.restarts, restartClasses[:]),
	}
	p.tool = func(method, outcome string, took time.Duration) {
		m.toolCalls.WithLabelValues(plugin, method, outcome).Inc()
		if took > 0 {
			m.toolSeconds.WithLabelValues(plugin).Observe(took.Seconds())
		}
	}
	m.plugins[plugin] = p
	return p
}

func (p *pluginMeters) event(class string) { p.events[class].Inc() }

func (p *pluginMeters) restart(cause string) { p.restarts[cause].Inc() }

func (p *pluginMeters) hook(status int, err error, took time.Duration) {
	p.hookSeconds.Observe(took.Seconds())
	p.hooks[hookClass(status, err)].Inc()
}

func hookClass(status int, err error) string {
	switch {
	case err == nil:
		return strconv.Itoa(status/100) + "xx"
	case errors.Is(err, plugin.ErrNotDurable):
		return "not_durable"
	case errors.Is(err, ErrBusy):
		return "busy"
	case errors.Is(err, ErrQuarantined):
		return "quarantined"
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrClosed):
		return "unavailable"
	case errors.Is(err, ErrNoHook), errors.Is(err, ErrMethod), errors.Is(err, plugin.ErrTooLarge):
		return "refused"
	default:
		return "error"
	}
}

// Descriptions of the series that are read at the time of a scrape.
type gauges struct {
	state, oneNode, age, generation, dropped, rss, cpu, fds, flight, credit, subs, ping *prometheus.Desc
}

func newGauges() gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(metricsPrefix+name, help, append([]string{"plugin"}, labels...), nil)
	}
	return gauges{
		state:      desc("state", "1 for the state that the plugin is in.", "state"),
		oneNode:    desc("one_node_accounts", "Accounts that one node at a time serves, by whether it is this node.", "place"),
		age:        desc("generation_age_seconds", "Time since the present generation became ready; 0 = none is."),
		generation: desc("generations_total", "Starts of the plugin's process."),
		dropped:    desc("dropped_log_lines_total", "Log lines of the plugin dropped over the rate limit."),
		rss:        desc("resident_memory_bytes", "Resident memory of the plugin's process."),
		cpu:        desc("cpu_seconds_total", "CPU time of the plugin's present process."),
		fds:        desc("open_fds", "Open file descriptors of the plugin's process."),
		flight:     desc("commands_in_flight", "Commands at the plugin that have no result yet."),
		credit:     desc("events_in_flight", "Events of the plugin that are not acknowledged yet."),
		subs:       desc("subscriptions", "Open subscriptions of the plugin."),
		ping:       desc("ping_seconds", "Round trip of the last answered ping through the plugin's dispatch loop."),
	}
}

// collector collects every series of the host, and the plugins' own series.
type collector struct {
	h      *Host
	gauges gauges
	merge  *merger
}

// Collector returns a collector of the host's metrics and those that plugins report. Plugins are
// asked at each scrape, with a time limit of 500 ms. If a plugin's answer is unusable or missing,
// all other series are served all the same.
func (h *Host) Collector() prometheus.Collector {
	return &collector{h: h, gauges: newGauges(), merge: newMerger()}
}

// Describe implements prometheus.Collector. It describes nothing, since plugins' series are not
// known in advance.
func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	m := c.h.meters
	for _, vec := range []prometheus.Collector{
		m.commands, m.signals, m.shed, m.shedNotices, m.records, m.unknown, m.mended, m.quarantined, m.events, m.results, m.hooks, m.restarts,
		m.commandSeconds, m.ingestSeconds, m.hookSeconds, m.toolCalls, m.toolSeconds,
	} {
		vec.Collect(out)
	}
	c.h.mu.Lock()
	plugins := c.h.list()
	c.h.mu.Unlock()
	for _, p := range plugins {
		c.collectPlugin(p, out)
	}
	c.merge.collect(c.h.ctx, plugins, out)
}

func (c *collector) collectPlugin(p *hosted, out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{p.id}, labels...)...)
	}
	counter := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, p.id)
	}
	p.mu.Lock()
	state, number, g, one := p.state, p.number, p.cur, p.oneNodeAccounts()
	p.mu.Unlock()
	here := 0
	for _, a := range one {
		if a.Here {
			here++
		}
	}
	gauge(c.gauges.oneNode, float64(here), "here")
	gauge(c.gauges.oneNode, float64(len(one)-here), "elsewhere")
	gauge(c.gauges.state, 1, string(state))
	counter(c.gauges.generation, float64(number))
	counter(c.gauges.dropped, float64(p.meters.droppedLines.Load()))
	if g == nil {
		gauge(c.gauges.age, 0)
		return
	}
	gauge(c.gauges.age, time.Since(g.ready).Seconds())
	g.session.mu.Lock()
	flight, credit, subs, rtt := len(g.session.window.flight), g.session.up.events, len(g.session.subs), g.session.ping.rtt
	g.session.mu.Unlock()
	gauge(c.gauges.flight, float64(flight))
	gauge(c.gauges.credit, float64(credit))
	gauge(c.gauges.subs, float64(subs))
	gauge(c.gauges.ping, rtt.Seconds())
	if g.proc == nil {
		return
	}
	if u, ok := processUsage(g.proc.pid); ok {
		gauge(c.gauges.rss, u.rss)
		counter(c.gauges.cpu, u.cpu)
		gauge(c.gauges.fds, u.fds)
	}
}
