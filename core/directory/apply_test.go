package directory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

const example = "../../docs/records.example.yaml"

func parseExample(t *testing.T) directory.Records {
	t.Helper()
	t.Setenv("EXAMPLE_ANA_PASSWORD", "correct horse")
	t.Setenv("EXAMPLE_SMS_TOKEN", "token")
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	r, err := directory.ParseRecords(text, example)
	if err != nil {
		t.Fatalf("ParseRecords: %v", err)
	}
	return r
}

func lines(changes []directory.Change) (out []string) {
	for _, c := range changes {
		s := c.String()
		if c.Kind == "contact" {
			s = strings.Replace(s, c.ID, "ID", 1)
		}
		out = append(out, s)
	}
	return out
}

func TestApplyExample(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	r := parseExample(t)
	want := []string{
		"created skill german", "created skill billing", "created team Front Office", "created team Supervisors",
		"created user ana", "created user sue", "created service Billing", "created service Text Line",
		"created account Main site", "created account SMS line", "created contact ID",
	}
	dry, err := f.Apply(ctx, r, true)
	if diff := cmp.Diff(want, lines(dry)); err != nil || diff != "" {
		t.Fatalf("Apply, dry: %v (-want +got):\n%s", err, diff)
	}
	if n := len(f.Snapshot().Users()); n != 0 {
		t.Fatalf("a dry run made %d users", n)
	}
	done, err := f.Apply(ctx, r, false)
	if diff := cmp.Diff(want, lines(done)); err != nil || diff != "" {
		t.Fatalf("Apply: %v (-want +got):\n%s", err, diff)
	}
	version := f.Snapshot().Version()
	again, err := f.Apply(ctx, r, false)
	if err != nil || len(again) != 0 || f.Snapshot().Version() != version {
		t.Errorf("Apply again: got %v, %v, version %d; want no change at version %d", again, err, f.Snapshot().Version(), version)
	}

	s := f.Snapshot()
	svc, _ := s.ServiceByName("billing")
	ana, _ := s.UserByLogin("ana")
	if diff := cmp.Diff([]conversation.AgentID{ana.ID}, s.Serving(svc.ID)); diff != "" {
		t.Errorf("Serving(Billing) (-want +got):\n%s", diff)
	}
	wantRules := conversation.Rules{
		OfferTimeout: 20_000, InactivityWarn: 180_000, InactivityEnd: 300_000, RequeueAfter: 120_000, WrapupLimit: 120_000, ParkedEnd: conversation.DefaultParkedEnd,
		BotSilence:        conversation.DefaultBotSilence,
		DispositionNeeded: true, Medium: "chat", Share: 25, Spare: 25, Skills: "billing",
	}
	if diff := cmp.Diff(wantRules, svc.Rules); diff != "" {
		t.Errorf("Rules (-want +got):\n%s", diff)
	}
	if ok, err := directory.CheckPassword("correct horse", s.PasswordHash(ana.ID)); !ok || err != nil {
		t.Errorf("ana's password does not fit: %v", err)
	}
	acc, _ := s.AccountByName("sms line")
	if secrets, err := f.Secrets(ctx, acc.ID); err != nil || secrets["auth_token"] != "token" {
		t.Errorf("Secrets: got %v, %v", secrets, err)
	}

	r.Users[0].Password = directory.NewSecret("another password")
	r.Users[0].Privileges = nil
	r.Accounts[1].Secrets = map[string]directory.Secret{"auth_token": directory.NewSecret("other")}
	r.Contacts[0].Notes = ""
	changed, err := f.Apply(ctx, r, false)
	want = []string{"updated user ana (password, privileges)", "updated account SMS line (secrets.auth_token)", "updated contact ID (notes)"}
	if diff := cmp.Diff(want, lines(changed)); err != nil || diff != "" {
		t.Errorf("Apply with changes: %v (-want +got):\n%s", err, diff)
	}
	if _, err := f.Trail().Verify(ctx); err != nil {
		t.Errorf("VerifyAudit: %v", err)
	}
}

