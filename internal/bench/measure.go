package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// machine describes the machine on which the figures were measured.
func machine() string {
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

// usage is what the processes of a system use.
type usage struct {
	cpu time.Duration
	rss int64 // resident memory in bytes
}

// processes returns a process and all its descendants.
func processes(root int) []int {
	children := map[int][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, d := range dirs {
		pid, ppid, _, ok := readStat(d)
		if ok {
			children[ppid] = append(children[ppid], pid)
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// readStat reads pid, parent and CPU time (proc(5)).
func readStat(path string) (pid, ppid int, cpu time.Duration, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, 0, false
	}
	head, tail, found := strings.Cut(string(b), " (")
	i := strings.LastIndex(tail, ") ")
	if !found || i < 0 {
		return 0, 0, 0, false
	}
	f := strings.Fields(tail[i+2:])
	pid, _ = strconv.Atoi(head)
	ppid, _ = strconv.Atoi(f[1])
	user, _ := strconv.ParseInt(f[11], 10, 64)
	sys, _ := strconv.ParseInt(f[12], 10, 64)
	return pid, ppid, time.Duration(user+sys) * 10 * time.Millisecond, true
}

// used adds up the usage of the gateway and its plugins.
func (s *system) used() usage {
	var u usage
	for _, pid := range processes(s.cmd.Process.Pid) {
		if _, _, cpu, ok := readStat(fmt.Sprintf("/proc/%d/stat", pid)); ok {
			u.cpu += cpu
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if f := strings.Fields(string(b)); err == nil && len(f) > 1 {
			pages, _ := strconv.ParseInt(f[1], 10, 64)
			u.rss += pages * int64(os.Getpagesize())
		}
	}
	return u
}

// diskSync measures how long the disk itself takes for an fdatasync after appending 4 KiB.
func diskSync(dir string, d time.Duration) (p50, p99 time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".sync-*")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	var took []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); {
		if _, err := f.Write(block); err != nil {
			return 0, 0, err
		}
		began := time.Now()
		if err := fdatasync(f); err != nil {
			return 0, 0, err
		}
		took = append(took, time.Since(began))
	}
	return percentile(took, 50), percentile(took, 99), nil
}

func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(len(s)-1, int(float64(len(s))*p/100))]
}

func rateText(r float64) string {
	if r == 0 {
		return "as many as go"
	}
	return fmt.Sprintf("%.0f/s", r)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// selfCPU is the CPU time of the load generator, which is this process.
func selfCPU() time.Duration {
	_, _, cpu, _ := readStat("/proc/self/stat")
	return cpu
}
