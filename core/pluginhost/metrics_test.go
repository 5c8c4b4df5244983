package pluginhost_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/parley-gateway/parley/core/pluginhost"
)

// scrape gathers the metrics as /metrics does, where a registry refuses everything because of one
// inconsistent family.
func scrape(tb testing.TB, h *pluginhost.Host) map[string]*dto.MetricFamily {
	tb.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(h.Collector()); err != nil {
		tb.Fatal(err)
	}
	list, err := reg.Gather()
	if err != nil {
		tb.Fatalf("scrape: %v", err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range list {
		out[f.GetName()] = f
	}
	return out
}

func counter(tb testing.TB, h *pluginhost.Host, name string) float64 {
	tb.Helper()
	sum := 0.0
	for _, m := range scrape(tb, h)[name].GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum
}

// One plugin's unusable metrics must not affect other series (plugin-notes.md 6).
func TestMetricsMerge(t *testing.T) {
	b := newBench(t, nil, self("good"), self("bad", "bad-metrics"), self("many", "many-metrics"), self("slow", "slow-metrics"))
	b.ready(t)
	got := scrape(t, b.host)
	visitors := got["parley_plugin_good_visitors"].GetMetric()
	if len(visitors) != 1 || visitors[0].GetGauge().GetValue() != 7 {
		t.Fatalf("merged gauge: got %v, want 7 once", visitors)
	}
	labels := map[string]string{}
	for _, l := range visitors[0].GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	if labels["plugin"] != "good" || labels["site"] != "a" {
		t.Errorf("labels: got %v, want the plugin's own id forced", labels)
	}
	if n := len(got["parley_plugin_many_x"].GetMetric()); n != 1000 {
		t.Errorf("series of the greedy plugin: got %d, want 1000", n)
	}
	for _, name := range []string{"parley_pluginhost_state", "parley_pluginhost_resident_memory_bytes", "parley_pluginhost_open_fds"} {
		if n := len(got[name].GetMetric()); n != 4 {
			t.Errorf("%s: got %d series, want 4", name, n)
		}
	}
}
