//go:build !linux

package pluginhost

import "syscall"

// childAttributes put a child into a process group of its own, so that a kill reaches all of it. On
// this system only the lifeline pipe ends the child when the gateway dies.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func onMainThread() bool { return false }

func forbidPrivileges() {}

func limitChild(int) {}

// waitAndKillGroup returns when the child is reaped and its group is killed.
func (p *process) waitAndKillGroup() {
	_ = p.cmd.Wait() // the process state tells more than this error
	p.signal(syscall.SIGKILL)
	p.signals.Lock()
	defer p.signals.Unlock()
	p.reaped = true
}
