package pluginhost

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// maxSeries bounds how many series one plugin may add to a scrape.
const maxSeries = 1000

// merger asks plugins for their own metrics and converts them so that they can be served together
// with the gateway's.
type merger struct {
	mu   sync.Mutex
	last map[string]metricList // the last usable answer of each plugin
}

func newMerger() *merger { return &merger{last: map[string]metricList{}} }

func (m *merger) collect(ctx context.Context, plugins []*hosted, out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for _, p := range plugins {
		p.mu.Lock()
		g := p.cur
		p.mu.Unlock()
		if g == nil {
			continue
		}
		wg.Go(func() {
			resp, err := g.service.Metrics(ctx, &pluginv1.MetricsRequest{})
			if err != nil {
				return // the last usable answer is served again
			}
			if metrics, ok := convertMetrics(p.id, resp.GetText()); ok && metrics.consistent() {
				m.mu.Lock()
				m.last[p.id] = metrics
				m.mu.Unlock()
			}
		})
	}
	wg.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	var accepted metricList
	for _, p := range plugins {
		next := append(slices.Clip(accepted), m.last[p.id]...)
		if next.consistent() {
			accepted = next
		}
	}
	accepted.Collect(out)
}

// metricList is a collector of series that exist already.
type metricList []prometheus.Metric

// Describe implements prometheus.Collector.
func (metricList) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (l metricList) Collect(out chan<- prometheus.Metric) {
	for _, m := range l {
		out <- m
	}
}

// consistent reports whether a registry would serve the series: a registry refuses the whole scrape
// because of one family that contradicts itself.
func (l metricList) consistent() bool {
	reg := prometheus.NewRegistry()
	if reg.Register(l) != nil {
		return false
	}
	_, err := reg.Gather()
	return err == nil
}

// convertMetrics parses the text format and rebuilds each series under the plugin's prefix and
// label, so that no series can be invalid, duplicate or look like another plugin's. ok is false if
// the text cannot be parsed.
func convertMetrics(plugin string, text []byte) (out metricList, ok bool) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, false
	}
	names := make([]string, 0, len(families))
	for name := range families {
		names = append(names, name)
	}
	slices.Sort(names)
	prefix := "parley_plugin_" + strings.ReplaceAll(plugin, "-", "_") + "_"
	for _, name := range names {
		family := families[name]
		seen := map[string]bool{}
		for _, m := range family.GetMetric() {
			if len(out) >= maxSeries {
				return out, true
			}
			labels, values, id := labelsOf(plugin, m)
			if seen[id] {
				continue
			}
			seen[id] = true
			desc := prometheus.NewDesc(prefix+strings.TrimPrefix(name, prefix), family.GetHelp(), labels, nil)
			if metric, err := constMetric(desc, family.GetType(), m, values); err == nil {
				out = append(out, metric)
			}
		}
	}
	return out, true
}

// labelsOf sets the plugin label, and returns all labels and a key made of them.
func labelsOf(plugin string, m *dto.Metric) (names, values []string, id string) {
	names, values = []string{"plugin"}, []string{plugin}
	pairs := slices.Clone(m.GetLabel())
	slices.SortFunc(pairs, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	for _, l := range pairs {
		if l.GetName() == "plugin" {
			continue
		}
		names, values = append(names, l.GetName()), append(values, l.GetValue())
		id += l.GetName() + "\xff" + l.GetValue() + "\xff"
	}
	return names, values, id
}

func constMetric(desc *prometheus.Desc, kind dto.MetricType, m *dto.Metric, values []string) (prometheus.Metric, error) {
	switch kind {
	case dto.MetricType_COUNTER:
		return prometheus.NewConstMetric(desc, prometheus.CounterValue, m.GetCounter().GetValue(), values...)
	case dto.MetricType_GAUGE:
		return prometheus.NewConstMetric(desc, prometheus.GaugeValue, m.GetGauge().GetValue(), values...)
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		h := m.GetHistogram()
		buckets := make(map[float64]uint64, len(h.GetBucket()))
		for _, b := range h.GetBucket() {
			buckets[b.GetUpperBound()] = b.GetCumulativeCount()
		}
		return prometheus.NewConstHistogram(desc, h.GetSampleCount(), h.GetSampleSum(), buckets, values...)
	case dto.MetricType_SUMMARY:
		s := m.GetSummary()
		quantiles := make(map[float64]float64, len(s.GetQuantile()))
		for _, q := range s.GetQuantile() {
			quantiles[q.GetQuantile()] = q.GetValue()
		}
		return prometheus.NewConstSummary(desc, s.GetSampleCount(), s.GetSampleSum(), quantiles, values...)
	default:
		return prometheus.NewConstMetric(desc, prometheus.UntypedValue, m.GetUntyped().GetValue(), values...)
	}
}
