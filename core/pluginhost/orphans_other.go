//go:build !linux

package pluginhost

// killOrphans does nothing: on this system processes do not show their environment.
func killOrphans(string) int { return 0 }

// killStrays does nothing: on this system processes do not show their environment.
func killStrays(string) {}
