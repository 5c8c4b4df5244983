package eventlogbench_test

import (
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog/eventlogbench"
)

// A short run, to know that the measurement itself works.
func TestRun(t *testing.T) {
	r, err := eventlogbench.Run(t.Context(), t.TempDir(), 16, 400*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if r.Events == 0 || r.PerSecond <= 0 || r.Bare <= 0 || r.Ratio <= 0 || r.P99 < r.P50 || r.MeanBatch < 1 {
		t.Errorf("Run: got %+v, want every figure filled", r)
	}
}

func BenchmarkAppend512(b *testing.B) {
	for b.Loop() {
		r, err := eventlogbench.Run(b.Context(), b.TempDir(), 512, 6*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(r.PerSecond, "events/s")
		b.ReportMetric(r.Bare, "bare-events/s")
		b.ReportMetric(r.Ratio, "ratio")
		b.ReportMetric(r.MeanBatch, "events/flush")
		b.Log(r)
	}
}
