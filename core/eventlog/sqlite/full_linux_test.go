package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
)

// tmpfs mounts a small file system of its own.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small tmpfs needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill appends until the disk is full and returns the sequence that the stream then has.
func fill(t *testing.T, l *sqlite.Log, stream eventlog.StreamID, head uint64) uint64 {
	t.Helper()
	body := make([]byte, 20_000)
	for range 10_000 {
		start := time.Now()
		_, err := l.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{
			{Stream: stream, Expect: head, Events: []eventlog.Event{{Type: "big/1", Body: body, KeyID: 1}}},
		}})
		switch {
		case err == nil:
			head++
		case errors.Is(err, eventlog.ErrFull):
			if took := time.Since(start); took > time.Second {
				t.Errorf("a full disk was told after %v, want within 1 s", took)
			}
			return head
		default:
			t.Fatalf("append to a full disk: %v, want ErrFull", err)
		}
	}
	t.Fatal("the disk never filled up")
	return 0
}

// FT12, PR16: while the disk is full writes must fail at once and reads must go on; when there is
// space again both must work, without a restart. A start on a full disk must work too.
func TestDiskFull(t *testing.T) {
	dir := tmpfs(t, "16m")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			_ = l.Close()
		}
	}()
	s := eventlog.StreamID{7}
	head := fill(t, l, s, 0)
	check := func(when string) {
		t.Helper()
		recs, err := l.Read(t.Context(), s, 0, 0)
		if err != nil || uint64(len(recs)) != head {
			t.Fatalf("%s: read %d events, %v, want %d", when, len(recs), err, head)
		}
	}
	check("full")
	if got := l.Stats(); got.Failures == 0 {
		t.Errorf("Stats: %+v, want failures counted", got)
	}
	select {
	case <-l.Failed():
		t.Fatal("a full disk made the log fail for good")
	default:
	}

	if err := os.Truncate(ballast, 3<<20); err != nil {
		t.Fatal(err)
	}
	more := fill(t, l, s, head)
	if more <= head {
		t.Errorf("after space came back %d appends stand, want more than %d", more, head)
	}
	head = more
	check("full again")

	if err := l.Close(); err != nil {
		t.Errorf("Close on a full disk: %v", err)
	}
	closed = true
	// Fill the space that closing the log may have freed.
	_ = os.WriteFile(filepath.Join(dir, "more"), make([]byte, 16<<20), 0o600)
	if l, err = sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(dir, "data")}); err != nil {
		t.Fatalf("Open on a full disk: %v", err)
	}
	closed = false
	check("opened while full")
	for _, name := range []string{ballast, filepath.Join(dir, "more")} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	head = fill(t, l, s, head)
	check("after the restart")
}
