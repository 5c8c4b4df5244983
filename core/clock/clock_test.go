package clock_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/clock"
)

// system is a system's clock that can be set.
type system struct{ offset atomic.Int64 }

func (s *system) now() time.Time { return time.Now().Round(0).Add(time.Duration(s.offset.Load())) }

func (s *system) set(d time.Duration) { s.offset.Store(int64(d)) }

// run starts a clock that stops at the end of the test.
func run(t *testing.T, s *system, log *slog.Logger) *clock.Clock {
	t.Helper()
	c := clock.New(clock.Options{System: s.now, Logger: log})
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return c
}

func TestAgreesWithTheSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := run(t, &system{}, nil)
		for range 100 {
			time.Sleep(17 * time.Minute)
			if got, want := c.Now(), time.Now().UTC().Round(0); !got.Equal(want) || got.Location() != time.UTC || got != got.Round(0) {
				t.Fatalf("Now: got %v, want %v, in UTC and without a monotonic reading", got, want)
			}
		}
	})
}

// FT19: whatever the system's clock does, time goes forwards, at nine to eleven tenths of its
// normal speed, until both clocks agree.
func TestJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{
		"+1 h": time.Hour, "-1 h": -time.Hour, "+25 h": 25 * time.Hour, "-1 day": -24 * time.Hour, "+20 ms": 20 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &system{}
				c := run(t, s, nil)
				time.Sleep(90 * time.Second)
				s.set(jump)
				if got := c.Offset(); got != jump {
					t.Errorf("Offset after the jump: got %v, want %v", got, jump)
				}
				began := time.Now()
				last := c.Now()
				for time.Since(began) < 10*jump.Abs() {
					const step = 700 * time.Millisecond
					time.Sleep(step)
					now := c.Now()
					if passed := now.Sub(last); passed < step*9/10 || passed > step*11/10 {
						t.Fatalf("%v after the jump: %v of time passed in %v", time.Since(began), passed, step)
					}
					last = now
				}
				time.Sleep(5 * time.Second)
				if got := c.Offset(); got != 0 {
					t.Errorf("Offset in the end: got %v, want 0", got)
				}
			})
		})
	}
}

// A jump that is undone before the clock has made it up leaves only the part already followed.
func TestJumpAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &system{}
		c := run(t, s, nil)
		s.set(24 * time.Hour)
		time.Sleep(10 * time.Minute)
		if got := 24*time.Hour - c.Offset(); got < 59*time.Second || got > time.Minute {
			t.Errorf("followed by %v in 10 min, want a minute at most", got)
		}
		s.set(0)
		time.Sleep(11 * time.Minute)
		if got := c.Offset(); got != 0 {
			t.Errorf("Offset: got %v, want 0", got)
		}
	})
}

// A process that starts after a jump takes the system's time at once.
func TestStartsWithTheSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &system{}
		s.set(-time.Hour)
		c := run(t, s, nil)
		time.Sleep(time.Minute)
		if got := c.Offset(); got != 0 {
			t.Errorf("Offset: got %v, want 0", got)
		}
	})
}

func TestJumpIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer // read only while the clock sleeps
		s := &system{}
		run(t, s, slog.New(slog.NewTextHandler(&out, nil)))
		time.Sleep(time.Hour)
		s.set(time.Minute)
		time.Sleep(time.Hour)
		if got := out.String(); strings.Count(got, "level=WARN") != 1 || strings.Count(got, "level=INFO") != 1 || strings.Count(got, "\n") != 2 ||
			!strings.Contains(got, "jump=1m0s offset=1m0s takes=10m0s") {
			t.Errorf("log: got %q, want a warning of the jump and one line when it was followed", got)
		}
	})
}

// Time never goes backwards between two goroutines, even while a new course is set.
func TestForwardsForEverybody(t *testing.T) {
	s := &system{}
	c := run(t, s, nil)
	var latest atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				seen := latest.Load()
				now := c.Now().UnixNano()
				if now < seen {
					t.Errorf("time went back by %v", time.Duration(seen-now))
					return
				}
				for seen < now && !latest.CompareAndSwap(seen, now) {
					seen = latest.Load()
				}
			}
		})
	}
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 0} {
		s.set(jump)
		<-time.After(1100 * time.Millisecond) // the clock compares once a second
	}
	close(stop)
	wg.Wait()
}

func TestNowAllocatesNothing(t *testing.T) {
	c := clock.New(clock.Options{})
	if n := testing.AllocsPerRun(1000, func() { _ = c.Now() }); n != 0 {
		t.Errorf("Now allocates %v times, want 0", n)
	}
}

func BenchmarkNow(b *testing.B) {
	c := clock.New(clock.Options{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = c.Now()
		}
	})
}

func BenchmarkTimeNow(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = time.Now()
		}
	})
}
