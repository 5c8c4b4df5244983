//go:build !clockfault

package main

import "time"

// systemTime reads the system's clock. A build with the tag clockfault, made for tests, can pretend
// that the clock jumps.
func systemTime() func() time.Time { return time.Now }
