package timers_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/timers"
)

// heard records which ids fired, and when, counted from the start of the test.
type heard struct {
	mu    sync.Mutex
	began time.Time
	fired []firing
}

type firing struct {
	id    string
	after time.Duration
}

func (h *heard) fire(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fired = append(h.fired, firing{id, time.Since(h.began)})
}

// want compares the ids that have fired so far.
func (h *heard) want(t *testing.T, want ...firing) {
	t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.fired, want) {
		t.Errorf("after %v fired %v, want %v", time.Since(h.began), h.fired, want)
	}
}

func inBubble(t *testing.T, test func(t *testing.T, set func(id string, after time.Duration), h *heard)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &heard{began: time.Now()}
		x := timers.New(time.Now, h.fire)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { x.Run(ctx) })
		test(t, func(id string, after time.Duration) { x.Set(id, h.began.Add(after)) }, h)
		cancel()
		wg.Wait()
	})
}

func TestFiresInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, set func(string, time.Duration), h *heard) {
		set("late", 3*time.Hour)
		set("soon", time.Second)
		set("past", -time.Second)
		synctest.Wait()
		set("between", time.Minute)
		time.Sleep(4 * time.Hour)
		h.want(t, firing{"past", 0}, firing{"soon", time.Second}, firing{"between", time.Minute}, firing{"late", 3 * time.Hour})
	})
}

// Setting an earlier deadline must replace the present one, and setting a later one must not; each
// id fires once, and may be set again afterwards.
func TestEarliestDeadlineCounts(t *testing.T) {
	inBubble(t, func(t *testing.T, set func(string, time.Duration), h *heard) {
		set("a", time.Minute)
		set("a", time.Second)
		set("a", time.Hour)
		time.Sleep(time.Second)
		h.want(t, firing{"a", time.Second})
		time.Sleep(2 * time.Hour)
		h.want(t, firing{"a", time.Second})
		set("a", 3*time.Hour)
		time.Sleep(2 * time.Hour)
		h.want(t, firing{"a", time.Second}, firing{"a", 3 * time.Hour})
	})
}

// The function may set the same deadline again while it is called.
func TestSetWhileFiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		var x *timers.Timers[int]
		x = timers.New(time.Now, func(id int) {
			if n++; n < 3 {
				x.Set(id, time.Now().Add(time.Second))
			}
		})
		x.Set(1, time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { x.Run(ctx) })
		time.Sleep(time.Hour)
		cancel()
		wg.Wait()
		if n != 3 {
			t.Errorf("fired %d times, want 3", n)
		}
	})
}
