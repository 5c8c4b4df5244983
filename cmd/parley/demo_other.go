//go:build !linux

package main

import "syscall"

// demoChild keeps a terminal's Ctrl+C from reaching the gateway directly: the demo stops it then.
func demoChild() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
