package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/gateway/auth"
)

// guesser sends attempts in a synctest bubble.
type guesser struct {
	t *testing.T
	a *auth.Auth
}

func (g guesser) try(name, pw, ip, device string) (auth.LoginResult, error) {
	return g.a.Login(g.t.Context(), auth.LoginRequest{Login: name, Password: pw, IP: netip.MustParseAddr(ip), Device: device})
}

// waits is how long an attempt is told to wait; 0 when its password was checked.
func (g guesser) waits(name, pw, ip, device string) time.Duration {
	g.t.Helper()
	_, err := g.try(name, pw, ip, device)
	if limited, ok := errors.AsType[*auth.LimitedError](err); ok {
		return limited.RetryAfter
	}
	if err != nil && !errors.Is(err, auth.ErrCredentials) {
		g.t.Fatalf("Login(%s from %s): %v", name, ip, err)
	}
	return 0
}

// fail sends a wrong password until it is checked, and waits as long as it is told in between.
func (g guesser) fail(name, ip string) {
	g.t.Helper()
	for wait := g.waits(name, "wrong horse", ip, ""); wait > 0; wait = g.waits(name, "wrong horse", ip, "") {
		time.Sleep(wait)
	}
}

// in expects that the right password is accepted, at once or after one wait of at most atMost.
func (g guesser) in(what, name, ip, device string, atMost time.Duration) auth.LoginResult {
	g.t.Helper()
	res, err := g.try(name, password, ip, device)
	if limited, ok := errors.AsType[*auth.LimitedError](err); ok && limited.RetryAfter <= atMost {
		time.Sleep(limited.RetryAfter)
		res, err = g.try(name, password, ip, device)
	}
	if err != nil {
		g.t.Errorf("%s: %v, want to get in after at most %v", what, err, atMost)
	}
	return res
}

func bubble(t *testing.T, o auth.Options, fn func(t *testing.T, g guesser)) *fake {
	t.Helper()
	d := fakeDirectory(t)
	o.Directory = d
	synctest.Test(t, func(t *testing.T) {
		a := newAuth(t, o)
		defer closeAuth(t, a)
		fn(t, guesser{t, a})
	})
	return d
}

// Failures of strangers with somebody's login keep out neither that user nor an admin [ASVS 6.3.1]:
// neither on a machine that they used before, nor elsewhere.
func TestStrangersLockNobodyOut(t *testing.T) {
	for name, addresses := range map[string]int{"one address": 1, "many addresses": 60} {
		t.Run(name, func(t *testing.T) {
			bubble(t, auth.Options{}, func(t *testing.T, g guesser) {
				for _, user := range []string{"ana", "sue", "adam"} {
					device := g.in("first login", user, "192.0.2.1", "", 0).Device
					for i := range 60 {
						g.waits(user, "wrong horse", fmt.Sprintf("198.51.100.%d", i%addresses), "")
					}
					g.in(user+" on her machine, where she was", user, "192.0.2.1", device, 0)
					g.in(user+" on her machine, at the guesser's address", user, "198.51.100.0", device, 0)
					g.in(user+" in another browser where she was", user, "192.0.2.1", "", 0)
					most := time.Duration(0)
					if addresses > 1 {
						most = 15 * time.Minute
					}
					g.in(user+" in a new place", user, "203.0.113.7", "", most)
				}
			})
		})
	}
}

// Guessing at many logins from one address makes only users who are new at that address wait, for a
// minute at most.
func TestOneAddressLocksNobodyOut(t *testing.T) {
	bubble(t, auth.Options{}, func(t *testing.T, g guesser) {
		device := g.in("first login", "ana", "203.0.113.9", "", 0).Device
		g.in("adam was here before", "adam", "2001:db8::7", "", 0)
		for i := range 200 {
			g.waits(fmt.Sprintf("nobody%d", i), password, "2001:db8::1", "")
		}
		g.in("ana on her machine", "ana", "2001:db8::2", device, 0)
		g.in("adam, who got in from here", "adam", "2001:db8::7", "", 0)
		if wait := g.waits("sue", password, "2001:db8::2", ""); wait == 0 {
			t.Error("sue, new at an address of the same /64, need not wait: the guesser need not either")
		}
		g.in("sue, new here", "sue", "2001:db8::2", "", time.Minute)
		g.in("sue elsewhere", "sue", "203.0.113.10", "", 0)
	})
}

