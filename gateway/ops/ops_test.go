package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/parley-gateway/parley/gateway/ops"
)

func get(t *testing.T, h http.Handler, path, accept string) *http.Response {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReadiness(t *testing.T) {
	broken := errors.New("no space left")
	var fault error
	health := ops.NewHealth(ops.Check{Name: "log", Run: func(context.Context) error { return fault }})
	h := ops.Handler(prometheus.NewRegistry(), health, slog.New(slog.DiscardHandler))

	steps := []struct {
		name   string
		before func()
		status int
		want   string
	}{
		{"starting", func() {}, 503, "lifecycle: starting"},
		{"started", health.Started, 200, "log: ok"},
		{"a check fails", func() { fault = broken }, 503, "log: no space left"},
		{"and recovers", func() { fault = nil }, 200, "log: ok"},
		{"draining", health.Drain, 503, "lifecycle: draining"},
	}
	for _, s := range steps {
		s.before()
		res := get(t, h, "/readyz", "")
		if text := body(t, res); res.StatusCode != s.status || !strings.Contains(text, s.want) {
			t.Errorf("%s: GET /readyz = %d %q, want %d with %q", s.name, res.StatusCode, text, s.status, s.want)
		}
		if res := get(t, h, "/healthz", ""); res.StatusCode != 200 {
			t.Errorf("%s: GET /healthz = %d, want 200 whatever else is wrong", s.name, res.StatusCode)
		}
	}

	res := get(t, h, "/readyz", "application/json")
	var rep struct {
		Status string
		Checks []ops.Result
	}
	if err := json.NewDecoder(res.Body).Decode(&rep); err != nil {
		t.Fatal(err)
	}
	if rep.Status != "unavailable" || len(rep.Checks) != 2 {
		t.Errorf("readyz as JSON = %+v, want unavailable with 2 checks", rep)
	}
}

func TestMetrics(t *testing.T) {
	reg := ops.NewRegistry("1.2.3")
	lat := prometheus.NewHistogram(ops.LatencyOpts("parley_try_duration_seconds", "Time of a try."))
	reg.MustRegister(lat, failing{})
	lat.Observe(.003)
	h := ops.Handler(reg, ops.NewHealth(), slog.New(slog.DiscardHandler))

	text := body(t, get(t, h, "/metrics", ""))
	for _, want := range []string{"parley_build_info{", `version="1.2.3"`, `parley_try_duration_seconds_bucket{le="0.005"} 1`, "go_goroutines", "process_open_fds"} {
		if !strings.Contains(text, want) {
			t.Errorf("GET /metrics lacks %q although one collector fails", want)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "parley_") {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
	}
	res := get(t, h, "/metrics", "application/openmetrics-text;version=1.0.0")
	if ct := res.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/openmetrics-text") {
		t.Errorf("Content-Type for an OpenMetrics scraper = %q", ct)
	}
}

// failing is a collector that always fails.
type failing struct{}

var failingDesc = prometheus.NewDesc("parley_failing", "Never there.", nil, nil)

func (failing) Describe(ch chan<- *prometheus.Desc) { ch <- failingDesc }
func (failing) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(failingDesc, errors.New("broken"))
}

func TestProfiles(t *testing.T) {
	h := ops.Handler(prometheus.NewRegistry(), ops.NewHealth(), slog.New(slog.DiscardHandler))
	if res := get(t, h, "/debug/pprof/goroutine?debug=1", ""); res.StatusCode != 200 {
		t.Errorf("GET /debug/pprof/goroutine = %d, want 200", res.StatusCode)
	}
}

// Many requests at once cost one run of a check, whose outcome does not depend on which request
// came first or was given up; and a check that hangs is reported as failed.
func TestReadinessIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		var fault atomic.Pointer[error]
		health := ops.NewHealth(ops.Check{Name: "log", Fresh: time.Second, Run: func(ctx context.Context) error {
			runs.Add(1)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := fault.Load(); err != nil {
				return *err
			}
			return nil
		}})
		health.Started()
		ask := func(want bool) {
			t.Helper()
			gone, cancel := context.WithCancel(t.Context())
			go health.Ready(gone)
			synctest.Wait()
			cancel() // the first one leaves while its check runs
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if ok, results := health.Ready(t.Context()); ok != want {
						t.Errorf("ready: got %t (%+v), want %t", ok, results, want)
					}
				})
			}
			wg.Wait()
		}
		ask(true)
		if n := runs.Load(); n != 1 {
			t.Errorf("101 questions at once ran the check %d times, want once", n)
		}
		broken := errors.New("no space left")
		fault.Store(&broken)
		time.Sleep(time.Second)
		ask(false)
		fault.Store(nil)
		time.Sleep(time.Second)
		ask(true)
		if n := runs.Load(); n != 3 {
			t.Errorf("three rounds ran the check %d times, want 3", n)
		}

		hung := ops.NewHealth(ops.Check{Name: "log", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
		if ok, results := hung.Ready(t.Context()); ok || results[1].Error != "no answer within 2s" {
			t.Errorf("a check that hangs: %t, %+v, want no answer within 2s", ok, results)
		}
	})
}

// A web page whose own name points at the listener cannot read anything (DNS rebinding); probes and
// scrapers that use an address, localhost or a configured name can.
func TestHosts(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := ops.Handler(reg, ops.NewHealth(), slog.New(slog.DiscardHandler), "Parley.internal")
	for host, want := range map[string]int{
		"127.0.0.1:9090": 200, "127.0.0.1": 200, "[::1]:9090": 200, "[::1]": 200, "10.0.0.7:9090": 200,
		"localhost:9090": 200, "LOCALHOST": 200, "localhost.:9090": 200, "parley.internal:9090": 200, "PARLEY.internal": 200,
		"evil.example:9090": 421, "evil.example": 421, "parley.internal.evil.example": 421, "127.0.0.1.evil.example": 421, "": 200, "localhost.evil.example": 421,
	} {
		for _, path := range []string{"/metrics", "/healthz", "/debug/pprof/cmdline"} {
			req := httptest.NewRequest(http.MethodGet, path, nil)
			req.Host = host
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			if rec.Code != want {
				t.Errorf("Host %q: GET %s = %d, want %d", host, path, rec.Code, want)
			}
		}
	}
}
