package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/api"
)

// pluginBlobs is the attachment store as plugins see it: by thread, and their
// own accounts' only.
type pluginBlobs struct {
	store  *blob.Store
	router *router.Router
	base   string // origin of attachments
}

// Put implements pluginhost.Blobs.
func (b pluginBlobs) Put(ctx context.Context, account conversation.AccountID, thread, name, mime string, r io.Reader) (conversation.File, error) {
	owner := blob.Owner{Account: account}
	if thread != "" {
		conv, err := b.router.OpenConversation(ctx, account, thread)
		if err != nil {
			return conversation.File{}, err
		}
		owner.Conversation = conv
	}
	return b.store.Put(ctx, owner, name, mime, r)
}

// Get implements pluginhost.Blobs.
func (b pluginBlobs) Get(ctx context.Context, accounts []conversation.AccountID, id conversation.BlobID) (conversation.File, io.ReadCloser, error) {
	if err := b.own(ctx, accounts, id); err != nil {
		return conversation.File{}, nil, err
	}
	return b.store.Open(ctx, id)
}

// URL implements pluginhost.Blobs.
func (b pluginBlobs) URL(ctx context.Context, accounts []conversation.AccountID, id conversation.BlobID, ttl time.Duration, thumbnail bool) (string, time.Time, error) {
	if err := b.own(ctx, accounts, id); err != nil {
		return "", time.Time{}, err
	}
	ttl = min(max(ttl, time.Minute), time.Hour)
	return b.base + b.store.SignURL(id, ttl, thumbnail), time.Now().Add(ttl), nil
}

func (b pluginBlobs) own(ctx context.Context, accounts []conversation.AccountID, id conversation.BlobID) error {
	_, row, err := b.store.Info(ctx, id)
	if err != nil {
		return err
	}
	if !slices.Contains(accounts, row.Account) {
		return fmt.Errorf("attachment of another plugin: %w", blob.ErrNotFound)
	}
	return nil
}

// withSecrets puts an account's secrets beside its settings, as the plugin's
// schema has them; the host takes them apart again by x-secret.
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

// logCollector gives the log's statistics to Prometheus.
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

// apiRouter gives the API the router's feeds as its own interface.
type apiRouter struct{ *router.Router }

// NewFeed implements api.Router.
func (r apiRouter) NewFeed(agent conversation.AgentID, audience conversation.Audience, wake func()) api.Feed {
	return r.Router.NewFeed(agent, audience, wake)
}
