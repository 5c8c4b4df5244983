package directory_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

func TestAuditNamesWhoDidWhat(t *testing.T) {
	f := open(t)
	by := directory.Actor{User: conversation.NewID[conversation.AgentID](), Via: "api", IP: "192.0.2.1"}
	ctx := directory.WithActor(t.Context(), by)
	ana, err := f.PutUser(ctx, directory.User{Login: "ana", Name: "Canary", Role: directory.RoleAgent})
	if err != nil {
		t.Fatal(err)
	}
	ana.Role = directory.RoleAdmin
	for range 2 { // the second one changes nothing and is not told
		if ana, err = f.PutUser(ctx, ana); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.SetPassword(ctx, ana.ID, "correct horse", directory.SessionID{}); err != nil {
		t.Fatal(err)
	}
	if err := f.Audit(t.Context(), directory.AuditEntry{Action: directory.AuditTranscript, Object: "conversation", ObjectID: "c1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutUser(ctx, directory.User{Login: "ANA", Name: "x", Role: directory.RoleAgent}); err == nil {
		t.Fatal("a second ana was taken")
	}
	got, err := f.AuditTrail(t.Context(), 0, 10)
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
	want := []directory.AuditEntry{
		{Seq: 1, Actor: by, Action: "user.created", Object: "user", ObjectID: id},
		{Seq: 2, Actor: by, Action: "user.updated", Object: "user", ObjectID: id, Fields: []string{"role"}},
		{Seq: 3, Actor: by, Action: "user.updated", Object: "user", ObjectID: id, Fields: []string{"password"}},
		{Seq: 4, Action: directory.AuditTranscript, Object: "conversation", ObjectID: "c1"},
	}
	if diff := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "At" }, cmp.Ignore())); diff != "" {
		t.Errorf("AuditTrail (-want +got):\n%s", diff)
	}
	if page, err := f.AuditTrail(t.Context(), 2, 1); err != nil || len(page) != 1 || page[0].Seq != 3 {
		t.Errorf("AuditTrail after 2, one entry: got %+v, %v", page, err)
	}
}

func TestAuditCannotBeRewritten(t *testing.T) {
	for name, c := range map[string]struct {
		tamper string
		seq    int64
	}{
		"changed":             {`UPDATE audit SET entry = replace(entry, 'two', 'too') WHERE seq = 2`, 2},
		"time changed":        {`UPDATE audit SET at = at - 1 WHERE seq = 3`, 3},
		"left out":            {`DELETE FROM audit WHERE seq = 2`, 2},
		"first left out":      {`DELETE FROM audit WHERE seq = 1`, 1},
		"left out and closed": {`DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = seq - 1 WHERE seq > 2`, 2},
		"swapped": {`UPDATE audit SET entry = CASE seq WHEN 2 THEN (SELECT entry FROM audit WHERE seq = 3)
			WHEN 3 THEN (SELECT entry FROM audit WHERE seq = 2) ELSE entry END`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			for _, a := range []string{"one", "two", "three", "four"} {
				if err := f.Audit(t.Context(), directory.AuditEntry{Action: a}); err != nil {
					t.Fatal(err)
				}
			}
			head, err := f.VerifyAudit(t.Context())
			if err != nil || head.Seq != 4 || head.Hash == [32]byte{} {
				t.Fatalf("VerifyAudit of a good trail: %+v, %v", head, err)
			}
			db := f.raw(t)
			if _, err := db.ExecContext(t.Context(), c.tamper); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("the database let it happen: %v", err)
			}
			dropGuards(t.Context(), t, db)
			if _, err := db.ExecContext(t.Context(), c.tamper); err != nil {
				t.Fatal(err)
			}
			var bad *directory.AuditError
			if _, err := f.VerifyAudit(t.Context()); !errors.As(err, &bad) || bad.Seq != c.seq {
				t.Errorf("VerifyAudit: got %v, want that entry %d does not fit", err, c.seq)
			}
		})
	}
}
