package kit

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

// maxSeries is how many series of one plugin the host keeps.
const maxSeries = 1000

func metricsChecks() []check {
	return []check{
		{
			group: "metrics", name: "text", run: checkMetrics,
			rule: "Metrics answers within 500 ms in the Prometheus text format",
		},
		{
			group: "metrics", name: "series", run: checkSeries,
			rule: "after traffic in many threads there are at most 1,000 series",
		},
	}
}

func (p *process) series(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	m, err := p.Metrics(ctx, &pluginv1.MetricsRequest{})
	if err != nil {
		return 0, fmt.Errorf("metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(m.GetText()))
	if err != nil {
		return 0, fmt.Errorf("metrics: %w", err)
	}
	n := 0
	for _, f := range families {
		n += len(f.GetMetric())
	}
	return n, nil
}

func checkMetrics(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	_, err = p.series(ctx)
	return err
}

func checkSeries(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	if err := s.traffic(ctx, ses); err != nil {
		return err
	}
	n, err := p.series(ctx)
	if err != nil {
		return err
	}
	if n > maxSeries {
		return fmt.Errorf("%d series", n)
	}
	return nil
}