// A service may name a bot, an account that may itself come in the same file; an account without a
// target is one only if it says so.
func TestApplyBot(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	parse := func(text string) directory.Records {
		t.Helper()
		r, err := directory.ParseRecords([]byte(text), "r.yaml")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const both = "services:\n  - {name: Sales, bot: Polly}\naccounts:\n  - {name: Polly, plugin: parrot, inbound: none}\n"
	if _, err := f.Apply(ctx, parse(both), false); err != nil {
		t.Fatal(err)
	}
	svc, _ := f.Snapshot().ServiceByName("Sales")
	acc, _ := f.Snapshot().AccountByName("Polly")
	if svc.Bot != acc.ID || acc.ID.IsZero() {
		t.Errorf("the bot of Sales is %v, want %v", svc.Bot, acc.ID)
	}
	if again, err := f.Apply(ctx, parse(both), false); err != nil || len(again) != 0 {
		t.Errorf("Apply again: %v, %v", again, err)
	}
	if done, err := f.Apply(ctx, parse("services:\n  - {name: Sales}\n"), false); err != nil || len(done) != 1 {
		t.Errorf("Apply without the bot: %v, %v", done, err)
	}
	if svc, _ = f.Snapshot().ServiceByName("Sales"); !svc.Bot.IsZero() {
		t.Errorf("the bot stayed: %v", svc.Bot)
	}
	for text, want := range map[string]string{
		"services:\n  - {name: Sales, bot: Nobody}\n":                                  "there is no account",
		"accounts:\n  - {name: A, plugin: parrot}\n":                                   "needs a service or a user as its target, or inbound: none",
		"accounts:\n  - {name: A, plugin: parrot, service: Sales, inbound: none}\n":    "none is for accounts without a target",
		"accounts:\n  - {name: A, plugin: parrot, service: Sales, inbound: perhaps}\n": "must be new, ignore or none",
	} {
		if _, err := f.Apply(ctx, parse(text), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestParseRecordsErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":        {"users:\n  - login: ana\n    nmae: Ana\n", `r.yaml:3: unknown field "nmae"`},
		"wrong type":         {"users:\n  - login: [1]\n", "r.yaml:2:"},
		"repeated key":       {"teams: []\nteams: []\n", "r.yaml:2:"},
		"syntax":             {"users: [\n", "r.yaml:"},
		"two documents":      {"teams: []\n---\nteams: []\n", "r.yaml: must be one YAML document"},
		"duration":           {"services:\n  - name: S\n    rules:\n      offer_timeout: 20\n", "r.yaml:4: must be a duration"},
		"negative duration":  {"services:\n  - name: S\n    rules: {offer_timeout: -2s}\n", "r.yaml:3: a duration must be positive"},
		"secret of no form":  {"users:\n  - login: ana\n    password: {vault: x}\n", "r.yaml:3: a secret must be"},
		"empty secret":       {"users:\n  - login: ana\n    password: \"\"\n", "r.yaml:3: a secret must be"},
		"missing variable":   {"users:\n  - login: ana\n    password: {env: PARLEY_NO_SUCH}\n", "r.yaml:3: users[0].password: environment variable PARLEY_NO_SUCH"},
		"missing file":       {"accounts:\n  - name: A\n    secrets: {t_file: nowhere}\n", "r.yaml:3: accounts[0].secrets.t_file: cannot read"},
		"in place and file":  {"accounts:\n  - name: A\n    secrets: {t_file: nowhere, t: x}\n", "given both"},
		"users is a mapping": {"users: {login: ana}\n", "r.yaml:1:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := directory.ParseRecords([]byte(c.text), "r.yaml")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParseRecords(%q): got %v, want %q", c.text, err, c.want)
			}
		})
	}
}

func TestApplyTellsAllFaultsWithLines(t *testing.T) {
	f := open(t)
	text := `teams:
  - name: T
users:
  - login: ana
    name: Ana
    role: boss
    teams: [T, Nowhere]
services:
  - name: S
    users: [ghost]
    rules:
      share: 300
accounts:
  - name: A
    plugin: webchat
    service: Nope
contacts:
  - name: Nobody
    addresses: []
`
	r, err := directory.ParseRecords([]byte(text), "dir/r.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Apply(t.Context(), r, false)
	if err == nil {
		t.Fatal("Apply took all of it")
	}
	for _, want := range []string{
		"dir/r.yaml:6: users[0].role: must be",
		`dir/r.yaml:7: users[0].teams[1]: there is no team "Nowhere"`,
		`dir/r.yaml:10: services[0].users[0]: there is no user "ghost"`,
		"dir/r.yaml:12: services[0].rules.share: must be",
		`dir/r.yaml:16: accounts[0].service: there is no service "Nope"`,
		"dir/r.yaml:19: contacts[0].addresses: must name",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant a line %q", err, want)
		}
	}
	if n := len(f.Snapshot().Teams()); n != 0 {
		t.Errorf("a failed Apply left %d teams", n)
	}
}

func TestSecretForms(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PARLEY_TEST_PW", "from the environment")
	text := `services: [{name: S}]
users:
  - {login: a, name: A, password: given here}
  - {login: b, name: B, password: {file: pw}}
  - login: c
    name: C
    password:
      env: PARLEY_TEST_PW
accounts:
  - {name: A, plugin: p, service: S, secrets: {one_file: pw, two: {file: pw}}}
`
	r, err := directory.ParseRecords([]byte(text), filepath.Join(dir, "r.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %#v", r, r, r.Users[0].Password); strings.Contains(s, "given here") || strings.Contains(s, "from") {
		t.Errorf("printing shows a secret: %s", s)
	}
	f := open(t)
	if _, err := f.Apply(t.Context(), r, false); err != nil {
		t.Fatal(err)
	}
	for login, pw := range map[string]string{"a": "given here", "b": "from a file", "c": "from the environment"} {
		u, _ := f.Snapshot().UserByLogin(login)
		if ok, err := directory.CheckPassword(pw, f.Snapshot().PasswordHash(u.ID)); !ok || err != nil {
			t.Errorf("%s: password is not %q (%v)", login, pw, err)
		}
	}
	acc, _ := f.Snapshot().AccountByName("A")
	got, err := f.Secrets(t.Context(), acc.ID)
	if diff := cmp.Diff(map[string]string{"one": "from a file", "two": "from a file"}, got); err != nil || diff != "" {
		t.Errorf("Secrets: %v (-want +got):\n%s", err, diff)
	}
}

func FuzzParseRecords(f *testing.F) {
	text, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("users:\n  - login: ana\n    password: {env: X}\n")
	f.Add("a: &a [*a]\n")
	f.Add("users: !!binary x\nservices: [{rules: {share: 1e9}}]")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "file") {
			t.Skip() // the test must not read files or variables of this machine
		}
		_, err := directory.ParseRecords([]byte(text), "r.yaml")
		if err != nil && !strings.Contains(err.Error(), "r.yaml") {
			t.Errorf("ParseRecords(%q): error %q does not name the file", text, err)
		}
	})
}
