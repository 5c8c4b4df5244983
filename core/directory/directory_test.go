package directory_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/kv"
)

type fixture struct {
	*directory.Directory
	dsn   string
	vault *memVault
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dsn: engines.DSN(t), vault: newVault()}
	f.Directory = f.another(t, -1)
	return f
}

// another opens the same database again, as another process would.
func (f *fixture) another(t *testing.T, poll time.Duration) *directory.Directory {
	t.Helper()
	d, err := directory.Open(t.Context(), directory.Options{DSN: f.dsn, Dialect: engines.Dialect(), Vault: f.vault, Poll: poll})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return d
}

func (f *fixture) user(t *testing.T, u directory.User) directory.User {
	t.Helper()
	u, err := f.PutUser(t.Context(), u)
	if err != nil {
		t.Fatalf("PutUser: %v", err)
	}
	return u
}

func TestSnapshotFollowsChanges(t *testing.T) {
	f := open(t)
	changed, cancel := f.Changes()
	defer cancel()
	before := f.Snapshot()
	ana := f.user(t, directory.User{Login: " Ana ", Name: "Ana", Role: directory.RoleAgent})
	select {
	case <-changed:
	default:
		t.Error("Changes told nothing after PutUser")
	}
	if _, ok := before.User(ana.ID); ok {
		t.Error("an old snapshot knows the new user")
	}
	got, ok := f.Snapshot().UserByLogin("ANA")
	if !ok || got.ID != ana.ID || got.Login != "ana" {
		t.Errorf("UserByLogin(ANA): got %+v, %v; want ana", got, ok)
	}
	ana.Login = "anna"
	f.user(t, ana)
	if _, ok := f.Snapshot().UserByLogin("ana"); ok {
		t.Error("the old login still finds the user")
	}
	if got := f.Snapshot().Users(); len(got) != 1 || got[0].Login != "anna" {
		t.Errorf("Users: got %+v, want anna alone", got)
	}
	again := f.another(t, -1)
	if diff := cmp.Diff(f.Snapshot().Users(), again.Snapshot().Users()); diff != "" {
		t.Errorf("what memory and file hold differs:\n%s", diff)
	}
}

func TestChangesOfAnotherProcessAreSeen(t *testing.T) {
	f := open(t)
	other := f.another(t, 5*time.Millisecond)
	changed, cancel := other.Changes()
	defer cancel()
	ana := f.user(t, directory.User{Login: "ana", Name: "Ana", Role: directory.RoleAgent})
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("the other process's directory did not notice")
	}
	if _, ok := other.Snapshot().User(ana.ID); !ok {
		t.Error("the other process's directory does not know ana")
	}
	// Both directories write in turn, and neither may overwrite what the other did.
	if _, err := other.PutTeam(t.Context(), directory.Team{Name: "One"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutTeam(t.Context(), directory.Team{Name: "Two"}); err != nil {
		t.Fatal(err)
	}
	if got := f.Snapshot().Teams(); len(got) != 2 {
		t.Errorf("Teams: got %+v, want One and Two", got)
	}
}

func TestValidation(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	f.user(t, directory.User{Login: "ana", Name: "Ana", Role: directory.RoleAgent})
	nobody := conversation.NewID[conversation.AgentID]()
	for name, c := range map[string]struct {
		put  func() error
		want []string
	}{
		"user all wrong": {func() error {
			_, err := f.PutUser(ctx, directory.User{
				Login: "-x", Role: "boss", Email: "no", Privileges: []string{"Mask!"},
				Skills: []string{"none"}, Teams: []conversation.TeamID{conversation.NewID[conversation.TeamID]()},
			})
			return err
		}, []string{"login", "name", "role", "email", "privileges[0]", "skills[0]", "teams[0]"}},
		"control character in a name": {func() error {
			_, err := f.PutUser(ctx, directory.User{Login: "x", Name: "a\nb", Role: directory.RoleAgent})
			return err
		}, []string{"name"}},
		"service": {func() error {
			_, err := f.PutService(ctx, directory.Service{
				Name: "S", Users: []conversation.AgentID{nobody},
				Rules:        conversation.Rules{Share: 101, OfferTimeout: -1, InactivityWarn: 5, InactivityEnd: 4, DispositionNeeded: true},
				Dispositions: nil,
			})
			return err
		}, []string{"users[0]", "rules.share", "rules.offer_timeout", "rules.inactivity_end", "rules.disposition_needed"}},
		"account without target": {func() error {
			_, err := f.PutAccount(ctx, directory.Account{Name: "A", Plugin: "webchat", Settings: []byte(`[1]`), Inbound: "never"}, nil)
			return err
		}, []string{"service", "settings", "inbound"}},
		"contact": {func() error {
			_, err := f.PutContact(ctx, directory.Contact{Addresses: []string{"030 1234"}})
			return err
		}, []string{"name", "addresses[0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.put()
			var inv *directory.InvalidError
			if !errors.As(err, &inv) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			have := map[string]bool{}
			for _, fault := range inv.Faults {
				have[fault.Path] = true
			}
			for _, p := range c.want {
				if !have[p] {
					t.Errorf("no fault at %s in %v", p, inv)
				}
			}
			if len(have) != len(c.want) {
				t.Errorf("got faults %v, want at %v", inv.Faults, c.want)
			}
		})
	}
	_, err := f.PutUser(ctx, directory.User{Login: "ANA", Name: "Other", Role: directory.RoleAgent})
	var taken *directory.TakenError
	if !errors.As(err, &taken) {
		t.Errorf("a second ana: got %v, want TakenError", err)
	}
	if _, err := f.PutUser(ctx, directory.User{ID: nobody, Login: "x", Name: "X", Role: directory.RoleAgent}); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("an unknown id: got %v, want ErrNotFound", err)
	}
}

