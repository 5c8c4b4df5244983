//go:build !linux

package main

import "syscall"

// demoChild keeps a terminal's Ctrl+C from reaching the gateway before the demo
// passes it on.
func demoChild() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