// The waits of one address that guesses at one login grow, and so do those of a known device; the
// right password ends them.
func TestWaitsGrow(t *testing.T) {
	bubble(t, auth.Options{}, func(t *testing.T, g guesser) {
		device := g.in("first login", "ana", "192.0.2.1", "", 0).Device
		for _, device := range []string{"", device} {
			var waits []time.Duration
			for range 18 {
				for g.waits("ana", "wrong horse", "198.51.100.1", device) == 0 { // the password was checked
				}
				wait := g.waits("ana", password, "198.51.100.1", device)
				waits = append(waits, wait)
				time.Sleep(wait)
			}
			for i, w := range waits {
				if want := min(5*time.Second<<i, time.Hour); w != want {
					t.Fatalf("device %v: waits %v, want doubled from 5 s to an hour", device != "", waits)
				}
			}
		}
		time.Sleep(time.Hour)
		g.in("the right one after the wait", "ana", "198.51.100.1", "", 0)
		for range 4 {
			if wait := g.waits("ana", "wrong horse", "198.51.100.1", ""); wait > 0 {
				t.Errorf("after a login failures wait %v, want them free again", wait)
			}
		}
	})
}

// However many guess, and however patiently, only few of their passwords are checked: for one login
// from many addresses as well as for many logins from one address.
func TestGuessingStaysSlow(t *testing.T) {
	const (
		guessers = 8
		most     = guessers * 17 // in three hours: 5 at once, then after 5 s, 10 s ... 43 min, and one an hour
	)
	for name, c := range map[string]struct{ login, ip func(int) string }{
		"one login":   {func(int) string { return "ana" }, func(i int) string { return fmt.Sprintf("198.51.100.%d", i) }},
		"one address": {func(i int) string { return fmt.Sprintf("user%d", i) }, func(int) string { return "198.51.100.1" }},
	} {
		t.Run(name, func(t *testing.T) {
			d := bubble(t, auth.Options{IPBurst: 4, LoginBurst: 4}, func(_ *testing.T, g guesser) {
				var wg sync.WaitGroup
				stop := time.Now().Add(3 * time.Hour)
				for i := range guessers {
					wg.Go(func() {
						for time.Now().Before(stop) {
							g.fail(c.login(i), c.ip(i))
						}
					})
				}
				wg.Wait()
			})
			if n := d.audited(audit.LoginFailed); n > most {
				t.Errorf("%d passwords were looked at in 3 hours, want at most %d", n, most)
			}
		})
	}
}

// Attempts sent at once get no more passwords checked than attempts one after the other.
func TestManyAtOnceCountAsMany(t *testing.T) {
	d := bubble(t, auth.Options{}, func(_ *testing.T, g guesser) {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { _, _ = g.try("ana", "wrong horse", "198.51.100.1", "") })
		}
		wg.Wait()
	})
	if n := d.audited(audit.LoginFailed); n != 5 {
		t.Errorf("%d of 50 simultaneous passwords were looked at, want the 5 free ones", n)
	}
}

// What a guesser is told is the same whether the login exists, is disabled or
// has no password [ASVS 6.3.8].
func TestWaitsTellNothingOfLogins(t *testing.T) {
	bubble(t, auth.Options{}, func(t *testing.T, g guesser) {
		told := map[string]string{}
		for i, name := range []string{"ana", "nobody", "gone", "nopass"} {
			for range 9 {
				_, err := g.try(name, "wrong horse", fmt.Sprintf("198.51.100.%d", i), "")
				told[name] += fmt.Sprint(err) + "\n"
			}
		}
		for name, text := range told {
			if text != told["ana"] {
				t.Errorf("%s is told\n%sana is told\n%s", name, text, told["ana"])
			}
		}
	})
}

