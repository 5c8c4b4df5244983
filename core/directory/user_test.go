package directory_test

import (
	"errors"
	"testing"

	"github.com/parley-gateway/parley/core/directory"
)

// PR23: a new password and a new role in one command take effect together, and open sessions end as
// revoked; a command that fails at either of them changes neither.
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
