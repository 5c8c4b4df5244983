package identity_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/plugins/contract/identity"
)

func TestVerify(t *testing.T) {
	key, now := []byte("key"), time.Unix(1_700_000_000, 0)
	id := identity.Identity{Subject: "ana", Role: "agent", Conversation: "c", GrantID: "j", RemoteIP: "192.0.2.1"}
	good, err := identity.Sign(key, id, "GET", "/panel", now)
	if err != nil {
		t.Fatal(err)
	}
	payload, mac, _ := strings.Cut(good, ".")
	for name, tc := range map[string]struct {
		key          []byte
		header       string
		method, path string
		at           time.Time
		want         error
	}{
		"good":               {key, good, "GET", "/panel", now, nil},
		"good at its end":    {key, good, "GET", "/panel", now.Add(identity.Lifetime), nil},
		"too old":            {key, good, "GET", "/panel", now.Add(identity.Lifetime + time.Second), identity.ErrExpired},
		"from the future":    {key, good, "GET", "/panel", now.Add(-identity.Skew - time.Second), identity.ErrExpired},
		"clocks apart":       {key, good, "GET", "/panel", now.Add(-identity.Skew), nil},
		"another method":     {key, good, "POST", "/panel", now, identity.ErrBinding},
		"another path":       {key, good, "GET", "/panel/", now, identity.ErrBinding},
		"another key":        {[]byte("other"), good, "GET", "/panel", now, identity.ErrSignature},
		"no key":             {nil, good, "GET", "/panel", now, identity.ErrSignature},
		"changed payload":    {key, "e30." + mac, "GET", "/panel", now, identity.ErrSignature},
		"cut mac":            {key, payload + "." + mac[:8], "GET", "/panel", now, identity.ErrSignature},
		"no mac":             {key, payload, "GET", "/panel", now, identity.ErrMalformed},
		"empty":              {key, "", "GET", "/panel", now, identity.ErrMalformed},
		"only a dot":         {key, ".", "GET", "/panel", now, identity.ErrMalformed},
		"mac is not base64":  {key, payload + ".!", "GET", "/panel", now, identity.ErrMalformed},
		"mac has extra bits": {key, good[:len(good)-1] + "!", "GET", "/panel", now, identity.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := identity.Verify(tc.key, tc.header, tc.method, tc.path, tc.at)
			if !errors.Is(err, tc.want) || (tc.want == nil) != (err == nil) {
				t.Fatalf("verify: got %v, want %v", err, tc.want)
			}
			if tc.want == nil && got != id {
				t.Errorf("verify: got %+v, want %+v", got, id)
			}
		})
	}
	if _, err := identity.Sign(nil, id, "GET", "/", now); err == nil {
		t.Error("signed without a key")
	}
}

func FuzzVerify(f *testing.F) {
	good, _ := identity.Sign([]byte("key"), identity.Identity{Subject: "ana"}, "GET", "/", time.Unix(0, 0))
	f.Add(good)
	f.Add("a.b")
	f.Add("..")
	f.Fuzz(func(t *testing.T, header string) {
		if _, err := identity.Verify([]byte("another key"), header, "GET", "/", time.Unix(0, 0)); err == nil {
			t.Errorf("header %q passed", header)
		}
	})
}
