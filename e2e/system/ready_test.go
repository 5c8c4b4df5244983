package system_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// smallDisk mounts a file system of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small tmpfs needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fillDisk writes a file until there is no space left.
func fillDisk(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 4<<10); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// PR16, Z3, FT12: while the disk is full /readyz says so, also to many who ask,
// liveness stays, webhooks get a 503 each and no line each; and when there is space
// again, /readyz says that too, although nobody has written anything meanwhile.
func TestReadyOnAFullDisk(t *testing.T) {
	disk := smallDisk(t, "64m")
	data := filepath.Join(disk, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	d := startDemo(t, data)
	c := d.carrier()
	status, err := c.Text(t.Context(), sid(1), "+12125550001", "before")
	if err != nil || status != http.StatusOK {
		t.Fatalf("a text before: %d, %v", status, err)
	}
	filler := filepath.Join(disk, "filler")
	fillDisk(t, filler)
	n := 1
	eventually(t, "webhook that is refused", 60*time.Second, func() bool { // what the write-ahead log has room for goes on
		n++
		status, err = c.Text(t.Context(), sid(n), "+12125550001", "during")
		return err == nil && status == http.StatusServiceUnavailable
	})
	var text string
	eventually(t, "readiness that is off", 30*time.Second, func() bool { status, text = d.readiness(); return status == http.StatusServiceUnavailable })
	if !strings.Contains(text, "log: the disk is full") {
		t.Errorf("/readyz on a full disk: %q, want the cause", text)
	}
	if status, _ := d.opsGet("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz on a full disk: %d, want 200", status)
	}
	before := strings.Count(d.log.String(), "\n")
	const webhooks = 200
	for range webhooks {
		if status, err := c.Text(t.Context(), sid(n), "+12125550001", "during"); err != nil || status != http.StatusServiceUnavailable {
			t.Fatalf("a webhook on a full disk: %d, %v, want 503", status, err)
		}
	}
	if lines := strings.Count(d.log.String(), "\n") - before; lines > webhooks/2 {
		t.Errorf("%d webhooks on a full disk wrote %d lines to the log", webhooks, lines)
	}
	if got := strings.Count(d.log.String(), "the disk is full: writes fail"); got != 1 {
		t.Errorf("the log says %d times that the disk has become full, want once", got)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "readiness that is back", 30*time.Second, d.ready)
	eventually(t, "line of the space that is back", 10*time.Second, func() bool { return strings.Contains(d.log.String(), "there is space on the disk again") })
	if status, err := c.Text(t.Context(), sid(n), "+12125550001", "during"); err != nil || status != http.StatusOK {
		t.Errorf("the text afterwards: %d, %v, want 200", status, err)
	}
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
