//go:build !linux

package pluginhost

// killOrphans does nothing: processes do not show their environment here.
func killOrphans(string) int { return 0 }

// killStrays does nothing, for the same reason.
func killStrays(string) {}
