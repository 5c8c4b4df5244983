package pluginhost_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// countingCore accepts and counts every event, so that the benchmark measures the way to the core
// and not the core itself.
type countingCore struct {
	*fakeCore
	left chan struct{}
	n    int
}

func (c *countingCore) Ingest(_ context.Context, in plugin.Inbound, done func(plugin.Ack)) {
	done(plugin.Ack{Status: plugin.Committed, Seq: 1})
	if in.Message != nil {
		if c.n--; c.n == 0 { // no lock is needed: the session has one reader, and only this reader calls
			close(c.left)
		}
	}
}

// cpuTime is the CPU time that a process has used, user and system, in 10 ms steps.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// BenchmarkHop measures an event on its way up and its ack on the way down, in batches as they form
// under load, and the CPU time of both processes for each event (bar: 25 us).
func BenchmarkHop(b *testing.B) {
	core := &countingCore{fakeCore: newFakeCore(), left: make(chan struct{}), n: b.N}
	x := newBench(b, func(o *pluginhost.Options) { o.Core = core }, self("echo"))
	x.ready(b)
	child := x.status(b).PID
	before := cpuTime(b, child) + cpuTime(b, os.Getpid())
	b.ResetTimer()
	core.fakeCore.port = readyPort(b, core.fakeCore)
	x.core = core.fakeCore
	x.core.send(x.account, "pump "+strconv.Itoa(b.N))
	<-core.left
	b.StopTimer()
	cpu := cpuTime(b, child) + cpuTime(b, os.Getpid()) - before
	b.ReportMetric(float64(cpu.Nanoseconds())/1000/float64(b.N), "cpu-us/msg")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func readyPort(b *testing.B, core *fakeCore) plugin.CommandPort {
	b.Helper()
	core.until(b, "a port", func() bool { return core.port != nil })
	return core.port
}

// BenchmarkHook measures a webhook from the host through the plugin to its durable event.
func BenchmarkHook(b *testing.B) {
	x := newBench(b, nil, self("echo"))
	x.ready(b)
	b.ResetTimer()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := x.host.Hook(b.Context(), x.account, post("m")); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkCrashToReady measures the time from a kill -9 under load until the next generation takes
// commands (bar: 100 ms).
func BenchmarkCrashToReady(b *testing.B) {
	x := newBench(b, nil, self("echo"))
	x.ready(b)
	stop := traffic(b, x)
	var sum, worst time.Duration
	for range b.N {
		time.Sleep(2100 * time.Millisecond) // longer than steadyAfter, so that there is no backoff
		s := x.status(b)
		start := time.Now()
		_ = syscall.Kill(s.PID, syscall.SIGKILL)
		x.core.until(b, "the next generation", func() bool { return x.core.instance != "" && x.core.instance != s.Instance })
		took := time.Since(start)
		sum, worst = sum+took, max(worst, took)
	}
	_, hooks, errs := stop()
	if len(errs) > 0 {
		b.Errorf("%d of %d hooks failed, first: %v", len(errs), hooks, errs[0])
	}
	b.ReportMetric(float64(sum.Microseconds())/1000/float64(b.N), "ms/crash")
	b.ReportMetric(float64(worst.Microseconds())/1000, "ms-worst")
}

// BenchmarkFrozenToReady measures the time from a SIGSTOP until the next generation takes commands
// (bar: 2 s).
func BenchmarkFrozenToReady(b *testing.B) {
	x := newBench(b, nil, self("echo"))
	x.ready(b)
	stop := traffic(b, x)
	var worst time.Duration
	for i := range b.N {
		time.Sleep(2100*time.Millisecond + time.Duration(i*137%500)*time.Millisecond)
		s := x.status(b)
		start := time.Now()
		_ = syscall.Kill(s.PID, syscall.SIGSTOP)
		x.core.until(b, "the next generation", func() bool { return x.core.instance != "" && x.core.instance != s.Instance })
		worst = max(worst, time.Since(start))
	}
	_, _, _ = stop()
	b.ReportMetric(float64(worst.Milliseconds()), "ms-worst")
}
