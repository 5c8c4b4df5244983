package system_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

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
