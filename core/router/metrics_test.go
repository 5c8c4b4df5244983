package router_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Z2: the metrics count what the router does.
func TestMetricsCount(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	r.PluginReady("text", "text-1", newPort(textInfo()))
	w.textChat(r)
	reg := prometheus.NewPedanticRegistry()
	must(t, reg.Register(r.Collector()))
	families, err := reg.Gather()
	must(t, err)
	counts := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			counts[f.GetName()] += m.GetHistogram().GetSampleCount() + uint64(m.GetCounter().GetValue())
		}
	}
	for _, name := range []string{"parley_conversation_events_total", "parley_offers_total", "parley_offer_accept_seconds", "parley_router_append_seconds"} {
		if counts[name] == 0 {
			t.Errorf("%s: nothing counted after an accepted chat", name)
		}
	}
}
