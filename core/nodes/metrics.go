package nodes

import "github.com/prometheus/client_golang/prometheus"

// Collector returns the metrics of a node's place among the others. leases may be nil.
func Collector(k *Keeper, leases *Leases) prometheus.Collector { return collector{k, leases} }

type collector struct {
	k      *Keeper
	leases *Leases
}

var (
	liveDesc = prometheus.NewDesc("parley_nodes", "Nodes of the installation that are alive, as this one sees it.", nil, nil)
	heldDesc = prometheus.NewDesc("parley_account_leases_held", "Accounts for one node at a time that this node holds.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- liveDesc
	ch <- heldDesc
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(liveDesc, prometheus.GaugeValue, float64(len(c.k.Live())))
	held := 0
	if c.leases != nil {
		held = c.leases.Count()
	}
	ch <- prometheus.MustNewConstMetric(heldDesc, prometheus.GaugeValue, float64(held))
}
