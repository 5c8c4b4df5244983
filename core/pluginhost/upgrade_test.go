package pluginhost_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/pluginhost"
)

// traffic sends commands and hooks until stop is called, which returns the errors.
func traffic(tb testing.TB, b *bench) (stop func() (ids [][16]byte, hooks int, errs []error)) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ids [][16]byte
	var errs []error
	var hooks atomic.Int64
	wg.Go(func() {
		for ctx.Err() == nil {
			id := b.core.send(b.account, "hello")
			mu.Lock()
			ids = append(ids, id)
			mu.Unlock()
			pace(ctx)
		}
	})
	for worker := range 2 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				body := fmt.Sprintf("m-%d-%d", worker, i)
				_, err := b.host.Hook(context.WithoutCancel(ctx), b.account, post(body))
				hooks.Add(1)
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				} else if !b.core.has(b.account, body) {
					mu.Lock()
					errs = append(errs, fmt.Errorf("hook %s was answered and is not stored", body))
					mu.Unlock()
				}
				pace(ctx)
			}
		})
	}
	return func() ([][16]byte, int, []error) {
		cancel()
		wg.Wait()
		return ids, int(hooks.Load()), errs
	}
}

// pace keeps the load at about a thousand commands and a thousand hooks a second.
func pace(ctx context.Context) {
	t := time.NewTimer(time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Nothing may be lost, sent twice or refused during an upgrade (plugin-notes.md 5).
func TestUpgradeUnderLoad(t *testing.T) {
	for _, modes := range [][]string{nil, {"exclusive"}} {
		t.Run(fmt.Sprint(modes), func(t *testing.T) {
			b := newBench(t, nil, self("echo", modes...))
			b.useLedger()
			b.ready(t)
			stop := traffic(t, b)
			for range 3 {
				spec := self("echo", append([]string{"v2"}, modes...)...)
				if err := b.host.Upgrade(t.Context(), spec); err != nil {
					t.Fatal(err)
				}
				if err := b.host.Restart(t.Context(), "echo"); err != nil {
					t.Fatal(err)
				}
			}
			ids, hooks, errs := stop()
			b.core.until(t, "all results", func() bool {
				return !slices.ContainsFunc(ids, func(id [16]byte) bool { return !b.core.settled(id) })
			})
			if len(errs) > 0 {
				t.Errorf("%d of %d hooks failed, first with %v", len(errs), hooks, errs[0])
			}
			for id, n := range b.ledger(t) {
				if n != 1 {
					t.Errorf("command %s: %d provider calls, want 1", id, n)
				}
			}
			if got := len(b.ledger(t)); got != len(ids) {
				t.Errorf("provider calls: got %d, want %d", got, len(ids))
			}
			b.core.mu.Lock()
			defer b.core.mu.Unlock()
			if got := len(b.core.events); got != hooks {
				t.Errorf("events of hooks: got %d, want %d", got, hooks)
			}
			if s := b.status(t); s.Version != "2.0" || s.Restarts != 0 {
				t.Errorf("status: got version %s with %d restarts, want 2.0 with none", s.Version, s.Restarts)
			}
		})
	}
}

// If a new program does not become ready the old one must go on; if the new one crashes soon, the
// old one must be started again.
func TestUpgradeTakenBack(t *testing.T) {
	t.Run("does not start", func(t *testing.T) {
		b := newBench(t, nil, self("echo"))
		b.ready(t)
		pid := b.status(t).PID
		if err := b.host.Upgrade(t.Context(), self("echo", "v2", "die")); err == nil {
			t.Error("upgrade to a program that dies: got no error")
		}
		if s := b.status(t); s.PID != pid || s.State != pluginhost.StateReady {
			t.Errorf("after a failed upgrade: got %s, process %d, want ready, %d", s.State, s.PID, pid)
		}
	})
	t.Run("exclusive, does not start", func(t *testing.T) {
		b := newBench(t, nil, self("echo", "exclusive"))
		b.ready(t)
		if err := b.host.Upgrade(t.Context(), self("echo", "v2", "die")); err == nil {
			t.Error("upgrade to a program that dies: got no error")
		}
		b.ready(t)
		if s := b.status(t); s.Version != "1.0" {
			t.Errorf("version after a failed upgrade: got %s, want 1.0", s.Version)
		}
	})
	t.Run("crashes soon", func(t *testing.T) {
		b := newBench(t, nil, self("echo"))
		b.ready(t)
		if err := b.host.Upgrade(t.Context(), self("echo", "v2")); err != nil {
			t.Fatal(err)
		}
		b.core.send(b.account, "exit 1")
		b.core.until(t, "the old program", func() bool { return b.status(t).Version == "1.0" })
	})
}

// Drain must finish what is under way; afterwards nothing is accepted.
func TestDrain(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.useLedger()
	b.ready(t)
	var ids [][16]byte
	for range 30 {
		ids = append(ids, b.core.send(b.account, "hello"))
	}
	start := time.Now()
	if err := b.host.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("drain took %v, want below 8 s (PR15)", took)
	}
	b.core.mu.Lock()
	defer b.core.mu.Unlock()
	for _, id := range ids {
		if !b.core.settled(id) {
			t.Errorf("command %x was under way and has no result", id)
		}
	}
	if b.core.port != nil {
		t.Error("the port outlives the plugin")
	}
	if _, err := b.host.Hook(t.Context(), b.account, post("late")); err == nil {
		t.Error("hook after Drain: got no error")
	}
}
