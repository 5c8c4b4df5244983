package pluginhost

import (
	"errors"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

const canGuard = true

// guardAttributes put the guard into a session of its own, so that signals from the gateway's
// terminal, and a kill of the gateway's process group, do not reach it.
func guardAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// Guard is the main function of a guard process. It waits until standard input ends, which means
// that the gateway that started it has ended, and then kills every process that has the mark of
// that gateway's run. Because of the mark it does not kill the plugins of the next gateway, which
// may be running already, in the same directory.
func Guard(run string) {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	debug.FreeOSMemory() // free what the program allocated before it became a guard
	for {
		n, err := unix.Read(0, make([]byte, 1))
		switch {
		case n > 0 || errors.Is(err, unix.EINTR):
		case err == nil:
			killMarked(runMark(run) + "\x00") // with the final NUL, so that only the whole value matches
			return
		default: // without the pipe the end cannot be seen; a living gateway starts another guard
			return
		}
	}
}
