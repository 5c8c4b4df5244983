package limit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/parley-gateway/parley/gateway/limit"
)

func TestRates(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	steps := []struct {
		name string
		key  string
		at   time.Duration
		want bool
	}{
		{"first of burst", "a", 0, true},
		{"second of burst", "a", 0, true},
		{"beyond burst", "a", 0, false},
		{"other key has its own bucket", "b", 0, true},
		{"refilled after a second", "a", time.Second, true},
		{"and empty again", "a", time.Second, false},
	}
	r := limit.NewRates[string](1, 2, 100)
	for _, s := range steps {
		if got := r.Allow(s.key, start.Add(s.at)); got != s.want {
			t.Errorf("%s: Allow(%q, +%v) = %v, want %v", s.name, s.key, s.at, got, s.want)
		}
	}
	if !limit.NewRates[string](0, 0, 1).Allow("x", start) {
		t.Error("a rate of 0 must allow everything")
	}
}

func TestRatesAreBounded(t *testing.T) {
	const keys, perGeneration = 10_000, 64
	r := limit.NewRates[string](1, 1, perGeneration)
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for i := range keys {
		r.Allow(fmt.Sprint(i), now)
	}
	if got := r.Len(); got > 2*perGeneration {
		t.Errorf("after %d distinct keys Len() = %d, want at most %d", keys, got, 2*perGeneration)
	}
}

func TestConns(t *testing.T) {
	c := limit.NewConns[string](2, 3)
	steps := []struct {
		name   string
		key    string
		exempt bool
		want   limit.Outcome
	}{
		{"first", "a", false, limit.OK},
		{"second", "a", false, limit.OK},
		{"over the key's limit", "a", false, limit.KeyFull},
		{"exempt from the key's limit", "a", true, limit.OK},
		{"over the total, exempt or not", "b", true, limit.TotalFull},
	}
	for _, s := range steps {
		if got := c.Acquire(s.key, s.exempt); got != s.want {
			t.Errorf("%s: Acquire(%q, %v) = %v, want %v", s.name, s.key, s.exempt, got, s.want)
		}
	}
	c.Release("a")
	if got := c.Acquire("b", false); got != limit.OK {
		t.Errorf("after a release Acquire(b) = %v, want OK", got)
	}
	if got := c.Open(); got != 3 {
		t.Errorf("Open() = %d, want 3", got)
	}
}
