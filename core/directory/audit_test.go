package directory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/sessions"
)

func TestAuditNamesWhoDidWhat(t *testing.T) {
	f := open(t)
	by := audit.Actor{User: conversation.NewID[conversation.AgentID](), Via: "api", IP: "192.0.2.1"}
	ctx := audit.WithActor(t.Context(), by)
	ana, err := f.PutUser(ctx, directory.User{Login: "ana", Name: "Canary", Role: directory.RoleAgent})
	if err != nil {
		t.Fatal(err)
	}
	ana.Role = directory.RoleAdmin
	for range 2 { // the second call changes nothing and must add no entry
		if ana, err = f.PutUser(ctx, ana); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.SetPassword(ctx, ana.ID, "correct horse", sessions.ID{}); err != nil {
		t.Fatal(err)
	}
	if err := f.Trail().Append(t.Context(), audit.Entry{Action: audit.TranscriptRead, Object: "conversation", ObjectID: "c1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutUser(ctx, directory.User{Login: "ANA", Name: "x", Role: directory.RoleAgent}); err == nil {
		t.Fatal("a second ana was taken")
	}
	got, err := f.Trail().List(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].At = got[i].At.Truncate(0)
		if got[i].At.IsZero() {
			t.Errorf("entry %d has no time", got[i].Seq)
		}
	}
	id := ana.ID.String()
	want := []audit.Entry{
		{Seq: 1, Actor: by, Action: "user.created", Object: "user", ObjectID: id},
		{Seq: 2, Actor: by, Action: "user.updated", Object: "user", ObjectID: id, Fields: []string{"role"}},
		{Seq: 3, Actor: by, Action: "user.updated", Object: "user", ObjectID: id, Fields: []string{"password"}},
		{Seq: 4, Action: audit.TranscriptRead, Object: "conversation", ObjectID: "c1"},
	}
	if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "At" }, cmp.Ignore())); diff != "" {
		t.Errorf("AuditTrail (-want +got):\n%s", diff)
	}
	if page, err := f.Trail().List(t.Context(), 2, 1); err != nil || len(page) != 1 || page[0].Seq != 3 {
		t.Errorf("AuditTrail after 2, one entry: got %+v, %v", page, err)
	}
}
