package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/parley-gateway/parley/config"
)

type benchCmd struct {
	Webchat benchWebchatCmd `cmd:"" help:"Customers' messages through socket, log and router to agents' sockets."`
	SMS     benchSMSCmd     `cmd:"" name:"sms" help:"Signed texts of a carrier through webhook, plugin and router to the log."`
	Replies benchRepliesCmd `cmd:"" help:"Agents' texts through the outbox and plugin to a slow carrier."`
	Sockets benchSocketsCmd `cmd:"" help:"Memory of idle customers' sockets in open conversations."`
	Start   benchStartCmd   `cmd:"" help:"Time to ready with many open conversations."`
	Log     benchLogCmd     `cmd:"" help:"The log alone, against a bare loop that writes the same rows."`
}

// inDir runs f in dir, or in a temporary folder that is removed afterwards.
func inDir(dir string, f func(string) error) error {
	if dir != "" {
		return errors.Join(os.MkdirAll(dir, 0o700), f(dir))
	}
	tmp, err := os.MkdirTemp("", "parley-bench-")
	if err != nil {
		return err
	}
	return errors.Join(f(tmp), os.RemoveAll(tmp))
}

func machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

// system is a demo started for a measurement.
type system struct {
	info demoInfo
	cfg  config.Config // to reach its control socket
	cmd  *exec.Cmd
	done chan error
}

// startSystem runs this executable's demo in dir, with more environment, and
// waits until it is ready.
func startSystem(ctx context.Context, dir string, stderr io.Writer, env ...string) (*system, error) {
	s := &system{done: make(chan error, 1)}
	s.cmd = exec.Command("/proc/self/exe", "demo", "--json", "--data", dir, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0") //nolint:noctx // stopped in order, below
	s.cmd.Args[0] = "parley"
	s.cmd.Env = append(append(os.Environ(), "PARLEY_LOG__LEVEL=warn"), env...)
	s.cmd.Stderr = stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	line := make(chan []byte, 1)
	go func() {
		sc := bufio.NewScanner(out)
		if sc.Scan() {
			line <- slices.Clone(sc.Bytes())
		}
		s.done <- s.cmd.Wait()
	}()
	select {
	case b := <-line:
		if err := json.Unmarshal(b, &s.info); err != nil {
			return nil, errors.Join(err, s.stop())
		}
	case err := <-s.done:
		return nil, fmt.Errorf("the demo ended: %w", err)
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), s.stop())
	}
	s.cfg, err = config.Load("", []string{config.EnvName("data") + "=" + dir})
	return s, err
}

func (s *system) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		return nil
	case <-time.After(20 * time.Second):
		return errors.Join(errors.New("the demo did not stop"), s.cmd.Process.Kill())
	}
}

// websocket turns an http URL into a ws one.
func websocket(base, path string) string { return "ws" + strings.TrimPrefix(base, "http") + path }

func (s *system) chatSocket() string {
	return websocket(strings.SplitAfter(s.info.CustomerPage, "/p/webchat/")[0], "ws")
}

// usage is what the processes of a system have used.
type usage struct {
	cpu time.Duration
	rss int64 // bytes
}

// processes are a process and all that descend from it.
func processes(root int) []int {
	children := map[int][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, d := range dirs {
		pid, ppid, _, ok := readStat(d)
		if ok {
			children[ppid] = append(children[ppid], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// readStat reads pid, parent and CPU time (proc(5)).
func readStat(path string) (pid, ppid int, cpu time.Duration, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, 0, false
	}
	head, tail, found := strings.Cut(string(b), " (")
	i := strings.LastIndex(tail, ") ")
	if !found || i < 0 {
		return 0, 0, 0, false
	}
	f := strings.Fields(tail[i+2:])
	pid, _ = strconv.Atoi(head)
	ppid, _ = strconv.Atoi(f[1])
	user, _ := strconv.ParseInt(f[11], 10, 64)
	sys, _ := strconv.ParseInt(f[12], 10, 64)
	return pid, ppid, time.Duration(user+sys) * 10 * time.Millisecond, true
}

// used sums over the gateway and its plugins.
func (s *system) used() usage {
	var u usage
	for _, pid := range processes(s.cmd.Process.Pid) {
		if _, _, cpu, ok := readStat(fmt.Sprintf("/proc/%d/stat", pid)); ok {
			u.cpu += cpu
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if f := strings.Fields(string(b)); err == nil && len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64)
			u.rss += pages * int64(os.Getpagesize())
		}
	}
	return u
}

// diskSync measures the disk's own fdatasync of a 4 KiB append.
func diskSync(dir string, d time.Duration) (p50, p99 time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".sync-*")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	var took []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); {
		if _, err := f.Write(block); err != nil {
			return 0, 0, err
		}
		began := time.Now()
		if err := fdatasync(f); err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(began))
	}
	return percentile(took, 50), percentile(took, 99), nil
}

func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(len(s)-1, int(float64(len(s))*p/100))]
}
