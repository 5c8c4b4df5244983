package vault_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/parley-gateway/parley/core/vault"
)

// PR16: on a full disk no key can be made; Assign must say so, work again when there is space, and
// existing keys must stay usable throughout.
func TestDiskFull(t *testing.T) {
	if onServer() {
		t.Skip("a file's test")
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting a small tmpfs needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount a tmpfs here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	v, err := vault.Open(t.Context(), vault.Options{Path: filepath.Join(dir, "keys.db"), Master: master, BlockSize: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	first := assign(t, v)
	sealed, err := v.Seal(first, nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 1<<20), 0o600) // fill the disk: write as much as fits
	var full error
	for range 100_000 {
		if _, full = v.Assign(); full != nil {
			break
		}
	}
	if full == nil || errors.Is(full, vault.ErrFailed) {
		t.Fatalf("Assign on a full disk: %v, want an error that is not for good", full)
	}
	if got, err := v.Open(first, nil, sealed); err != nil || string(got) != "x" {
		t.Errorf("Open on a full disk: got %q, %v", got, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		assign(t, v)
	}
}

// PR17: after a failed flush no key may be assigned any more.
func TestFlushErrorIsFatal(t *testing.T) {
	if onServer() {
		t.Skip("a file's test")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: faults cannot be injected into system calls")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+options(t).Path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // in case the test ends early
	lines := bufio.NewScanner(out)
	for range 20 {
		if !lines.Scan() {
			t.Fatal("the child ended by itself")
		}
	}
	inject := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-o", os.DevNull,
		"-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-p", strconv.Itoa(cmd.Process.Pid))
	if err := inject.Start(); err != nil {
		t.Fatal(err)
	}
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	_ = cmd.Wait()    // it exits with code 1
	_ = inject.Wait() // ends with the child
	if !strings.HasPrefix(last, "error") || !strings.Contains(last, vault.ErrFailed.Error()) {
		t.Errorf("the child ended with %q, want ErrFailed", last)
	}
}