// A cookie that another gateway signed, that belongs to another user, or that is too old does not
// make a device known.
func TestDeviceCookie(t *testing.T) {
	bubble(t, auth.Options{PairBurst: 1}, func(t *testing.T, g guesser) {
		ana := g.in("ana", "ana", "192.0.2.1", "", 0).Device
		both := g.in("sue in the same browser", "sue", "192.0.2.1", ana, 0).Device
		again := g.in("ana again", "ana", "192.0.2.1", both, 0).Device
		other := newAuth(t, auth.Options{Directory: fakeDirectory(t)})
		defer closeAuth(t, other)
		foreign := guesser{t, other}.in("elsewhere", "ana", "192.0.2.1", "", 0).Device
		g.waits("ana", "wrong horse", "198.51.100.1", "")
		for _, c := range []struct {
			name, device string
			known        bool
		}{
			{"none", "", false},
			{"garbage", strings.Repeat("..x", 100), false},
			{"of another gateway", foreign, false},
			{"changed", strings.Map(func(r rune) rune { return r ^ 1 }, ana[:1]) + ana[1:], false},
			{"cut off", ana[:len(ana)-2], false},
			{"her own", ana, true},
			{"with another user's", both, true},
			{"after that user's", again, true},
		} {
			if wait := g.waits("ana", password, "198.51.100.1", c.device); (wait == 0) != c.known {
				t.Errorf("cookie %s: told to wait %v, want known %v", c.name, wait, c.known)
			}
		}
		if wait := g.waits("ana", password, "198.51.100.1", g.in("sue", "sue", "192.0.2.1", "", 0).Device); wait == 0 {
			t.Error("another user's cookie makes a known device")
		}
		if a, b := strings.Count(again, "."), strings.Count(both, "."); a != 1 || b != 1 {
			t.Errorf("the cookie of two users has %d and %d entries, want 2", b+1, a+1)
		}
	})
}

// A device is known after a restart, but not half a year after its last login.
func TestDeviceCookieLasts(t *testing.T) {
	d := fakeDirectory(t)
	synctest.Test(t, func(t *testing.T) {
		o, device := auth.Options{Directory: d, PairBurst: 1, DeviceKey: make([]byte, 32)}, ""
		for _, c := range []struct {
			after time.Duration
			known bool
		}{{0, false}, {179 * 24 * time.Hour, true}, {181 * 24 * time.Hour, false}} {
			time.Sleep(c.after)
			a := newAuth(t, o)
			g := guesser{t, a}
			g.waits("ana", "wrong horse", "198.51.100.1", "")
			if wait := g.waits("ana", password, "198.51.100.1", device); (wait == 0) != c.known {
				t.Errorf("after %v: told to wait %v, want known %v", c.after, wait, c.known)
			}
			device = g.in("ana", "ana", "192.0.2.1", device, 0).Device
			closeAuth(t, a)
		}
	})
}

