package system_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// readiness asks /readyz; 0 = no answer.
func (d *demo) readiness() (status int, text string) { return d.opsGet("/readyz") }

// ready reports whether /readyz is on.
func (d *demo) ready() bool { status, _ := d.readiness(); return status == http.StatusOK }

func (d *demo) opsGet(path string) (status int, text string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.info.OpsURL+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := drive.HTTPClient().Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// PR16, Z3, FT14: while PostgreSQL is down /readyz says so, and when it is back
// /readyz says that too.
func TestReadyWithoutPostgres(t *testing.T) {
	c := postgres(t)
	d := startDemoWith(t, "", []string{"PARLEY_STORE=" + c.DSN(c.Database(t))})
	for range 2 {
		if err := c.Crash(t.Context()); err != nil {
			t.Fatal(err)
		}
		var status int
		var text string
		eventually(t, "readiness that is off", 30*time.Second, func() bool { status, text = d.readiness(); return status == http.StatusServiceUnavailable })
		if !strings.Contains(text, "log: the database is not available") && !strings.Contains(text, "log: no answer within 2s") {
			t.Errorf("/readyz without PostgreSQL: %q, want the cause", text)
		}
		if status, _ := d.opsGet("/healthz"); status != http.StatusOK {
			t.Errorf("/healthz without PostgreSQL: %d, want 200", status)
		}
		if err := c.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "readiness that is back", 60*time.Second, d.ready)
	}
}

// Gauges that tell of trouble are there from the start, at nought (Z2).
func TestTroubleIsMeasured(t *testing.T) {
	d := startDemo(t, "")
	metrics := d.metrics()
	for _, line := range []string{"parley_vault_damaged_keys 0", "parley_router_streams_in_doubt 0", "# HELP parley_clock_offset_seconds "} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("metrics of a fresh demo have no line %q", line)
		}
	}
}
