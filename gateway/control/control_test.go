package control_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/gateway/control"
)

// ErrNotRunning comes only when no gateway can be there, because the caller then writes into the
// data folder itself.
func TestNobodyOrNoAnswer(t *testing.T) {
	ask := func(dir string) error {
		_, err := control.Client{RunDir: filepath.Join(dir, "run")}.Plugins(context.Background())
		return err
	}
	dir := t.TempDir()
	if err := ask(dir); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("no socket: got %v, want ErrNotRunning", err)
	}
	if err := ask(filepath.Join(dir, strings.Repeat("long", 30))); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("no place for a socket: got %v, want ErrNotRunning", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "run", "control.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.Close() // closes without an answer
		}
	}()
	if err := ask(dir); err == nil || errors.Is(err, control.ErrNotRunning) {
		t.Errorf("a gateway that does not answer: got %v, want an error of its own", err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	<-done
	if err := ask(dir); !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("a socket that was left behind: got %v, want ErrNotRunning", err)
	}
}
