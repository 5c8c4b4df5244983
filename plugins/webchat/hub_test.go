package webchat

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/webchat/internal/fakehost"
)

// TestCustomerGone: SPEC Q3, when a visitor's last socket is closed the time until they count as
// gone begins; a new socket stops it. The test is inside the package, because goroutines of real
// sockets do not count as blocked in a synctest bubble.
func TestCustomerGone(t *testing.T) {
	for _, tc := range []struct {
		name     string
		away     time.Duration // until the customer is back; 0 = never
		open     bool
		want     int           // number of left events
		leftAt   time.Duration // after the disconnect
		presence []bool
	}{
		{"stays away", 0, true, 1, 60 * time.Second, []bool{false}},
		{"comes back in time", 30 * time.Second, true, 0, 0, []bool{false, true}},
		{"nothing was open", 0, false, 0, 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				host := fakehost.New(slog.New(slog.DiscardHandler), "")
				h := newHub(ctx, host)
				go h.run(ctx)
				at := &site{account: "a", settings: defaultSettings()}
				if tc.open {
					if _, err := host.Emit(ctx, sdk.Event{Account: "a", Thread: "web:x", DedupeKey: "s", Body: sdk.Start{}}); err != nil {
						t.Fatal(err)
					}
				}
				enter := func() *socket {
					s := &socket{}
					s.out.init()
					s.hello.Store(true)
					s.heard.Store(h.now() + time.Hour.Milliseconds()) // keeps the check for silent sockets out of this test
					h.add(s)
					s.vis.Store(h.join(s, at, "web:x"))
					return s
				}
				s := enter()
				if tc.open {
					s.visitor().setOpen("c")
				}
				left := time.Now()
				h.remove(s)
				if tc.away > 0 {
					time.Sleep(tc.away)
					enter()
				}
				time.Sleep(10 * time.Minute)
				var got []sdk.Event
				for _, ev := range host.Events() {
					if _, ok := ev.Body.(sdk.Left); ok {
						got = append(got, ev)
					}
				}
				if len(got) != tc.want {
					t.Fatalf("%d left actions, want %d", len(got), tc.want)
				}
				if tc.want == 1 {
					if after := got[0].ReceivedTime.Sub(left); after < tc.leftAt || after > tc.leftAt+2*tick {
						t.Errorf("left after %v, want about %v", after, tc.leftAt)
					}
				}
				var presence []bool
				for _, s := range host.Signals() {
					presence = append(presence, s.On)
				}
				if len(presence) != len(tc.presence) {
					t.Errorf("presence signals %v, want %v", presence, tc.presence)
				}
				cancel()
				synctest.Wait()
				if n := len(h.lonely); n != 0 {
					t.Errorf("%d visitors still waited for, want 0", n)
				}
				host.Close()
			})
		})
	}
}

// TestOutbox: a full outbox makes the feeder wait, drops frames that matter only now, and demands
// the end of the socket beyond the hard limit.
func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outbox
		o.init()
		kib := make([]byte, 1<<10)
		for range recordMark>>10 + 1 {
			if _, ok := o.feed(packet{data: kib}); !ok {
				t.Fatal("feed failed below the mark")
			}
		}
		fed := make(chan bool, 1)
		go func() {
			_, ok := o.feed(packet{data: kib})
			fed <- ok
		}()
		synctest.Wait()
		if len(fed) != 0 {
			t.Fatal("feed did not wait above the mark")
		}
		if o.shed(packet{data: kib}); o.bytes != recordMark+1<<10 {
			t.Errorf("an ephemeral frame was queued above its mark: %d bytes", o.bytes)
		}
		over := false
		for range hardLimit >> 10 {
			if _, over = o.put(packet{data: kib}); over {
				break
			}
		}
		if !over {
			t.Error("the hard limit was not noticed")
		}
		queue := o.next(0, 1)
		spent := 0
		for _, p := range queue {
			spent += len(p.data)
		}
		if o.next(spent, 2) == nil && !<-fed {
			t.Error("the waiting feeder was not let go after the drain")
		}
		o.end()
		if _, ok := o.feed(packet{data: kib}); ok {
			t.Error("an ended outbox took a packet")
		}
	})
}

