package pluginhost

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxOpenFiles bounds a plugin's descriptors: a leak ends there, and a chat
// channel with tens of thousands of visitors still fits.
const maxOpenFiles = 1 << 16

// maxMemory bounds a plugin's private writable memory in bytes, far above any
// need: a memory bomb ends itself and not the machine (FT8).
const maxMemory = 4 << 30

// childAttributes put a child into a group of its own, which a kill reaches
// as a whole, and let the kernel kill it when the gateway dies (PR12).
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// onMainThread reports whether the calling goroutine runs on the process's
// first thread.
func onMainThread() bool { return unix.Gettid() == unix.Getpid() }

// forbidPrivileges keeps children from gaining rights by set-uid programs.
// The kernel refuses it only where it does not know the call.
func forbidPrivileges() { _ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }

// limitChild lowers what a child may use: no core files, which could hold
// secrets, and bounds on descriptors and memory. A failure leaves the inherited
// limits.
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

// waitAndKillGroup returns when the child is reaped. The rest of its group is
// killed before, while the group's number cannot belong to anybody else.
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
	_ = p.cmd.Wait() // the state says it better
	p.reaped = true
}
