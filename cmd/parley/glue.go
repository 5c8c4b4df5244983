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

// vaultCollector exports the key store's statistics to Prometheus.
type vaultCollector struct{ vault *vault.Vault }

// Describe implements prometheus.Collector.
func (c vaultCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c vaultCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.vault.Stats()
	metric := func(kind prometheus.ValueType, name, help string, v float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("parley_vault_"+name, help, nil, nil), kind, v)
	}
	up := 0.0
	if s.Ready {
		up = 1
	}
	metric(prometheus.GaugeValue, "damaged_keys", "Data keys that were asked for and cannot be read: what they sealed is lost.", float64(c.vault.Damaged()))
	metric(prometheus.GaugeValue, "missing_keys", "Data keys that were asked for and are not in the key store: what they sealed is lost.", float64(c.vault.Missing()))
	metric(prometheus.GaugeValue, "ready", "1 while keys can be read and made, as far as is known.", up)
	metric(prometheus.GaugeValue, "silent_seconds", "Since the key database last answered; 0 for a file.", s.Silent.Seconds())
	metric(prometheus.GaugeValue, "spare_keys", "Keys that are stored and not yet assigned: so many conversations can begin while the key database is away.", float64(s.Spare))
	metric(prometheus.CounterValue, "blocks_total", "Blocks of keys made ahead.", float64(s.Blocks))
	metric(prometheus.CounterValue, "loads_total", "Keys read from the key store because they were not in memory.", float64(s.Loads))
	metric(prometheus.CounterValue, "failures_total", "Accesses to the key store that failed.", float64(s.Failures))
	metric(prometheus.CounterValue, "removed_keys_total", "Keys dropped from memory because another node destroyed them.", float64(s.Removed))
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
