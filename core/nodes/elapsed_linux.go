package nodes

import (
	"time"

	"golang.org/x/sys/unix"
)

// elapsed is the time since the machine was started, with the time for which it was suspended. Go's
// own monotonic clock stops meanwhile (CLOCK_MONOTONIC, clock_gettime(2)).
func elapsed() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("nodes: clock_gettime(CLOCK_BOOTTIME): " + err.Error()) // only an unknown clock or a bad pointer: Linux has had this clock since 2.6.39
	}
	return time.Duration(ts.Nano())
}
