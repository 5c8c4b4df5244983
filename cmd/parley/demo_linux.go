package main

import "syscall"

// demoChild makes the gateway stop in an orderly way when the demo itself is killed, and keeps a
// terminal's Ctrl+C from reaching it directly: the demo stops it then.
func demoChild() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
