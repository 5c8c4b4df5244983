package sessions_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/internal/enginetest"
)

// engines runs every test on SQLite, then on PostgreSQL.
var engines enginetest.Engines

func TestMain(m *testing.M) { os.Exit(engines.Run(m)) }

// vault seals nothing; the audit trail of the directory asks for hashes.
type vault struct{ directory.Vault }

func (vault) MAC(string, ...[]byte) [32]byte { return [32]byte{} }

func TestSessions(t *testing.T) {
	ctx := t.Context()
	d, err := directory.Open(ctx, directory.Options{DSN: engines.DSN(t), Dialect: engines.Dialect(), Vault: vault{}, Poll: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	f := sessions.New(d.Database(), time.Now)
	put := func(u directory.User) directory.User {
		t.Helper()
		u, err := d.PutUser(ctx, u)
		if err != nil {
			t.Fatalf("PutUser: %v", err)
		}
		return u
	}
	ana := put(directory.User{Login: "ana", Name: "Ana", Role: directory.RoleAgent})
	now := time.Now().UTC().Truncate(time.Millisecond)
	session := func(n byte) sessions.Session {
		s := sessions.Session{
			ID: sessions.ID{n}, TokenHash: [32]byte{n}, User: ana.ID, Bearer: n%2 == 0,
			CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(time.Hour),
		}
		if err := f.Add(ctx, s, ""); err != nil {
			t.Fatal(err)
		}
		return s
	}
	one, two, three := session(1), session(2), session(3)
	got, err := f.ByToken(ctx, two.TokenHash)
	if diff := cmp.Diff(two, got); err != nil || diff != "" {
		t.Errorf("ByToken: %v (-want +got):\n%s", err, diff)
	}
	if _, err := f.ByToken(ctx, [32]byte{9}); !errors.Is(err, sessions.ErrNotFound) {
		t.Errorf("an unknown token: got %v, want ErrNotFound", err)
	}
	later := now.Add(time.Minute)
	if err := f.Touch(ctx, map[sessions.ID]time.Time{one.ID: later, two.ID: now.Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[*sessions.Session]time.Time{&one: later, &two: now} {
		if got, err := f.ByToken(ctx, s.TokenHash); err != nil || !got.SeenAt.Equal(want) {
			t.Errorf("seen at %v, %v; want %v: it only moves forward", got.SeenAt, err, want)
		}
	}
	revoked := func() map[sessions.ID]bool {
		ids, err := f.RevokedSince(ctx, now.Add(-time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		out := map[sessions.ID]bool{}
		for _, id := range ids {
			out[id] = true
		}
		return out
	}
	if got := revoked(); len(got) != 0 {
		t.Errorf("revoked before anything was: %v", got)
	}
	for range 2 {
		if err := f.Revoke(ctx, one.ID); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[sessions.ID]bool{one.ID: true}, revoked()); diff != "" {
		t.Errorf("RevokedSince (-want +got):\n%s", diff)
	}
	if err := d.SetPassword(ctx, ana.ID, "correct horse", three.ID); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[sessions.ID]bool{one.ID: true, two.ID: true}, revoked()); diff != "" {
		t.Errorf("after a new password (-want +got):\n%s", diff)
	}
	// PR23: no session that was checked against the old password may be added after the new
	// password.
	late := sessions.Session{ID: sessions.ID{9}, TokenHash: [32]byte{9}, User: ana.ID, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(time.Hour)}
	if err := f.Add(ctx, late, ""); !errors.Is(err, sessions.ErrNotFound) {
		t.Errorf("a session by the old password: got %v, want ErrNotFound", err)
	}
	if err := d.SetPassword(ctx, ana.ID, "battery staple", two.ID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a new password by a session that was revoked: got %v, want ErrNotFound", err)
	}
	if err := f.Add(ctx, late, d.Snapshot().PasswordHash(ana.ID)); err != nil {
		t.Errorf("a session by the present password: %v", err)
	}
	ana.Disabled = true
	put(ana)
	if got := revoked(); len(got) != 4 {
		t.Errorf("after disabling: %d revoked, want all 4", len(got))
	}
	// A login that met the disabling opens nothing when the user is enabled again (PR23).
	late.ID, late.TokenHash = sessions.ID{10}, [32]byte{10}
	if err := f.Add(ctx, late, d.Snapshot().PasswordHash(ana.ID)); err != nil {
		t.Errorf("a session beside the disabling: %v", err)
	}
	ana.Disabled = false
	put(ana)
	if got := revoked(); !got[late.ID] {
		t.Error("enabling the user gave a session back that was opened while disabled")
	}
	if err := f.Prune(ctx, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ByToken(ctx, one.TokenHash); !errors.Is(err, sessions.ErrNotFound) {
		t.Errorf("after pruning: got %v, want ErrNotFound", err)
	}
}
