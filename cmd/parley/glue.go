package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/clock"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/vault"
)

// withSecrets adds an account's secrets to its settings, where the plugin's schema has them; the
// host separates them again by x-secret.
func withSecrets(settings json.RawMessage, secrets map[string]string) (json.RawMessage, error) {
	if len(secrets) == 0 {
		return settings, nil
	}
	all := map[string]json.RawMessage{}
	if len(settings) > 0 {
		if err := json.Unmarshal(settings, &all); err != nil {
			return nil, fmt.Errorf("settings: %w", err)
		}
	}
	for name, v := range secrets {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		all[name] = b
	}
	return json.Marshal(all)
}

// logCollector exports the log's statistics to Prometheus.
type logCollector struct{ log eventlog.Log }

func logDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("parley_log_"+name, help, nil, nil)
}

// Describe implements prometheus.Collector.
func (c logCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c logCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.log.Stats()
	counter := func(name, help string, v float64) {
		ch <- prometheus.MustNewConstMetric(logDesc(name, help), prometheus.CounterValue, v)
	}
	counter("batches_total", "Group commits.", float64(s.Batches))
	counter("appends_total", "Appends made durable.", float64(s.Appends))
	counter("events_total", "Events made durable.", float64(s.Events))
	counter("conflicts_total", "Appends refused because another writer was first.", float64(s.Conflicts))
	counter("failures_total", "Appends that failed.", float64(s.Failures))
	counter("flush_seconds_total", "Time spent in commits.", s.FlushSeconds)
	ch <- prometheus.MustNewConstMetric(logDesc("queue_length", "Appends that wait for the next commit."), prometheus.GaugeValue, float64(s.Queue))
}

// clockGauge exports how far the system's clock is ahead of the installation's time.
func clockGauge(c *clock.Clock) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "parley_clock_offset_seconds",
		Help: "How far the system's clock is ahead of the installation's time, which follows a jump slowly.",
	}, func() float64 { return c.Offset().Seconds() })
}

// damagedKeys exports how many of the keys in use were found to be damaged.
func damagedKeys(v *vault.Vault) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "parley_vault_damaged_keys", Help: "Data keys that were asked for and cannot be read: what they sealed is lost.",
	}, func() float64 { return float64(v.Damaged()) })
}

func writeFile(path string, fill func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := fill(f); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
