package pluginhost_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// A sender who ends the plugin with requests that differ each time, and who does not wait for
// answers, must not take the channel from others (PR10), whether it uses one address or a new one
// for each request.
func TestPoisonVaried(t *testing.T) {
	for name, address := range map[string]func(i int) string{
		"one address":     func(int) string { return "192.0.2.1" },
		"a network":       func(i int) string { return fmt.Sprintf("2001:db8::%x", i+1) },
		"many addresses":  func(i int) string { return fmt.Sprintf("10.0.%d.%d", i/250, i%250) },
		"no address told": func(int) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil, self("echo"))
			b.ready(t)
			// A carrier comes again after a 503, which it gets on a machine that takes longer than the
			// hook's budget to start a process.
			good := func(i int) error {
				req := post(fmt.Sprint("good ", i))
				req.RemoteIP = "198.51.100.7"
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := b.host.Hook(ctx, b.account, req)
				for errors.Is(err, pluginhost.ErrUnavailable) && ctx.Err() == nil {
					_, err = b.host.Hook(ctx, b.account, req)
				}
				return err
			}
			if err := good(0); err != nil { // the carrier is known before the attack
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			var attack sync.WaitGroup
			attack.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					brief, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
					req := post(fmt.Sprint("poison ", i))
					req.RemoteIP = address(i)
					_, _ = b.host.Hook(brief, b.account, req)
					cancel()
				}
			})
			b.core.until(t, "the attack to have ended three generations", func() bool { return b.status(t).Restarts >= 3 })
			for i := range 100 {
				if err := good(i + 1); err != nil {
					t.Errorf("the carrier's webhook %d: %v, want its answer", i, err)
					break
				}
			}
			stop()
			attack.Wait()
			t.Logf("restarts: %d", b.status(t).Restarts)
		})
	}
}

// If a carrier shares its address with such a sender, behind a proxy that does not pass the
// client's address on, the log must say so (PR10).
func TestPoisonSharedAddress(t *testing.T) {
	var log syncBuffer
	b := newBench(t, func(o *pluginhost.Options) { o.Logger = log.logger() }, self("echo"))
	b.ready(t)
	hook := func(ctx context.Context, text string) error {
		req := post(text)
		req.RemoteIP = "192.0.2.1"
		_, err := b.host.Hook(ctx, b.account, req)
		return err
	}
	if err := hook(t.Context(), "good"); err != nil { // the carrier is known before the attack
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var attack sync.WaitGroup
	for w := range 4 {
		attack.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				brief, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
				_ = hook(brief, fmt.Sprintf("poison %d %d", w, i))
				cancel()
			}
		})
	}
	b.core.until(t, "the log to say so", func() bool { return strings.Contains(log.String(), "http.trusted_proxies") })
	stop()
	attack.Wait()
}

// A source stays known for minutes after a 2xx, whatever item of it is parked (PR10): its next
// webhooks are tried alone, but not as a stranger's. A source without a 2xx for longer is a
// stranger again.
func TestPoisonKeepsWhoIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pluginhost.NewTestPoison()
		const shared = "192.0.2.1"
		p.Hook(shared, "good")
		for i := range 20 {
			p.ParkHook(shared, fmt.Sprint("poison ", i))
			if p.Stranger(shared, "good, too") {
				t.Fatalf("a stranger after %d parked items, want known because of the 2xx", i+1)
			}
			time.Sleep(20 * time.Second)
		}
		time.Sleep(5 * time.Minute)
		p.ParkHook(shared, "poison")
		if !p.Stranger(shared, "good, too") {
			t.Error("known eleven minutes after the last 2xx although an item was parked, want a stranger")
		}
	})
}

// Different poison in one thread costs one crash each, once the thread is suspect (PR10): a picture
// that ends the plugin comes as a new command each time.
func TestPoisonThread(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	const n = 4
	for range n {
		id := b.core.send(b.account, "panic")
		b.core.until(t, "its result", func() bool { return b.core.settled(id) })
	}
	b.generation(t, 1)
	// Three restarts for the first command, one for each other; two more for a machine under load.
	if got, most := b.status(t).Restarts, 3+(n-1)+2; got > most {
		t.Errorf("restarts by %d different commands: got %d, want at most %d", n, got, most)
	}
}

// A suspicion must end with time, and a flood of suspects must not keep a later one from being
// found (PR10).
func TestPoisonMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pluginhost.NewTestPoison()
		id := [16]byte(uuid.New())
		p.Crash(id)
		if p.Suspect(id) {
			t.Error("suspect after one crash, want two")
		}
		p.Crash(id)
		if !p.Suspect(id) {
			t.Error("no suspect after two crashes")
		}
		time.Sleep(time.Hour + time.Minute)
		if p.Suspect(id) || p.Len() != 0 {
			t.Errorf("%d under suspicion an hour after the last crash, want none", p.Len())
		}
		flood := make([][16]byte, 10_000)
		for i := range flood {
			flood[i] = uuid.New()
		}
		p.Crash(flood...)
		time.Sleep(time.Second) // so that the flood is older: among suspects of the same moment it is random which are dropped
		p.Crash(id)
		p.Crash(id)
		if !p.Suspect(id) {
			t.Error("not found after a flood of other suspects")
		}
		if got := p.Len(); got > 2*4096 {
			t.Errorf("remembers %d, want at most 4096 items and as many sources", got)
		}
	})
}

// A webhook that freezes the plugin must be found like one that ends it, even from a sender who
// varies it (PR10, PR11).
func TestPoisonFreezes(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	var err error
	for i := 0; i < 6 && !errors.Is(err, pluginhost.ErrQuarantined); i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, _ = b.host.Hook(ctx, b.account, post(fmt.Sprint("freeze ", i)))
		cancel()
		b.generation(t, i+2)
		_, err = b.host.Hook(t.Context(), b.account, post(fmt.Sprint("freeze ", i)))
	}
	if !errors.Is(err, pluginhost.ErrQuarantined) {
		t.Errorf("freezing webhooks: got %v, want ErrQuarantined in the end", err)
	}
}

// other sends a text in a thread of its own.
func (c *fakeCore) other(account conversation.AccountID) [16]byte {
	return c.put(plugin.Outbound{Account: account, Thread: uuid.NewString(), Send: &plugin.SendCommand{To: "+4930123456"}})
}
