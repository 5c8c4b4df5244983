package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// demoKeeper runs a child process and starts it again when it dies, as a service manager would.
type demoKeeper struct {
	name   string
	args   []string // arguments for this executable
	env    []string // added to this process's environment
	stderr io.Writer
	quiet  bool         // drop its standard output
	health string       // URL that answers 200 once the child is ready
	ready  func() error // called once, at the first time
}

// keep returns when ctx has ended and the child has exited in an orderly way.
func (d *demoKeeper) keep(ctx context.Context) error {
	// The kernel ends the child when the thread that started it ends, so this goroutine keeps its
	// thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	told := false
	for {
		began := time.Now()
		cmd := exec.Command("/proc/self/exe", d.args...) //nolint:noctx // ends in order, by SIGTERM below
		cmd.Args[0] = "parley"
		cmd.Env = append(os.Environ(), d.env...)
		if cmd.Stderr = d.stderr; !d.quiet {
			cmd.Stdout = d.stderr
		}
		cmd.SysProcAttr = demoChild()
		if err := cmd.Start(); err != nil {
			return err
		}
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		if !told && d.wait(ctx, exited) {
			told = true
			if err := d.ready(); err != nil {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				<-exited
				return err
			}
		}
		select {
		case <-ctx.Done():
			_ = cmd.Process.Signal(syscall.SIGTERM)
			return <-exited
		case err := <-exited:
			if !told {
				return fmt.Errorf("the %s did not start: %w", d.name, err)
			}
			_, _ = fmt.Fprintf(d.stderr, "parley: the %s ended (%v); starting it again\n", d.name, err)
			if time.Since(began) < 2*time.Second {
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
					return nil
				}
			}
		}
	}
}

// wait polls until the child is ready; false when the child ended first.
func (d *demoKeeper) wait(ctx context.Context, exited chan error) bool {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-exited:
			exited <- err
			return false
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.health, nil)
		if err != nil {
			return false
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return true
		}
	}
}
