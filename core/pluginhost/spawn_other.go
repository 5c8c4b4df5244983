//go:build !linux

package pluginhost

import "syscall"

// childAttributes put a child into a group of its own, which a kill reaches
// as a whole. Here only the lifeline pipe ends it when the gateway dies.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func onMainThread() bool { return false }

func forbidPrivileges() {}

func limitChild(int) {}

// waitAndKillGroup returns when the child is reaped and its group is killed.
func (p *process) waitAndKillGroup() {
	_ = p.cmd.Wait() // the state says it better
	p.signal(syscall.SIGKILL)
	p.signals.Lock()
	defer p.signals.Unlock()
	p.reaped = true
}
