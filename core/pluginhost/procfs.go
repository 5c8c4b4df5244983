package pluginhost

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// usage is what a process uses: bytes of memory, seconds of CPU, file descriptors.
type usage struct{ rss, cpu, fds float64 }

// clockTicks per second in /proc/<pid>/stat: USER_HZ, which Linux fixes at
// 100 on every architecture that Go runs on.
const clockTicks = 100

// processUsage reads procfs; ok is false if there is none.
func processUsage(pid int) (u usage, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, false
	}
	// The second field is the program's name in brackets and may contain spaces.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return u, false
	}
	number := func(i int) float64 {
		v, err := strconv.ParseFloat(string(fields[i]), 64)
		if err != nil {
			return 0
		}
		return v
	}
	u.cpu = (number(11) + number(12)) / clockTicks
	u.rss = number(21) * float64(os.Getpagesize())
	if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
		u.fds = float64(len(entries))
	}
	return u, true
}