func TestTokenBucket(t *testing.T) {
	var b bucket
	for i := range 3 {
		if !b.take(1, 1, 1, 3) {
			t.Fatalf("take %d of a burst of 3 failed", i+1)
		}
	}
	if b.take(1, 1, 1, 3) {
		t.Error("the fourth was taken from a burst of 3")
	}
	if !b.take(1001, 1, 1, 3) || b.take(1001, 1, 1, 3) {
		t.Error("one second did not refill exactly one")
	}
}

func TestAddresses(t *testing.T) {
	k, other := newKeys(sdk.NewSecret("one")), newKeys(sdk.NewSecret("two"))
	token := newToken()
	a, err := k.address(token)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := k.address(token); again != a {
		t.Errorf("the same token gave %q and %q", a, again)
	}
	if b, _ := other.address(token); b == a {
		t.Error("another key gave the same address")
	}
	if b, _ := k.address(newToken()); b == a {
		t.Error("another token gave the same address")
	}
	if k.sum("ab", "c") == k.sum("a", "bc") {
		t.Error("pieces run together")
	}
}

func TestMemoryFollowsTheNumberOfSockets(t *testing.T) {
	var percents []int
	freed := 0
	m := memory{setGC: func(p int) int { percents = append(percents, p); return 0 }, free: func() { freed++ }}
	turn, frames := 0, uint64(0)
	ticks := func(n int, sockets int64, each uint64) {
		for range n {
			turn++
			frames += each
			m.tune(turn, sockets, frames)
		}
	}
	ticks(30, 200, 10_000)
	if len(percents) != 0 || freed != 0 {
		t.Errorf("few busy sockets: percents %v, freed %d, want nothing done", percents, freed)
	}
	ticks(30, 5000, 6000)
	ticks(60, 5000, 200)
	if len(percents) != 1 || percents[0] != 40 || freed != 1 {
		t.Errorf("many sockets, a storm, then quiet: percents %v, freed %d, want 40 once, freed once", percents, freed)
	}
	ticks(30, 800, 0)
	ticks(30, 100, 0)
	if len(percents) != 2 || percents[1] != 100 {
		t.Errorf("few sockets again: percents %v, want 100 at last", percents)
	}
}

// TestRefusalsAreLogged: what clients are refused is logged in one line a minute, however many
// there are, and no line is written when there is nothing new.
func TestRefusalsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		host := fakehost.New(slog.New(slog.NewTextHandler(&log, nil)), "")
		h := newHub(ctx, host)
		go h.run(ctx)
		for range 1000 {
			h.count.flood.Add(1)
		}
		h.count.malformed.Add(2)
		time.Sleep(10 * time.Minute)
		h.count.malformed.Add(3)
		time.Sleep(10 * time.Minute)
		cancel()
		synctest.Wait()
		host.Close()
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "flood=1000 protocol=2") || !strings.Contains(log.String(), "refused\" protocol=3") {
			t.Errorf("log after 1005 refusals in two minutes of twenty:\n%swant one line for each of the two", log.String())
		}
	})
}