func TestWhoServes(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	if _, err := f.PutSkill(ctx, directory.Skill{Name: "german"}); err != nil {
		t.Fatal(err)
	}
	team, err := f.PutTeam(ctx, directory.Team{Name: "Team"})
	if err != nil {
		t.Fatal(err)
	}
	teams := []conversation.TeamID{team.ID}
	able := f.user(t, directory.User{Login: "able", Name: "A", Role: directory.RoleAgent, Teams: teams, Skills: []string{"german"}})
	f.user(t, directory.User{Login: "unskilled", Name: "B", Role: directory.RoleAgent, Teams: teams})
	f.user(t, directory.User{Login: "gone", Name: "C", Role: directory.RoleAgent, Teams: teams, Skills: []string{"german"}, Disabled: true})
	named := f.user(t, directory.User{Login: "named", Name: "D", Role: directory.RoleAgent, Skills: []string{"german"}})
	svc, err := f.PutService(ctx, directory.Service{Name: "S", Skills: []string{"german"}, Teams: teams, Users: []conversation.AgentID{named.ID}})
	if err != nil {
		t.Fatal(err)
	}
	if svc.Rules.Skills != "german" {
		t.Errorf("Rules.Skills: got %q, want german", svc.Rules.Skills)
	}
	if diff := cmp.Diff([]conversation.AgentID{able.ID, named.ID}, f.Snapshot().Serving(svc.ID)); diff != "" {
		t.Errorf("Serving (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]conversation.ServiceID{svc.ID}, f.Snapshot().ServicesOf(able.ID)); diff != "" {
		t.Errorf("ServicesOf(able) (-want +got):\n%s", diff)
	}
}

func TestSecretsAndContactsAreSealed(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	const canary = "canary-5f1e77"
	svc, err := f.PutService(ctx, directory.Service{Name: "S"})
	if err != nil {
		t.Fatal(err)
	}
	acc, err := f.PutAccount(ctx, directory.Account{Name: "A", Plugin: "sms", Service: svc.ID}, map[string]string{"token": canary + "-old"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutAccount(ctx, acc, map[string]string{"token": canary}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutAccount(ctx, acc, nil); err != nil {
		t.Fatal(err)
	}
	got, err := f.Secrets(ctx, acc.ID)
	if diff := cmp.Diff(map[string]string{"token": canary}, got); err != nil || diff != "" {
		t.Errorf("Secrets: %v (-want +got):\n%s", err, diff)
	}
	if n := len(f.vault.keys); n != 1 {
		t.Errorf("%d keys are left, want 1: the replaced secret's key should be destroyed", n)
	}
	c, err := f.PutContact(ctx, directory.Contact{Name: canary, Addresses: []string{"+49 (30) 901-820", canary + "@Example.com"}, Notes: canary})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := kv.New(f.Database(), f.vault).Put(ctx, "echo", "k", []byte(canary), 0, false); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"+4930901820", strings.ToUpper(canary) + "@example.COM"} {
		found, err := f.FindContacts(ctx, address)
		if err != nil || len(found) != 1 || found[0].ID != c.ID {
			t.Errorf("FindContacts(%s): got %v, %v", address, found, err)
		}
	}
	if found, err := f.SearchContacts(ctx, "CANARY", 10); err != nil || len(found) != 1 {
		t.Errorf("SearchContacts: got %v, %v", found, err)
	}
	f.eachFile(t, func(name, content string) {
		for _, s := range []string{canary, "901820", "901-820"} {
			if strings.Contains(strings.ToLower(content), s) {
				t.Errorf("%s holds %q in clear", name, s)
			}
		}
	})
	if err := f.DeleteContact(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Contact(ctx, c.ID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a deleted contact: got %v, want ErrNotFound", err)
	}
	if found, err := f.FindContacts(ctx, "+4930901820"); err != nil || len(found) != 0 {
		t.Errorf("FindContacts after delete: got %v, %v", found, err)
	}
	if err := f.DeleteContact(ctx, c.ID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("deleting twice: got %v, want ErrNotFound", err)
	}
}