// A flood of logins from many addresses fills the queue of strangers; a user on a known device can
// still log in.
func TestFloodLeavesKnownDevicesAPlace(t *testing.T) {
	reg := prometheus.NewRegistry()
	a := newAuth(t, auth.Options{Directory: fakeDirectory(t), Registry: reg})
	defer closeAuth(t, a)
	device := login(t, a, "ana", false).Device
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	defer flood.Wait()
	defer stop()
	full := make(chan struct{}, 1)
	for i := range 100 {
		flood.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				ip := netip.AddrFrom4([4]byte{10, byte(i), byte(n >> 8), byte(n)})
				if _, err := a.Login(ctx, auth.LoginRequest{Login: fmt.Sprintf("user%d-%d", i, n), Password: password, IP: ip}); errors.Is(err, auth.ErrBusy) {
					select {
					case full <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	<-full
	for range 5 {
		if _, err := a.Login(t.Context(), auth.LoginRequest{Login: "ana", Password: password, IP: home, Device: device}); err != nil {
			t.Errorf("ana on her machine during a flood: %v", err)
		}
	}
}

// Hundreds of thousands of logins that do not exist make the guard forget neither a wait that has
// begun nor the failures that caused it [ASVS 6.3.1]: whether they come from one address, from all
// networks of one site, or while the sender's attempts are refused as too many at once.
func TestFloodOfNamesForgetsNothing(t *testing.T) {
	for name, address := range map[string]func(i int) string{
		"one address": func(int) string { return "198.51.100.99" },
		"one site":    func(i int) string { return fmt.Sprintf("2001:db8:2:%x::1", i) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, auth.Options{IPBurst: 1, LoginBurst: 4}, func(t *testing.T, g guesser) {
				for i := range 10 { // adam's login fails from many addresses
					g.fail("adam", fmt.Sprintf("2001:db8:1:%x::1", i))
				}
				guesser := g.waits("adam", "wrong horse", "2001:db8:1:9::1", "")
				wait := g.waits("adam", password, "203.0.113.7", "")
				if wait == 0 || guesser == 0 {
					t.Fatalf("adam, attacked, waits %v in a new place, a guesser %v, want both to wait", wait, guesser)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel() // about half of the attempts end unchecked when the context is cancelled; the others count
				for i := range 100_001 {
					ctx := ctx
					if i >= 20 {
						ctx = t.Context()
					}
					_, _ = g.a.Login(ctx, auth.LoginRequest{Login: fmt.Sprintf("n%d", i), Password: "x", IP: netip.MustParseAddr(address(i / 5000))})
				}
				if again := g.waits("adam", password, "203.0.113.7", ""); again != wait {
					t.Errorf("after the flood adam is told to wait %v, want the same %v", again, wait)
				}
				if again := g.waits("adam", "wrong horse", "2001:db8:1:9::1", ""); again != guesser {
					t.Errorf("after the flood the guesser is told to wait %v, want the same %v", again, guesser)
				}
				if newcomer := g.waits("adam", password, "203.0.113.8", ""); newcomer < wait {
					t.Errorf("after the flood a newcomer for adam is told to wait %v, want at least %v", newcomer, wait)
				}
				time.Sleep(wait)
				if again := g.waits("adam", password, "203.0.113.7", ""); again > 0 {
					t.Errorf("adam has waited and is told to wait %v more", again)
				}
			})
		})
	}
}

// Only a wrong password of a stranger counts against others [ASVS 6.3.1]: not
// one at a known device, not a right one, and not one that was never checked.
func TestOnlyStrangersFailuresMakeOthersWait(t *testing.T) {
	o := auth.Options{PairBurst: 1, IPBurst: 4, LoginBurst: 4}
	t.Run("known device", func(t *testing.T) {
		o := o
		o.PairBurst = 20
		bubble(t, o, func(t *testing.T, g guesser) {
			device := g.in("first login", "ana", "192.0.2.1", "", 0).Device
			for range 12 {
				g.waits("ana", "wrong horse", "192.0.2.1", device)
			}
			g.in("ana in a new place", "ana", "203.0.113.7", "", 0)
		})
	})
	t.Run("right passwords", func(t *testing.T) {
		bubble(t, o, func(t *testing.T, g guesser) {
			for i := range 12 {
				g.in("ana", "ana", "192.0.2.1", "", 0)
				g.in("adam", "adam", fmt.Sprint("192.0.2.", 10+i), "", 0)
			}
			g.in("sue, new where many logged in", "sue", "192.0.2.1", "", 0)
			g.in("adam, who logged in at many places, in a new one", "adam", "203.0.113.7", "", 0)
		})
	})
	t.Run("unchecked", func(t *testing.T) {
		bubble(t, o, func(t *testing.T, g guesser) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // about half of the attempts get a place in the lane before they notice that the context has ended
			for i := range 50 {
				_, err := g.a.Login(ctx, auth.LoginRequest{Login: "ana", Password: password, IP: netip.MustParseAddr("192.0.2.1")})
				if _, limited := errors.AsType[*auth.LimitedError](err); limited {
					t.Fatalf("attempt %d: %v, want no wait for passwords that were not looked at", i, err)
				}
			}
			g.in("sue, new there", "sue", "192.0.2.1", "", 0)
			g.in("ana in a new place", "ana", "203.0.113.7", "", 0)
		})
	})
}

// Waits are counted by cause.
func TestWaitsAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	bubble(t, auth.Options{PairBurst: 2, Registry: reg}, func(_ *testing.T, g guesser) {
		for range 4 {
			g.waits("ana", "wrong horse", "198.51.100.1", "")
		}
	})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "parley_login_waits_total" {
			continue
		}
		m := f.GetMetric()
		if len(m) != 1 || m[0].GetLabel()[0].GetValue() != "pair" || m[0].GetCounter().GetValue() != 2 {
			t.Errorf("parley_login_waits_total: %v, want 2 because of the pair", m)
		}
		return
	}
	t.Error("parley_login_waits_total is not there")
}
