package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/nodes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a log that can be out of reach.
type store struct {
	*memlog.Log
	away  atomic.Bool
	stuck func(lease string) bool // whether nobody answers about a lease; nil: of none
	// suspended is for how long the machine was suspended, which Go's clock does not count.
	suspended atomic.Int64
	lost      atomic.Bool // leases are given, but the answer is lost
	// postponed gets the releases, which are then answered by an error and not carried out yet; nil: none.
	postponed atomic.Pointer[chan func()]
}

func (s *store) ReleaseLease(ctx context.Context, name, node string, epoch int64) error {
	if ch := s.postponed.Load(); ch != nil {
		*ch <- func() { _ = s.Log.ReleaseLease(context.WithoutCancel(ctx), name, node, epoch) }
		return errAway
	}
	return s.Log.ReleaseLease(ctx, name, node, epoch)
}

func (s *store) elapsed() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) + time.Duration(s.suspended.Load()) }
}

var errAway = fmt.Errorf("away: %w", eventlog.ErrUnavailable)

func (s *store) Beat(ctx context.Context, n eventlog.Node, ttl time.Duration) ([]eventlog.Node, error) {
	if s.away.Load() {
		return nil, errAway
	}
	return s.Log.Beat(ctx, n, ttl)
}

func (s *store) AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (int64, bool, error) {
	if s.stuck != nil && s.stuck(name) {
		<-ctx.Done()
		return 0, false, fmt.Errorf("stuck: %w", ctx.Err())
	}
	if s.away.Load() {
		return 0, false, errAway
	}
	epoch, held, err := s.Log.AcquireLease(ctx, name, node, ttl)
	if s.lost.Load() {
		return 0, false, errAway
	}
	return epoch, held, err
}

// A lease whose answer was lost is free soon after it is given up.
func TestLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Log: memlog.New()}
		ka, _ := keeper(t, s, "a")
		la, _ := leases(t, s, ka, "a")
		account := [16]byte{1}
		s.lost.Store(true)
		la.Want(account)
		time.Sleep(time.Second)
		s.lost.Store(false)
		la.Unwant(account)
		time.Sleep(time.Second)
		if _, held, err := s.AcquireLease(t.Context(), nodes.LeaseName(account), "b", time.Minute); err != nil || !held {
			t.Errorf("another node: held %v, %v", held, err)
		}
	})
}

// keeper starts a node; stop ends it as a kill does, without leaving.
func keeper(t *testing.T, s *store, name string) (k *nodes.Keeper, stop func()) {
	t.Helper()
	k, err := nodes.New(nodes.Options{Name: name, Log: s, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { k.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return k, stop
}

func live(k *nodes.Keeper) string {
	var names []string
	for _, n := range k.Live() {
		names = append(names, n.Name)
	}
	return strings.Join(names, " ")
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Log: memlog.New()}
		a, _ := keeper(t, s, "a")
		changes, cancel := a.Changes()
		defer cancel()
		want(t, "alone", live(a), "a")
		b, stopB := keeper(t, s, "b")
		time.Sleep(3 * time.Second)
		want(t, "a's view", live(a), "a b")
		want(t, "b's view", live(b), "a b")
		select {
		case <-changes:
		default:
			t.Error("no change told")
		}
		for i := range 100 {
			if x := [16]byte{15: byte(i)}; a.Owner(x) != b.Owner(x) || a.Owns(x) == b.Owns(x) {
				t.Fatalf("owner of %d: %s and %s", i, a.Owner(x), b.Owner(x))
			}
		}
		time.Sleep(20 * time.Second)
		if a.Gone("b") || !a.Gone("c") {
			t.Error("a thinks that b is gone, or that c is there")
		}
		stopB() // killed
		time.Sleep(5 * time.Second)
		want(t, "a's view, shortly after", live(a), "a b")
		time.Sleep(10 * time.Second)
		want(t, "a's view, later", live(a), "a")
		if !a.Gone("b") {
			t.Error("a does not know that b is gone")
		}
	})
}

func TestDrainingAndLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Log: memlog.New()}
		a, _ := keeper(t, s, "a")
		b, stopB := keeper(t, s, "b")
		time.Sleep(15 * time.Second)
		b.Drain()
		time.Sleep(3 * time.Second)
		for i := range 100 {
			if x := [16]byte{15: byte(i)}; a.Owner(x) != "a" || b.Owner(x) != "a" {
				t.Fatalf("owner of %d while b drains: %s and %s, want a", i, a.Owner(x), b.Owner(x))
			}
		}
		want(t, "while b drains", live(a), "a b")
		stopB()
		if err := b.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		want(t, "after b has left", live(a), "a")
	})
}

// After an outage of the database every heartbeat is old. Nobody is gone because of that.
func TestOutageMakesNobodyGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Log: memlog.New()}
		a, _ := keeper(t, s, "a")
		_, stopB := keeper(t, s, "b")
		time.Sleep(20 * time.Second)
		s.away.Store(true)
		time.Sleep(time.Minute)
		want(t, "during the outage", live(a), "a b")
		stopB()
		s.away.Store(false)
		time.Sleep(5 * time.Second)
		want(t, "shortly after the outage", live(a), "a b")
		if a.Gone("b") {
			t.Error("b is gone before it could come back")
		}
		time.Sleep(15 * time.Second)
		want(t, "later", live(a), "a")
	})
}

func TestSecondProcessOfAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Log: memlog.New()}
		a, _ := keeper(t, s, "a")
		second, err := nodes.New(nodes.Options{Name: "a", Log: s, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Join(t.Context()); !errors.Is(err, eventlog.ErrNameTaken) || !strings.Contains(err.Error(), "PARLEY_NODE") {
			t.Errorf("Join: %v, want ErrNameTaken and what to do", err)
		}
		// The first is away for long enough to lose its name to the second, and is told.
		s.away.Store(true)
		time.Sleep(time.Minute)
		if _, err := s.Log.Beat(t.Context(), eventlog.Node{Name: "a", Instance: [16]byte{9}}, time.Hour); err != nil {
			t.Fatal(err)
		}
		s.away.Store(false)
		time.Sleep(3 * time.Second)
		select {
		case <-a.Taken():
		default:
			t.Error("the first process was not told that its name is taken")
		}
	})
}

// leases starts the leases of a node; stop ends them as a kill does.
func leases(t *testing.T, s *store, k *nodes.Keeper, name string) (l *nodes.Leases, stop func()) {
	l = nodes.NewLeases(nodes.LeaseOptions{Node: name, Log: s, Owns: k.Owns, Logger: slog.New(slog.DiscardHandler), Elapsed: s.elapsed()})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { l.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return l, stop
}

// An account has one holder at a time: through a kill of the holder, an outage of the database, and
// an orderly handing over.
func TestLeasesHaveOneHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &store{Log: memlog.New()}, &store{}
		b.Log = a.Log
		var account [16]byte
		ka, stopKA := keeper(t, a, "a")
		kb, _ := keeper(t, b, "b")
		time.Sleep(3 * time.Second)
		for !ka.Owns(account) {
			account[15]++
		}
		la, stopA := leases(t, a, ka, "a")
		lb, _ := leases(t, b, kb, "b")
		la.Want(account)
		lb.Want(account)
		step := func(d time.Duration, ended func() bool) {
			t.Helper()
			for range d / (100 * time.Millisecond) {
				time.Sleep(100 * time.Millisecond)
				if la.Held(account) && lb.Held(account) {
					t.Fatal("two nodes hold the account")
				}
				if ended() {
					return
				}
			}
			t.Errorf("after %v: a holds it: %v, b holds it: %v", d, la.Held(account), lb.Held(account))
		}
		step(5*time.Second, func() bool { return la.Held(account) })
		select {
		case <-la.Changes():
		case <-time.After(2 * time.Second):
			t.Error("no change told")
		}
		// a cannot reach the database: it gives the account up by itself before b can take it.
		a.away.Store(true)
		step(15*time.Second, func() bool { return !la.Held(account) })
		if lb.Held(account) {
			t.Error("b holds the account already")
		}
		step(30*time.Second, func() bool { return lb.Held(account) })
		a.away.Store(false)
		time.Sleep(30 * time.Second)
		step(time.Second, func() bool { return lb.Held(account) }) // b keeps it although a is the preferred owner
		// b gives it up in good order.
		lb.Unwant(account)
		step(5*time.Second, func() bool { return la.Held(account) })
		lb.Want(account)
		// a is killed.
		stopA()
		stopKA()
		step(40*time.Second, func() bool { return lb.Held(account) })
		if n := lb.Count(); n != 1 {
			t.Errorf("b holds %d accounts, want 1", n)
		}
	})
}

func TestReleasedLeasesAreFreeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Log: memlog.New()}
		ka, _ := keeper(t, s, "a")
		la, stopA := leases(t, s, ka, "a")
		account := [16]byte{1}
		la.Want(account)
		time.Sleep(time.Second)
		if !la.Held(account) {
			t.Fatal("not held")
		}
		if left := la.Left(account); left < 13*time.Second || left > 15*time.Second {
			t.Errorf("%v are left of the lease, want about 14 s", left)
		}
		s.suspended.Store(int64(12 * time.Second))
		if left := la.Left(account); la.Held(account) || left <= 0 || left > 3*time.Second {
			t.Errorf("after the machine was suspended, %v are left of the lease, want about 2 s", left)
		}
		s.suspended.Store(0)
		stopA()
		la.Release(t.Context())
		if la.Held(account) || la.Left(account) > 0 {
			t.Error("held after Release")
		}
		if _, held, err := s.AcquireLease(t.Context(), "account/01000000000000000000000000000000", "b", time.Minute); err != nil || !held {
			t.Errorf("another node: held %v, %v", held, err)
		}
	})
}

// Wherever a node stands still while it asks for a lease, a gap in what it holds is told.
func TestGapIsTold(t *testing.T) {
	for n := range int64(30) {
		synctest.Test(t, func(t *testing.T) {
			s := &store{Log: memlog.New()}
			ka, _ := keeper(t, s, "a")
			var calls atomic.Int64 // of the clock; negative: before the node may stand still
			calls.Store(-1 << 32)
			clock := s.elapsed()
			la := nodes.NewLeases(nodes.LeaseOptions{Node: "a", Log: s, Owns: ka.Owns, Logger: slog.New(slog.DiscardHandler), Elapsed: func() time.Duration {
				if calls.Add(1) == n+1 {
					s.suspended.Store(int64(20 * time.Second))
				}
				return clock()
			}})
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { la.Run(ctx) })
			defer func() { cancel(); wg.Wait() }()
			account := [16]byte{1}
			la.Want(account)
			time.Sleep(2900 * time.Millisecond)
			<-la.Changes()
			before := la.Since(account)
			calls.Store(0)
			time.Sleep(5 * time.Second)
			after := la.Since(account)
			if before.IsZero() || after.IsZero() || before.Equal(after) {
				t.Fatalf("at call %d: held since %v, then %v, want two times", n, before, after)
			}
			select {
			case <-la.Changes():
			default:
				t.Errorf("at call %d: the gap was not told", n)
			}
		})
	}
}

// A release whose answer was lost, and which the store carries out late, gives up nothing that this
// node has taken since.
func TestLateRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Log: memlog.New()}
		ka, _ := keeper(t, s, "a")
		la, stop := leases(t, s, ka, "a")
		account := [16]byte{1}
		la.Want(account)
		time.Sleep(time.Second)
		releases := make(chan func(), 1)
		s.postponed.Store(&releases)
		la.Unwant(account)
		release := <-releases
		s.postponed.Store(nil)
		la.Want(account)
		time.Sleep(4 * time.Second)
		if !la.Held(account) {
			t.Fatal("not held")
		}
		release()
		if _, held, err := s.AcquireLease(t.Context(), nodes.LeaseName(account), "b", time.Minute); err != nil || held {
			t.Errorf("another node has it too: %v, %v", held, err)
		}
		stop()
	})
}