// TestGoneBeforeAnswer: Q3, a customer whose tab closes before the gateway has answered the start
// is gone from then on: the conversation ends like that of any customer who leaves while waiting.
func TestGoneBeforeAnswer(t *testing.T) {
	for _, tc := range []struct {
		name     string
		answered time.Duration // after the tab closed
		fail     error
		back     bool // the customer comes back before the answer
		written  bool // an earlier attempt, which got no answer, has made the conversation
		left     int
		presence []bool
	}{
		{"answered soon", time.Second, nil, false, false, 1, []bool{false}},
		{"answered when the customer was given up", 5 * time.Minute, nil, false, false, 1, []bool{false}},
		{"refused", time.Second, &sdk.RefusedError{Code: "no_service"}, false, false, 0, nil},
		{"back before the answer", time.Second, nil, true, false, 0, nil},
		{"given up, and back before the answer", 5 * time.Minute, nil, true, false, 0, nil},
		{"answered as a repeat", time.Second, nil, false, true, 1, []bool{false}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				host := fakehost.New(slog.New(slog.DiscardHandler), "")
				h := newHub(ctx, host)
				go h.run(ctx)
				p := &Plugin{}
				p.hub.Store(h)
				at := &site{account: "a", settings: defaultSettings()}
				enter := func() *socket {
					s := &socket{p: p}
					s.out.init()
					s.out.end() // so that nothing is written
					s.hello.Store(true)
					s.heard.Store(h.now() + time.Hour.Milliseconds()) // keeps the check for silent sockets out of this test
					h.add(s)
					s.vis.Store(h.join(s, at, "web:x"))
					return s
				}
				if tc.written {
					err := host.EmitAsync(sdk.Event{Account: "a", Thread: "web:x", DedupeKey: "web:x:s:a1", Body: sdk.Start{}}, func(sdk.Ack, error) {})
					if err != nil {
						t.Fatal(err)
					}
				}
				host.Hold()
				host.Fail(tc.fail)
				s := enter()
				s.emit(s.visitor(), "a1", "s", sdk.Start{})
				h.remove(s)
				time.Sleep(tc.answered)
				if tc.back {
					enter()
				}
				host.Release()
				host.Fail(nil)
				if tc.back { // the conversation belongs to the new visitor now
					if v := h.find("a", "web:x"); v == nil || v.opened() == "" {
						t.Error("who came back has no open conversation after the answer")
					}
				}
				time.Sleep(10 * time.Minute)
				left := 0
				for _, ev := range host.Events() {
					if _, ok := ev.Body.(sdk.Left); ok {
						left++
					}
				}
				if left != tc.left {
					t.Errorf("%d left actions, want %d", left, tc.left)
				}
				var presence []bool
				for _, s := range host.Signals() {
					presence = append(presence, s.On)
				}
				if !slices.Equal(presence, tc.presence) {
					t.Errorf("presence signals %v, want %v", presence, tc.presence)
				}
				cancel()
				synctest.Wait()
				if n := len(h.lonely); n != 0 {
					t.Errorf("%d visitors still waited for, want 0", n)
				}
				host.Close()
			})
		})
	}
}

// TestStartedOnce: Q3, an answer that comes after the records changes nothing: an ended
// conversation does not become open again, and a customer whose leaving was reported is not
// reported again; and the answer to a repeat does not replace an open conversation.
func TestStartedOnce(t *testing.T) {
	for _, tc := range []struct {
		name        string
		open, ended sdk.ConversationID
		answer      sdk.ConversationID
		repeat      bool
		away        bool
		then        sdk.ConversationID
	}{
		{"first to say it", "", "", "c", false, true, "c"},
		{"after an earlier one", "", "b", "c", false, true, "c"},
		{"the records told of it", "c", "", "c", false, false, "c"},
		{"the records told of its end", "", "c", "c", false, false, ""},
		{"a repeat, first to say it", "", "", "c", true, true, "c"},
		{"a repeat while another is open", "d", "", "c", true, false, "d"},
		{"none", "", "", "", false, false, ""},
	} {
		v := &visitor{open: tc.open, ended: tc.ended}
		if away := v.started(tc.answer, tc.repeat); away != tc.away || v.opened() != tc.then {
			t.Errorf("%s: away %v and %q open, want %v and %q", tc.name, away, v.opened(), tc.away, tc.then)
		}
	}
}

