//go:build !clockfault

package main

import "time"

// systemTime reads the system's clock. A build with the tag clockfault, which
// tests make, can pretend that it jumps.
func systemTime() func() time.Time { return time.Now }
