package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// pipeGrace is how long the pipes of a dead plugin are still read: a grandchild that left the
// process group may hold them open for ever (FT6).
const pipeGrace = 200 * time.Millisecond

// maxSocketPath is the longest unix socket path that the kernel accepts, in bytes.
const maxSocketPath = 107

// process is one child: an implementation of go-plugin's Runner that avoids the traps listed in
// plugin-notes.md 1. go-plugin sees only the handshake line of the output.
type process struct {
	name  string
	cmd   *exec.Cmd
	dir   string // socket directory, made by go-plugin, mode 0700
	spawn *spawner
	pump  *logPump

	pid      int
	lifeline *os.File // the child's standard input; when it ends the child must exit
	stdout   *os.File
	stderr   *os.File
	line     *io.PipeReader // carries the handshake line to go-plugin
	lineW    *io.PipeWriter

	exited chan struct{} // closed when the process is reaped; state is set before
	done   chan struct{} // closed when the pipes have been read, too
	state  *os.ProcessState

	signals sync.Mutex // guards the following fields, so that no signal goes to another process that got the pid
	leader  int        // pid, once started
	reaped  bool
	killed  bool // Kill was called before the process was reaped
	aborted bool // the process must not run
}

// newProcess prepares a child; RunnerFunc sets its directory later.
func newProcess(name string, cmd *exec.Cmd, spawn *spawner, pump *logPump) *process {
	line, lineW := io.Pipe()
	return &process{
		name: name, cmd: cmd, spawn: spawn, pump: pump,
		line: line, lineW: lineW,
		exited: make(chan struct{}), done: make(chan struct{}),
	}
}

// Start implements runner.Runner.
func (p *process) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	// go-plugin names its socket "plugin" followed by up to 10 digits.
	if n := len(filepath.Join(p.dir, "plugin")) + 10; n > maxSocketPath {
		return fmt.Errorf("start %s: socket path of %d bytes in %s: the limit is %d, choose a shorter run directory", p.name, n, p.dir, maxSocketPath)
	}
	var ends []*os.File
	pipe := func() (r, w *os.File, err error) {
		r, w, err = os.Pipe()
		if err == nil {
			ends = append(ends, r, w)
		}
		return r, w, err
	}
	closeAll := func() {
		for _, f := range ends {
			_ = f.Close()
		}
	}
	inR, inW, err1 := pipe()
	outR, outW, err2 := pipe()
	errR, errW, err3 := pipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		closeAll()
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = inR, outW, errW
	p.cmd.SysProcAttr = childAttributes()
	if err := p.spawn.start(p.cmd); err != nil {
		closeAll()
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	for _, f := range []*os.File{inR, outW, errW} {
		_ = f.Close()
	}
	p.pid = p.cmd.Process.Pid
	p.signals.Lock()
	p.leader = p.pid
	aborted := p.aborted
	p.signals.Unlock()
	p.lifeline, p.stdout, p.stderr = inW, outR, errR
	limitChild(p.pid)

	var pumps sync.WaitGroup
	pumps.Go(func() {
		p.pump.readStdout(p.stdout, p.lineW)
		_ = p.lineW.Close()
	})
	pumps.Go(func() { p.pump.readStderr(p.stderr) })
	go p.reap(&pumps)
	if aborted {
		p.signal(syscall.SIGKILL)
	}
	return nil
}

// abort kills the process group. If the child is not started yet, abort keeps it from starting.
func (p *process) abort() {
	p.signals.Lock()
	p.aborted = true
	p.signals.Unlock()
	p.signal(syscall.SIGKILL)
}

// reap waits for the process itself, not for its pipes, kills what is left of its group and
// everything else that it started, and then closes everything.
func (p *process) reap(pumps *sync.WaitGroup) {
	p.waitAndKillGroup()
	p.state = p.cmd.ProcessState
	close(p.exited)

	deadline := time.Now().Add(pipeGrace)
	_ = p.stdout.SetReadDeadline(deadline)
	_ = p.stderr.SetReadDeadline(deadline)
	_ = p.lineW.Close() // the other end may no longer be read
	// Processes that the child started in another group or session would outlive it, more of them
	// after each crash, and may hold the port that the next generation needs.
	killStrays(p.dir)
	pumps.Wait()
	_ = p.stdout.Close()
	_ = p.stderr.Close()
	_ = p.lifeline.Close()
	close(p.done)
}

// signal sends a signal to the whole group. Once the child is reaped it does nothing.
func (p *process) signal(sig syscall.Signal) {
	p.signals.Lock()
	defer p.signals.Unlock()
	if p.leader > 0 && !p.reaped {
		_ = syscall.Kill(-p.leader, sig)
	}
}

// release closes the child's standard input, which asks the child to exit when it can.
func (p *process) release() {
	if p.lifeline != nil {
		_ = p.lifeline.Close()
	}
}

// exit returns how the process ended: code -1 and a signal's name, or the exit code. It may be
// called only once exited is closed.
func (p *process) exit() (code int, signal string) {
	if p.state == nil {
		return -1, ""
	}
	if ws, ok := p.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -1, ws.Signal().String()
	}
	return p.state.ExitCode(), ""
}

// Diagnose implements runner.Runner. It is empty, since the log pump has logged the output.
func (p *process) Diagnose(context.Context) string { return "" }

// Stdout implements runner.Runner: it contains only the handshake line.
func (p *process) Stdout() io.ReadCloser { return p.line }

// Stderr implements runner.Runner: it is empty, since our own pump reads the pipe.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(eof{}) }

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// Name implements runner.Runner.
func (p *process) Name() string { return p.name }

// Wait implements runner.Runner.
func (p *process) Wait(ctx context.Context) error {
	if p.pid == 0 {
		return nil
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill implements runner.Runner: it kills the whole group, at once. Gentler ways have been tried
// before (Drain, end of the session, Shutdown, SIGTERM).
func (p *process) Kill(context.Context) error {
	p.signals.Lock()
	p.killed = !p.reaped
	p.signals.Unlock()
	p.signal(syscall.SIGKILL)
	return nil
}

// killedByStart reports whether the child ended because go-plugin gave up its start.
func (p *process) killedByStart() bool {
	_, signal := p.exit()
	p.signals.Lock()
	defer p.signals.Unlock()
	return p.killed && signal == syscall.SIGKILL.String()
}

// ID implements runner.Runner.
func (p *process) ID() string {
	if p.pid == 0 {
		return ""
	}
	return strconv.Itoa(p.pid)
}

// PluginToHost implements runner.Runner: a plugin may serve only on a unix socket in its own
// directory.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	if network != "unix" {
		return "", "", fmt.Errorf("plugin %s serves on %s, want unix", p.name, network)
	}
	if filepath.Dir(filepath.Clean(addr)) != filepath.Clean(p.dir) {
		return "", "", fmt.Errorf("plugin %s serves on %s, want a socket in %s", p.name, addr, p.dir)
	}
	if len(addr) > maxSocketPath {
		return "", "", fmt.Errorf("plugin %s: socket path of %d bytes, the limit is %d", p.name, len(addr), maxSocketPath)
	}
	return network, addr, nil
}

// HostToPlugin implements runner.Runner.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
