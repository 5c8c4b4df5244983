package pluginhost

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxOpenFiles bounds a plugin's descriptors: it stops a leak, and still allows a chat channel with
// tens of thousands of visitors.
const maxOpenFiles = 1 << 16

// maxMemory bounds a plugin's private writable memory in bytes, far above any real need: a plugin
// that allocates without end fails alone, and the machine survives (FT8).
const maxMemory = 4 << 30

// childAttributes put a child into a process group of its own, so that a kill reaches all of it,
// and make the kernel kill the child when the gateway dies (PR12).
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// onMainThread reports whether the calling goroutine runs on the process's
// first thread.
func onMainThread() bool { return unix.Gettid() == unix.Getpid() }

// forbidPrivileges keeps children from gaining rights by set-uid programs. It fails only on a
// kernel that does not know the call.
func forbidPrivileges() { _ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }

// limitChild lowers the limits of a child: no core files, which could contain secrets, and bounds
// on descriptors and memory. If that fails, the inherited limits stay.
func limitChild(pid int) {
	_ = unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
	lower(pid, unix.RLIMIT_NOFILE, maxOpenFiles)
	lower(pid, unix.RLIMIT_DATA, maxMemory)
}

func lower(pid, resource int, limit uint64) {
	var now unix.Rlimit
	if unix.Prlimit(pid, resource, nil, &now) == nil {
		now.Max = min(now.Max, limit)
		now.Cur = now.Max
		_ = unix.Prlimit(pid, resource, &now, nil)
	}
}

// waitAndKillGroup returns when the child is reaped. It kills the rest of the child's group before,
// while the group's number cannot yet be reused by another group.
func (p *process) waitAndKillGroup() {
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.signal(syscall.SIGKILL)
	p.signals.Lock()
	defer p.signals.Unlock()
	_ = p.cmd.Wait() // the process state tells more than this error
	p.reaped = true
}
