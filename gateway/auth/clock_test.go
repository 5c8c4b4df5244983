package auth_test

import (
	"bytes"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/gateway/auth"
)

// FT19: sessions and grants expire by the installation's time, which does not follow the system
// clock; the expiry that their holder is told is in system time, because that is what the holder
// compares it with.
func TestSessionsAndGrantsGoByTheInstallationsTime(t *testing.T) {
	for _, behind := range []time.Duration{25 * time.Hour, -25 * time.Hour} {
		d := fakeDirectory(t)
		synctest.Test(t, func(t *testing.T) {
			var ahead atomic.Int64 // how far ahead of the bubble's time
			now := func() time.Time { return time.Now().Round(0).Add(time.Duration(ahead.Load()) - behind) }
			a := newAuth(t, auth.Options{Directory: d, IdleTimeout: time.Hour, AbsoluteTimeout: 10 * time.Hour, Now: now})
			defer closeAuth(t, a)
			res := login(t, a, "ana", false)
			if left := time.Until(res.Expires); left != 10*time.Hour {
				t.Errorf("a cookie made %v behind the system's clock is good for %v by it, want 10 h", behind, left)
			}
			ended := false
			a.Watch(res.Identity, func() { ended = true })
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if _, err := a.Authenticate(request("GET", res.Token, false)); err != nil || ended {
				t.Errorf("session after 5 s: %v, ended %t", err, ended)
			}
			ahead.Store(int64(10 * time.Hour))
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if _, err := a.Authenticate(request("GET", res.Token, false)); err == nil || !ended {
				t.Errorf("session after 10 h: %v, ended %t, want both over", err, ended)
			}

			g, err := auth.NewGrants(bytes.Repeat([]byte{1}, 32), now)
			if err != nil {
				t.Fatal(err)
			}
			mint := func() string {
				token, expires, err := g.Mint(auth.Grant{Subject: "s", Role: auth.RoleVisitor, Plugin: "webchat", Purpose: "upload"})
				if left := time.Until(expires); err != nil || left != auth.GrantLifetime {
					t.Errorf("Mint: %v, good for %v by the system's clock, want %v", err, left, auth.GrantLifetime)
				}
				return token
			}
			token := mint()
			time.Sleep(auth.GrantLifetime - time.Second)
			if _, err := g.Redeem(token, ""); err != nil {
				t.Errorf("Redeem in time: %v", err)
			}
			token = mint()
			ahead.Add(int64(auth.GrantLifetime))
			if _, err := g.Redeem(token, ""); err == nil {
				t.Error("Redeem after its time by the installation's clock: no error")
			}
		})
	}
}
