package pluginhost

import (
	"errors"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

const canGuard = true

// guardAttributes: what a terminal sends to the gateway's session, and a kill of the
// gateway's group, do not reach the guard.
func guardAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// Guard is the life of a guard process: it waits for the end of standard input,
// which is the end of the gateway that started it, and then kills every process that
// bears the mark of that gateway's run. The mark is what keeps it from the plugins
// of the next gateway, which may be running already, in the same directory.
func Guard(run string) {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	debug.FreeOSMemory() // what the program set up for its other trades
	for {
		n, err := unix.Read(0, make([]byte, 1))
		switch {
		case n > 0 || errors.Is(err, unix.EINTR):
		case err == nil:
			killMarked(runMark(run) + "\x00") // the whole value
			return
		default: // no pipe, so no word of an end: the gateway, if it lives, starts another
			return
		}
	}
}
