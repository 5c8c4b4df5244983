//go:build !linux

package pluginhost

import "syscall"

// canGuard: on this system processes do not show their environment, so a guard could not know which
// ones to kill.
const canGuard = false

func guardAttributes() *syscall.SysProcAttr { return nil }

// Guard does nothing on this system.
func Guard(string) {}
