package directory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/directory"
)

func TestSessions(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	ana := f.user(t, directory.User{Login: "ana", Name: "Ana", Role: directory.RoleAgent})
	now := time.Now().UTC().Truncate(time.Millisecond)
	session := func(n byte) directory.Session {
		s := directory.Session{
			ID: directory.SessionID{n}, TokenHash: [32]byte{n}, User: ana.ID, Bearer: n%2 == 0,
			CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(time.Hour),
		}
		if err := f.AddSession(ctx, s, ""); err != nil {
			t.Fatal(err)
		}
		return s
	}
	one, two, three := session(1), session(2), session(3)
	got, err := f.SessionByToken(ctx, two.TokenHash)
	if diff := cmp.Diff(two, got); err != nil || diff != "" {
		t.Errorf("SessionByToken: %v (-want +got):\n%s", err, diff)
	}
	if _, err := f.SessionByToken(ctx, [32]byte{9}); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("an unknown token: got %v, want ErrNotFound", err)
	}
	later := now.Add(time.Minute)
	if err := f.TouchSessions(ctx, map[directory.SessionID]time.Time{one.ID: later, two.ID: now.Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[*directory.Session]time.Time{&one: later, &two: now} {
		if got, err := f.SessionByToken(ctx, s.TokenHash); err != nil || !got.SeenAt.Equal(want) {
			t.Errorf("seen at %v, %v; want %v: it only moves forward", got.SeenAt, err, want)
		}
	}
	revoked := func() map[directory.SessionID]bool {
		ids, err := f.RevokedSince(ctx, now.Add(-time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		out := map[directory.SessionID]bool{}
		for _, id := range ids {
			out[id] = true
		}
		return out
	}
	if got := revoked(); len(got) != 0 {
		t.Errorf("revoked before anything was: %v", got)
	}
	for range 2 {
		if err := f.RevokeSession(ctx, one.ID); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[directory.SessionID]bool{one.ID: true}, revoked()); diff != "" {
		t.Errorf("RevokedSince (-want +got):\n%s", diff)
	}
	if err := f.SetPassword(ctx, ana.ID, "correct horse", three.ID); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[directory.SessionID]bool{one.ID: true, two.ID: true}, revoked()); diff != "" {
		t.Errorf("after a new password (-want +got):\n%s", diff)
	}
	// PR23: nothing that was allowed by the old password comes after the new one.
	late := directory.Session{ID: directory.SessionID{9}, TokenHash: [32]byte{9}, User: ana.ID, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(time.Hour)}
	if err := f.AddSession(ctx, late, ""); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a session by the old password: got %v, want ErrNotFound", err)
	}
	if err := f.SetPassword(ctx, ana.ID, "battery staple", two.ID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a new password by a session that was revoked: got %v, want ErrNotFound", err)
	}
	if err := f.AddSession(ctx, late, f.Snapshot().PasswordHash(ana.ID)); err != nil {
		t.Errorf("a session by the present password: %v", err)
	}
	ana.Disabled = true
	f.user(t, ana)
	if got := revoked(); len(got) != 4 {
		t.Errorf("after disabling: %d revoked, want all 4", len(got))
	}
	if err := f.PruneSessions(ctx, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.SessionByToken(ctx, one.TokenHash); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("after pruning: got %v, want ErrNotFound", err)
	}
}

// PR23: a new password and a new role of one command come together, so that what
// is open ends as revoked; a command that fails at one of them changes neither.
func TestChangeUserAtOnce(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	add := func(name string, role directory.Role) func(directory.User, bool) (directory.User, error) {
		return func(u directory.User, _ bool) (directory.User, error) {
			u.Name, u.Role = name, role
			return u, nil
		}
	}
	if _, err := f.ChangeUser(ctx, "ana", "short", add("Ana", directory.RoleAgent)); !errors.Is(err, directory.ErrPassword) {
		t.Errorf("a short password: got %v, want ErrPassword", err)
	}
	if u, ok := f.Snapshot().UserByLogin("ana"); ok {
		t.Errorf("a refused password left the user %+v", u)
	}
	changes, err := f.ChangeUser(ctx, "ana", "correct horse", add("Ana", directory.RoleAgent))
	if err != nil || len(changes) != 1 || changes[0].String() != "created user ana" {
		t.Fatalf("add: %v, %v", changes, err)
	}
	before := f.Snapshot()
	ana, _ := before.UserByLogin("ana")
	if _, err := f.ChangeUser(ctx, "ana", "battery staple", add("", directory.RoleAgent)); err == nil {
		t.Error("a user without a name was taken")
	}
	if now := f.Snapshot(); now != before {
		t.Error("a refused user changed the records")
	}
	version := before.Version()
	changes, err = f.ChangeUser(ctx, "ana", "battery staple", add("Ana", directory.RoleSupervisor))
	if err != nil || len(changes) != 1 || changes[0].String() != "updated user ana (password, role)" {
		t.Errorf("role and password: %v, %v", changes, err)
	}
	if now := f.Snapshot(); now.Version() != version+1 || now.PasswordHash(ana.ID) == before.PasswordHash(ana.ID) {
		t.Errorf("role and password took %d changes of the records, want 1 with both", now.Version()-version)
	}
}
