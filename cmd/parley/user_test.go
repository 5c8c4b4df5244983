package main

import (
	"bytes"
	"testing"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/control"
	"github.com/parley-gateway/parley/internal/stores"
)

// `parley user add` over an existing login leaves the name and the role that it is not given, so that
// nobody takes an administrator's rights away by giving a new password.
func TestUserAddLeavesWhatIsNotGiven(t *testing.T) {
	cfg := folder(t)
	if err := openAndClose(t, cfg); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	a := &app{ctx: t.Context(), stdout: &out, stderr: &out}
	for _, step := range []struct {
		give control.User
		name string
		role directory.Role
	}{
		{control.User{}, "adam", directory.RoleAgent},
		{control.User{Name: "Adam Weber", Role: directory.RoleAdmin}, "Adam Weber", directory.RoleAdmin},
		{control.User{Password: "correct horse"}, "Adam Weber", directory.RoleAdmin},
		{control.User{Name: "Adam"}, "Adam", directory.RoleAdmin},
		{control.User{Role: directory.RoleSupervisor}, "Adam", directory.RoleSupervisor},
	} {
		step.give.Login, step.give.Add = "adam", true
		if err := (&configFlags{Data: cfg.Data}).change(a, step.give); err != nil {
			t.Fatalf("%+v: %v", step.give, err)
		}
		s, err := stores.Open(t.Context(), cfg, nil, discard())
		if err != nil {
			t.Fatal(err)
		}
		u, _ := s.Directory.Snapshot().UserByLogin("adam")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if u.Name != step.name || u.Role != step.role {
			t.Errorf("after %+v: name %q, role %q; want %q, %q", step.give, u.Name, u.Role, step.name, step.role)
		}
	}
}