// TestOverloadTakesAllOrNothing: PR2, while the gateway is behind, a socket waits ten seconds for
// room; what is refused after that is never committed.
func TestOverloadTakesAllOrNothing(t *testing.T) {
	for _, tc := range []struct {
		name string
		room time.Duration // when there is room
		want int           // events that are committed
	}{
		{"room in time", 5 * time.Second, 1},
		{"no room", 15 * time.Second, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				host := fakehost.New(slog.New(slog.DiscardHandler), "")
				h := newHub(t.Context(), host)
				p := &Plugin{}
				p.hub.Store(h)
				s := &socket{p: p}
				s.out.init()
				s.out.end() // so that nothing is written
				h.add(s)
				v := h.join(s, &site{account: "a", settings: defaultSettings()}, "web:x")
				host.Refuse(sdk.ErrOverload)
				host.Hold()
				go s.emit(v, "a1", "s", sdk.Start{})
				time.Sleep(tc.room)
				host.Refuse(nil)
				time.Sleep(time.Minute)
				host.Release()
				if n := len(host.Events()); n != tc.want {
					t.Errorf("%d events were committed, want %d", n, tc.want)
				}
				if refused := int(h.count.refused.Load()); refused != 1-tc.want {
					t.Errorf("%d frames were refused, want %d", refused, 1-tc.want)
				}
				if v.starting != 0 {
					t.Errorf("%d starts wait for an answer, want none", v.starting)
				}
				host.Close()
			})
		})
	}
}

// TestUnprovenIsClosed: a client whose start waits for its first pong has ten seconds for it, and
// is told why it is closed.
func TestUnprovenIsClosed(t *testing.T) {
	p := &Plugin{}
	h := newHub(t.Context(), nil)
	p.hub.Store(h)
	s := &socket{p: p}
	s.out.init()
	s.out.writing = true // the test takes the writer's part
	s.hello.Store(true)
	s.hold([]byte(`{"t":"start"}`))
	at := s.heldAt.Load()
	s.heard.Store(at)
	s.check(at + proofTimeout.Milliseconds())
	if q := s.out.next(0, at); len(q) != 0 {
		t.Errorf("closed within the time: %d frames are written", len(q))
	}
	s.out.writing = true
	s.check(at + proofTimeout.Milliseconds() + 1)
	if q := s.out.next(0, at); len(q) != 2 || !strings.Contains(string(q[0].data), `"reason":"unproven"`) || q[1].code != closeProtocol {
		t.Errorf("after the time %d frames are written, want a bye that says unproven and a close", len(q))
	}
}

// TestAddressesAreBounded: the number of addresses is bounded by the open sockets and by the limit
// on addresses without one, which are forgotten after a while.
func TestAddressesAreBounded(t *testing.T) {
	as := newAddresses()
	ip := netip.MustParseAddr("10.0.0.0")
	open := as.enter("a", ip)
	for range 2 * maxIdleAddresses {
		ip = ip.Next()
		as.leave(as.enter("a", ip), 1)
	}
	if n := len(as.all); n > maxIdleAddresses+1 {
		t.Errorf("%d addresses kept, want at most %d", n, maxIdleAddresses+1)
	}
	as.prune(1 + forgetAddress.Milliseconds() + 1)
	if n := len(as.all); n != 1 || len(as.idle) != 0 || as.enter("a", open.ip) != open {
		t.Errorf("%d addresses kept after a long time, want the one with a socket", n)
	}
}

// TestAddressesAreKeptUntilFull: an address is not forgotten before its allowance is full again;
// with a slow rate a client that connects again later would get a new one (FT24).
func TestAddressesAreKeptUntilFull(t *testing.T) {
	as := newAddresses()
	ip := netip.MustParseAddr("192.0.2.1")
	at := &site{}
	at.AddressStartsPerMinute, at.AddressStartBurst = 0.05, 30 // full after ten hours
	a := as.enter("a", ip)
	if !a.allowStart(1, at) {
		t.Fatal("the first start of an address was refused")
	}
	as.leave(a, 1)
	as.prune(1 + (9 * time.Hour).Milliseconds())
	if as.enter("a", ip) != a {
		t.Error("forgotten after nine hours, when its allowance was not full again")
	}
	as.leave(a, 1)
	as.prune(2 + (10 * time.Hour).Milliseconds())
	if as.enter("a", ip) == a {
		t.Error("still known when its allowance was full again")
	}
}
