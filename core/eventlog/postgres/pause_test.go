package postgres

import (
	"testing"
	"time"
)

// PR8: looking takes a tenth of the time at most, unless readers would wait too long for it.
func TestPauseAfter(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: followPause, time.Millisecond: followPause, 20 * time.Millisecond: 180 * time.Millisecond, time.Second: followMost,
	} {
		if got := pauseAfter(took); got != want {
			t.Errorf("after %v: %v, want %v", took, got, want)
		}
	}
}
