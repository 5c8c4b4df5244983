package pluginhost

import (
	"io"
	"log/slog"
	"os/exec"
	"time"

	"github.com/parley-gateway/parley/plugins/contract"
)

const (
	// A guard that ended is replaced after a pause. The pause grows each time, until a guard has
	// lasted for guardLasts.
	guardPauseFirst = 250 * time.Millisecond
	guardPauseLast  = time.Minute
	guardLasts      = time.Minute
	// guardStop is how long a guard may take to look for processes and exit.
	guardStop = 3 * time.Second
)

// guard keeps a small process beside this one, in a session of its own, which outlives it. When
// this process ends, in whatever way, the guard process kills everything that the plugins have
// started (Guard). The kernel kills a plugin together with its gateway, but not the plugin's own
// children, which may hold a port (PR12).
//
// The two processes are connected by a pipe. Only this process has its write end: it is closed in
// every child, and the kernel closes it when this process ends.
type guard struct {
	command []string
	run     string // in the environment of this gateway's plugins, and of no other process
	spawn   *spawner
	log     *slog.Logger

	stop chan struct{} // closed by the method close
	done chan struct{}
}

// startGuard starts the guard process before it returns, and then restarts it whenever it ends.
// Nil: guards are not configured or not possible on this system.
func startGuard(command []string, run string, spawn *spawner, log *slog.Logger) *guard {
	if len(command) == 0 || !canGuard {
		return nil
	}
	g := &guard{command: command, run: run, spawn: spawn, log: log, stop: make(chan struct{}), done: make(chan struct{})}
	first, err := g.start()
	go g.keep(first, err)
	return g
}

// close ends the guard process, which first kills what plugins have left behind, and waits for its
// end. It must be called after the plugins have ended.
func (g *guard) close() {
	if g == nil {
		return
	}
	close(g.stop)
	<-g.done
}

func (g *guard) keep(p *guardProcess, err error) {
	defer close(g.done)
	pause := guardPauseFirst
	for {
		began := time.Now()
		if err == nil {
			var stopped bool
			if stopped, err = p.watch(g.stop); stopped {
				return
			}
		}
		if time.Since(began) > guardLasts {
			pause = guardPauseFirst
		}
		g.log.Warn("the process that guards the plugins is gone; another is started", "err", err, "pause", pause)
		select {
		case <-g.stop:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, guardPauseLast)
		p, err = g.start()
	}
}

// guardProcess is one guard process, and the end of the pipe whose closing ends it.
type guardProcess struct {
	cmd      *exec.Cmd
	lifeline io.Closer
}

func (g *guard) start() (*guardProcess, error) {
	cmd := &exec.Cmd{
		Path: g.command[0], Args: append(append([]string{"parley: guard"}, g.command[1:]...), g.run),
		Env: []string{"GOMAXPROCS=1"}, Dir: "/", SysProcAttr: guardAttributes(),
	}
	lifeline, err := cmd.StdinPipe()
	if err == nil {
		err = g.spawn.start(cmd)
	}
	if err != nil {
		return nil, err
	}
	return &guardProcess{cmd, lifeline}, nil
}

// watch returns when the process has ended: stopped if close asked for it, else the error.
func (p *guardProcess) watch(stop <-chan struct{}) (stopped bool, err error) {
	exited := make(chan error, 1)
	go func() { exited <- p.cmd.Wait() }()
	select {
	case err := <-exited:
		return false, err
	case <-stop:
	}
	_ = p.lifeline.Close()
	late := time.AfterFunc(guardStop, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	<-exited
	return true, nil
}

// runMark is the environment variable that marks a process as a plugin of one run of a gateway, or
// as something that such a plugin started.
func runMark(run string) string { return contract.RunEnv + "=" + run }
