//go:build !linux

package nodes

import "time"

var started = time.Now()

// elapsed is the time since this process started by Go's monotonic clock.
func elapsed() time.Duration { return time.Since(started) }
