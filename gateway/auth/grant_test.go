package auth_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/gateway/auth"
)

func grants(t *testing.T) *auth.Grants {
	t.Helper()
	g, err := auth.NewGrants(bytes.Repeat([]byte{1}, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGrants(t *testing.T) {
	account := conversation.NewID[conversation.AccountID]()
	mint := func(t *testing.T, g *auth.Grants) string {
		t.Helper()
		token, _, err := g.MintVisitor(t.Context(), "webchat", "gen-1", account, "thread-canary", "upload")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, c := range map[string]struct {
		redeem func(t *testing.T, g *auth.Grants, token string) error
		want   error
	}{
		"once": {func(_ *testing.T, g *auth.Grants, token string) error {
			got, err := g.Redeem(token, "upload")
			if err == nil && (got.Thread != "thread-canary" || got.Account != account || got.Role != auth.RoleVisitor || got.ID == "") {
				return errors.New("another grant came out")
			}
			return err
		}, nil},
		"twice": {func(_ *testing.T, g *auth.Grants, token string) error {
			_, _ = g.Redeem(token, "upload")
			_, err := g.Redeem(token, "upload")
			return err
		}, auth.ErrGrant},
		"for another purpose": {func(_ *testing.T, g *auth.Grants, token string) error {
			_, err := g.Redeem(token, "call")
			return err
		}, auth.ErrGrant},
		"just in time": {func(_ *testing.T, g *auth.Grants, token string) error {
			time.Sleep(auth.GrantLifetime - time.Millisecond)
			_, err := g.Redeem(token, "upload")
			return err
		}, nil},
		"too late": {func(_ *testing.T, g *auth.Grants, token string) error {
			time.Sleep(auth.GrantLifetime)
			_, err := g.Redeem(token, "upload")
			return err
		}, auth.ErrGrant},
		"after a restart": {func(t *testing.T, _ *auth.Grants, token string) error {
			t.Helper()
			time.Sleep(time.Millisecond)
			_, err := grants(t).Redeem(token, "upload")
			return err
		}, auth.ErrGrant},
		"changed": {func(_ *testing.T, g *auth.Grants, token string) error {
			b := []byte(token)
			b[len(b)/2] ^= 1
			_, err := g.Redeem(string(b), "upload")
			return err
		}, auth.ErrGrant},
		"empty": {func(_ *testing.T, g *auth.Grants, _ string) error {
			_, err := g.Redeem("", "upload")
			return err
		}, auth.ErrGrant},
		"huge": {func(_ *testing.T, g *auth.Grants, _ string) error {
			_, err := g.Redeem(strings.Repeat("A", 1<<20), "upload")
			return err
		}, auth.ErrGrant},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := grants(t)
				token := mint(t, g)
				if raw, err := base64.RawURLEncoding.DecodeString(token); err != nil || bytes.Contains(raw, []byte("canary")) {
					t.Errorf("the grant can be read by its holder (%v)", err)
				}
				if err := c.redeem(t, g, token); !errors.Is(err, c.want) {
					t.Errorf("Redeem: got %v, want %v", err, c.want)
				}
			})
		})
	}
}

func TestProxyIdentity(t *testing.T) {
	a := newAuth(t, auth.Options{Directory: fakeDirectory(t)})
	defer closeAuth(t, a)
	p := auth.Proxy{Auth: a, Grants: grants(t)}
	res := login(t, a, "ana", false)

	id, watch, err := p.Agent(request("GET", res.Token, false))
	if err != nil || id.Subject != res.Identity.User.String() || id.Role != "agent" || id.Name != "Ana" {
		t.Errorf("Agent: got %+v, %v", id, err)
	}
	var told int
	defer watch(func() { told++ })()
	mint := func() string {
		token, _, err := p.Grants.Mint(auth.Grant{
			Subject: res.Identity.User.String(), Role: "agent", Session: res.Identity.Session.String(), Plugin: "voice", Purpose: "call",
		})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	redeem := func(token, plugin string) error {
		r := httptest.NewRequest("GET", "/p/voice/call", nil)
		r.Header.Set(auth.GrantHeader, token)
		got, watch, err := p.Redeem(r, plugin)
		if err == nil && (got.Purpose != "call" || got.Subject != res.Identity.User.String()) {
			t.Errorf("Redeem: got %+v", got)
		}
		if err == nil {
			t.Cleanup(watch(func() { told++ }))
		}
		return err
	}
	if err := redeem(mint(), "voice"); err != nil {
		t.Errorf("Redeem: %v", err)
	}
	if err := redeem(mint(), "webchat"); !errors.Is(err, auth.ErrGrant) {
		t.Errorf("at another plugin: got %v, want ErrGrant", err)
	}
	late := mint()
	if err := a.Logout(t.Context(), res.Identity); err != nil {
		t.Fatal(err)
	}
	if told != 2 { // the socket of the session, and what its grant had opened (PR23)
		t.Errorf("%d watchers heard of the logout, want 2", told)
	}
	if err := redeem(late, "voice"); !errors.Is(err, auth.ErrGrant) {
		t.Errorf("after the logout: got %v, want ErrGrant", err)
	}
}
