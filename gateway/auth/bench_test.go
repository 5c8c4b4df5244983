package auth_test

import (
	"testing"

	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/gateway/auth"
)

// BenchmarkAuthenticate measures what each request with a session costs.
func BenchmarkAuthenticate(b *testing.B) {
	d := &fake{snap: users(), rows: map[[32]byte]sessions.Session{}}
	a, err := auth.New(b.Context(), auth.Options{Directory: d, Sessions: d, Trail: d, SameOrigin: sameOrigin})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	res, err := a.Login(b.Context(), auth.LoginRequest{Login: "ana", Password: password, IP: home})
	if err != nil {
		b.Fatal(err)
	}
	r := request("GET", res.Token, false)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(r); err != nil {
			b.Fatal(err)
		}
	}
}
