package main

import "syscall"

// demoChild lets the gateway stop in order when the demo itself is killed, and
// keeps a terminal's Ctrl+C from reaching it before the demo passes it on.
func demoChild() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
