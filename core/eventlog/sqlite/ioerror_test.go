package sqlite_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// killTraced kills the process that a strace child runs: killing strace itself would only detach
// it.
func killTraced(t *testing.T, c child) {
	t.Helper()
	pid := strconv.Itoa(c.Process.Pid)
	b, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		t.Error(err)
	}
	for _, f := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(f)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// attach injects faults into a running child until the returned function is
// called.
func attach(t *testing.T, c child, trace string, args ...string) (detach func()) {
	t.Helper()
	args = append(strace(t, trace, args...), "-p", strconv.Itoa(c.Process.Pid))
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Signal(os.Interrupt) // strace may have ended with the child
		_ = cmd.Wait()
	}
}

// FT11, PR17: after a failed flush nothing may be acknowledged, nothing may be flushed again, and
// the process must end; the next process recovers.
func TestFlushErrorIsFatal(t *testing.T) {
	dir, trace := t.TempDir(), filepath.Join(t.TempDir(), "trace")
	g := ledger{}
	c := startChild(t, dir, 4)
	acks := 0
	g.follow(t, c.lines, func(line string) bool {
		if strings.HasPrefix(line, "ack") {
			acks++
		}
		return acks == 20
	})
	detach := attach(t, c, trace, "-e", "trace="+flushes, "-e", "inject="+flushes+":error=EIO")
	// A writer may report an acknowledgement from before the failure late: only requests after the
	// failure count.
	fatal, late := 0, map[string]bool{}
	g.follow(t, c.lines, func(line string) bool {
		what, which, _ := strings.Cut(line, " ")
		switch what {
		case "fatal":
			fatal++
		case "req":
			late[which] = fatal > 0
		case "ack":
			if late[which] {
				t.Errorf("asked for and acknowledged after the failure: %s", which)
			}
		}
		return false
	})
	err := c.Wait()
	detach()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Fatalf("child: %v, want exit code 3 after Failed was closed", err)
	}
	if fatal != 4 {
		t.Errorf("%d of 4 writers were told ErrFatal", fatal)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "(INJECTED)"); n != 1 {
		t.Errorf("%d flushes failed, want 1: a failed flush must never be tried again\n%s", n, b)
	}
	g.check(t, dir)
}

// FT11, PR16: a write without space must fail at once, and later writes must work without help.
func TestNoSpaceRecovers(t *testing.T) {
	dir := t.TempDir()
	g := ledger{}
	c := startChild(t, dir, 4)
	phase, seen := "ack", 0
	next := func(want string, n int) {
		phase, seen = want, 0
		g.follow(t, c.lines, func(line string) bool {
			if strings.HasPrefix(line, phase) {
				seen++
			}
			return seen >= n
		})
		if seen < n {
			t.Fatalf("the child ended after %d lines %q, want %d", seen, phase, n)
		}
	}
	next("ack", 20)
	// Each thread's first writes fail. The injection must be over before strace detaches: a call that is
	// being injected at that moment would fail with ENOSYS, which is no lack of space, and end the store.
	detach := attach(t, c, os.DevNull, "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=1..100")
	next("full", 50)
	next("ack", 50)
	defer detach()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	g.follow(t, c.lines, nil)
	_ = c.Wait() // killed
	g.check(t, dir)
}
