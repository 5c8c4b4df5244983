package quota_test

import (
	"testing"
	"time"

	"github.com/parley-gateway/parley/internal/quota"
)

// FT22: a limit holds for its hour, to the byte, and is available again in the next.
func TestTake(t *testing.T) {
	l := quota.New[string](10)
	now := time.Unix(1_700_000_000, 0)
	for i, c := range []struct {
		at    time.Duration
		n     int64
		ok    bool
		after time.Duration
	}{
		{0, 60, true, 0},
		{time.Minute, 41, false, 59 * time.Minute},
		{time.Minute, 40, true, 0},
		{59 * time.Minute, 1, false, time.Minute},
		{time.Hour, 100, true, 0},
		{time.Hour, 1, false, time.Hour},
	} {
		fits, would := l.Fits(now.Add(c.at), "a", c.n, 100)
		after, ok := l.Take(now.Add(c.at), "a", c.n, 100)
		if ok != c.ok || after != c.after || would != ok || fits != after {
			t.Errorf("step %d: take %d at %v = %v, %v (fits %v, %v), want %v, %v", i, c.n, c.at, after, ok, fits, would, c.after, c.ok)
		}
	}
	if _, ok := l.Take(now, "b", 100, 100); !ok {
		t.Error("one key's use is counted for another")
	}
	if _, ok := l.Take(now, "b", 1<<40, 0); !ok {
		t.Error("a limit of 0 refuses")
	}
}

// FT24: however many keys are made, the memory stays bounded, and old keys are forgotten by
// themselves.
func TestKeysAreBounded(t *testing.T) {
	l := quota.New[int](100)
	now := time.Unix(1_700_000_000, 0)
	for i := range 10_000 {
		if _, ok := l.Take(now, i, 1, 1); !ok {
			t.Fatalf("key %d is refused its first use", i)
		}
	}
	if n := l.Len(); n != 100 {
		t.Errorf("%d keys are kept, want 100", n)
	}
	for i := range 50 {
		l.Take(now.Add(quota.Window), -1-i, 1, 1)
	}
	if n := l.Len(); n >= 100 {
		t.Errorf("%d keys are kept after the first ones' hour, want fewer than 100", n)
	}
}
