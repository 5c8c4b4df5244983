package pluginhost

import (
	"os/exec"
	"runtime"
	"sync"
)

// spawner starts every child from one operating-system thread that lives as long as the host:
// Pdeathsig is sent when the *thread* that forked ends, not the process (golang/go#27505). The
// thread also has no_new_privs set, which its children inherit and which the rest of the gateway
// does not have.
type spawner struct {
	requests chan spawnRequest
	done     chan struct{}
	once     sync.Once
	wg       sync.WaitGroup
}

type spawnRequest struct {
	cmd *exec.Cmd
	err chan<- error
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest), done: make(chan struct{})}
	s.wg.Go(s.run)
	return s
}

func (s *spawner) run() {
	runtime.LockOSThread()
	if onMainThread() {
		// The main thread cannot end, and would keep no_new_privs for good. While this goroutine
		// locks the main thread, the new goroutine runs on another thread.
		defer runtime.UnlockOSThread()
		s.wg.Go(s.run)
		<-s.done
		return
	}
	// Never unlocked, so that the runtime ends the thread together with the goroutine.
	forbidPrivileges()
	for {
		select {
		case r := <-s.requests:
			r.err <- r.cmd.Start()
		case <-s.done:
			return
		}
	}
}

func (s *spawner) start(cmd *exec.Cmd) error {
	err := make(chan error, 1)
	select {
	case s.requests <- spawnRequest{cmd: cmd, err: err}:
		return <-err
	case <-s.done:
		return ErrClosed
	}
}

// close ends the thread, and so every child that is still alive.
func (s *spawner) close() {
	s.once.Do(func() { close(s.done) })
	s.wg.Wait()
}