// One lease about which the store does not answer lets no other run out.
func TestStuckLeaseHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Log: memlog.New()}
		ka, _ := keeper(t, s, "a")
		var bad [20][16]byte
		names := map[string]bool{}
		for i := range bad {
			bad[i] = [16]byte{0: 1, 15: byte(i)}
			names[nodes.LeaseName(bad[i])] = true
		}
		s.stuck = func(name string) bool { return names[name] }
		la, _ := leases(t, s, ka, "a")
		good := [30][16]byte{}
		for i := range good {
			good[i] = [16]byte{0: 2, 15: byte(i)}
			la.Want(good[i])
		}
		time.Sleep(time.Second)
		for _, id := range bad {
			la.Want(id)
		}
		for range 60 {
			time.Sleep(time.Second)
			if n := la.Count(); n != len(good) {
				t.Fatalf("%d accounts are held, want %d", n, len(good))
			}
		}
		for _, id := range bad {
			if la.Held(id) {
				t.Error("an account is held about which the store did not answer")
			}
		}
	})
}

// A machine that was suspended holds nothing when it wakes, since others may have it.
func TestSuspendedNodeHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Log: memlog.New()}
		ka, _ := keeper(t, s, "a")
		la, _ := leases(t, s, ka, "a")
		account := [16]byte{1}
		la.Want(account)
		time.Sleep(time.Second)
		ref, since, ok := la.Lease(account)
		if !ok || ref.Name != nodes.LeaseName(account) || ref.Epoch != 1 || since.IsZero() {
			t.Fatalf("lease: %+v since %v, %v", ref, since, ok)
		}
		<-la.Changes()
		if _, _, err := s.Log.AcquireLease(t.Context(), nodes.LeaseName(account), "a", 0); err != nil { // it has run out meanwhile
			t.Fatal(err)
		}
		if _, held, err := s.Log.AcquireLease(t.Context(), nodes.LeaseName(account), "b", 20*time.Second); err != nil || !held {
			t.Fatal(held, err)
		}
		s.suspended.Add(int64(15 * time.Second))
		if la.Held(account) {
			t.Error("held after 15 s of suspension")
		}
		if _, _, ok := la.Lease(account); ok || la.Count() != 0 {
			t.Error("a lease after 15 s of suspension")
		}
		select {
		case <-la.Changes():
		case <-time.After(300 * time.Millisecond):
			t.Error("nobody was told within 300 ms")
		}
		time.Sleep(30 * time.Second)
		if ref, _, ok := la.Lease(account); !ok || ref.Epoch != 3 {
			t.Errorf("after the other node: epoch %d, %v", ref.Epoch, ok)
		}
	})
}

// The preferred owner does not want an account, as when its plugin is not ready: another node takes
// it, and leaves the owner some seconds before that.
func TestAnotherNodeTakesWhatTheOwnerDoesNotWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Log: memlog.New()}
		ka, _ := keeper(t, s, "a")
		kb, _ := keeper(t, s, "b")
		time.Sleep(3 * time.Second)
		var account [16]byte
		for !ka.Owns(account) {
			account[15]++
		}
		la, _ := leases(t, s, ka, "a")
		lb, _ := leases(t, s, kb, "b")
		lb.Want(account)
		time.Sleep(5 * time.Second)
		if lb.Held(account) {
			t.Error("taken before the owner had time")
		}
		time.Sleep(5 * time.Second)
		if !lb.Held(account) {
			t.Error("not taken though the owner does not want it")
		}
		la.Want(account)
		time.Sleep(30 * time.Second)
		if la.Held(account) || !lb.Held(account) {
			t.Error("the holder lost the account to the owner")
		}
		lb.Unwant(account)
		if lb.Held(account) {
			t.Error("held after Unwant")
		}
		time.Sleep(4 * time.Second)
		if !la.Held(account) {
			t.Error("the owner has not taken what was given up")
		}
	})
}
