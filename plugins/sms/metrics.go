package sms

import (
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// counters are the plugin's own series. Every label has few values, none of which a customer or a
// carrier chooses.
type counters struct {
	registry   *prometheus.Registry
	webhooks   *prometheus.CounterVec
	signatures *prometheus.CounterVec
	sends      *prometheus.CounterVec
	segments   *prometheus.CounterVec
	media      *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
}

func newCounters() *counters {
	c := &counters{
		registry: prometheus.NewRegistry(),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webhooks_total", Help: "Webhooks by kind and result; the result is accepted or the reason of the refusal.",
		}, []string{"kind", "result"}),
		signatures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signature_failures_total", Help: "Webhooks whose signature was missing or wrong, by mode.",
		}, []string{"mode", "reason"}),
		sends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sends_total", Help: "Attempts to send, by result and class of error.",
		}, []string{"result", "class"}),
		segments: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "segments_total", Help: "Segments of texts by direction, as the carrier counts them in and as they are estimated out.",
		}, []string{"direction"}),
		media: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "media_total", Help: "Customers' attachments by result.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "request_duration_seconds", Help: "Time of requests to the carrier.",
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15},
		}, []string{"operation"}),
	}
	c.registry.MustRegister(c.webhooks, c.signatures, c.sends, c.segments, c.media, c.seconds)
	return c
}

func (c *counters) webhook(kind hookKind, reason string) {
	if reason == "" {
		reason = "accepted"
	}
	c.webhooks.WithLabelValues(string(kind), reason).Inc()
}

func (c *counters) unsigned(mode, reason string) { c.signatures.WithLabelValues(mode, reason).Inc() }

func (c *counters) received(segments int) {
	if segments > 0 {
		c.segments.WithLabelValues("in").Add(float64(segments))
	}
}

func (c *counters) sent(r *sdk.Result, segments int) {
	result, class := "sent", ""
	switch r.Outcome {
	case sdk.OutcomeFailed:
		result, class = "failed", className(r.ErrorKind)
		if r.Retryable {
			result = "retry"
		}
	case sdk.OutcomeUnknown:
		result = "unknown"
	default:
		c.segments.WithLabelValues("out").Add(float64(segments))
	}
	c.sends.WithLabelValues(result, class).Inc()
}

func (c *counters) fetched(result string) { c.media.WithLabelValues(result).Inc() }

func (c *counters) took(operation string, since time.Time) {
	c.seconds.WithLabelValues(operation).Observe(time.Since(since).Seconds())
}

func className(k sdk.ErrorKind) string {
	switch k {
	case sdk.KindTemporary:
		return "temporary"
	case sdk.KindThrottled:
		return "throttled"
	case sdk.KindAddress:
		return "address"
	case sdk.KindAuth:
		return "auth"
	case sdk.KindContent:
		return "content"
	default:
		return "internal"
	}
}

func (c *counters) write(w io.Writer) error {
	families, err := c.registry.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	out := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := out.Encode(f); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}
