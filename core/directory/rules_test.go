package directory_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

// Every duration of a service's rules can be left at its default, switched off, or set in a records
// file, and the stored rules keep the difference.
func TestEveryDurationHasThreeMeanings(t *testing.T) {
	f := open(t)
	rules := func(yaml string) reflect.Value {
		t.Helper()
		r, err := directory.ParseRecordsText([]byte("services:\n  - name: S\n    rules: {"+yaml+"}\n"), "records.yaml")
		if err != nil {
			t.Fatalf("%s: %v", yaml, err)
		}
		if _, err := f.Apply(t.Context(), r, false); err != nil {
			t.Fatalf("%s: %v", yaml, err)
		}
		for _, s := range f.Snapshot().Services() {
			return reflect.ValueOf(s.Rules)
		}
		t.Fatal("no service")
		return reflect.Value{}
	}
	defaults := reflect.ValueOf(directory.DefaultRules())
	walked := 0
	for i := range defaults.NumField() {
		field := defaults.Type().Field(i)
		if field.Type != reflect.TypeFor[conversation.Millis]() {
			continue
		}
		walked++
		name := strings.Split(field.Tag.Get("json"), ",")[0]
		for value, want := range map[string]int64{"": defaults.Field(i).Int(), "0s": 0, "1m": 60_000} {
			if value == "0s" && (name == "inactivity_warn" || name == "parked_end" || name == "bot_silence") {
				want = -1 // earlier versions stored 0 for the default, half of the end
			}
			yaml := fmt.Sprintf("%s: %s", name, value)
			if value == "" {
				yaml = ""
			}
			if name == "inactivity_end" && value == "1m" {
				yaml += ", inactivity_warn: 0s"
			}
			if got := rules(yaml).Field(i).Int(); got != want {
				t.Errorf("%s: %q is stored as %d, want %d", name, value, got, want)
			}
		}
	}
	if walked < 9 {
		t.Errorf("walked %d durations, want all", walked)
	}
	if got := rules("wrapup_limit: unlimited").FieldByName("WrapupLimit").Int(); got != -1 {
		t.Errorf("wrapup_limit: unlimited is stored as %d, want -1", got)
	}
	if _, err := directory.ParseRecordsText([]byte("services:\n  - name: S\n    rules: {park_after: unlimited}\n"), "records.yaml"); err == nil {
		t.Error("park_after: unlimited is taken")
	}
}

// Rules that earlier versions stored keep their meaning and now show it: a zero inactivity_warn was
// half of the end, and rules without parked_end or bot_silence get the default.
func TestStoredRulesOfEarlierVersions(t *testing.T) {
	for _, c := range []struct {
		stored string
		want   conversation.Rules
	}{
		{`{"inactivity_end":240000}`, conversation.Rules{InactivityWarn: 120_000, InactivityEnd: 240_000, ParkedEnd: conversation.DefaultParkedEnd, BotSilence: conversation.DefaultBotSilence}},
		{`{}`, conversation.Rules{InactivityWarn: -1, ParkedEnd: conversation.DefaultParkedEnd, BotSilence: conversation.DefaultBotSilence}},
		{`{"inactivity_warn":-1,"inactivity_end":240000,"parked_end":-1,"bot_silence":-1}`, conversation.Rules{InactivityWarn: -1, InactivityEnd: 240_000, ParkedEnd: -1, BotSilence: -1}},
	} {
		f := open(t)
		s, err := f.PutService(t.Context(), directory.Service{Name: "S " + c.stored})
		if err != nil {
			t.Fatal(err)
		}
		record := fmt.Sprintf(`{"id":%q,"name":%q,"rules":%s}`, s.ID, "S", c.stored)
		placeholder := "?"
		if engines.Dialect() == directory.Postgres {
			placeholder = "$1"
		}
		if _, err := f.raw(t).ExecContext(t.Context(), `UPDATE services SET record = `+placeholder, record); err != nil {
			t.Fatal(err)
		}
		got, ok := f.another(t, -1).Snapshot().Service(s.ID)
		if !ok || got.Rules != c.want {
			t.Errorf("%s is read as %+v, want %+v", c.stored, got.Rules, c.want)
		}
	}
}

// Rules by medium (DESIGN.md 3): what a records file says of a medium comes first, then what it says
// for all, then the medium's default. A service stored without them has the common rules in each.
func TestRulesByMedium(t *testing.T) {
	f := open(t)
	parse := func(yaml string) directory.Records {
		t.Helper()
		r, err := directory.ParseRecordsText([]byte("services:\n  - name: S\n"+yaml), "records.yaml")
		if err != nil {
			t.Fatalf("%s: %v", yaml, err)
		}
		return r
	}
	const minute = conversation.Millis(60_000)
	all := func(s directory.Service) map[conversation.Medium]conversation.Rules {
		out := map[conversation.Medium]conversation.Rules{}
		for _, m := range conversation.Mediums() {
			out[m] = s.RulesFor(m)
		}
		return out
	}
	type change = func(r *conversation.Rules)
	// defaults, changed by what the case says
	with := func(m conversation.Medium, c change) conversation.Rules {
		r := directory.DefaultRulesFor(m)
		if r.InactivityWarn == 0 {
			r.InactivityWarn = -1
		}
		if c != nil {
			c(&r)
		}
		return r
	}
	for _, c := range []struct {
		name, yaml string
		want       map[conversation.Medium]change
	}{
		{"nothing said", "", nil},
		{"said for all", "    rules: {inactivity_warn: 3m, inactivity_end: 5m, wrapup_limit: 2m, medium: chat, share: 50}\n", map[conversation.Medium]change{
			"chat": func(r *conversation.Rules) {
				r.InactivityWarn, r.InactivityEnd, r.WrapupLimit, r.Share = 3*minute, 5*minute, 2*minute, 50
			},
			"sms": func(r *conversation.Rules) {
				r.InactivityWarn, r.InactivityEnd, r.WrapupLimit, r.Share = 3*minute, 5*minute, 2*minute, 50
			},
			"messaging": func(r *conversation.Rules) {
				r.InactivityWarn, r.InactivityEnd, r.WrapupLimit, r.Share = 3*minute, 5*minute, 2*minute, 50
			},
			"voice": func(r *conversation.Rules) {
				r.InactivityWarn, r.InactivityEnd, r.WrapupLimit = 3*minute, 5*minute, 2*minute
			},
			"email": func(r *conversation.Rules) {
				r.InactivityWarn, r.InactivityEnd, r.WrapupLimit = 3*minute, 5*minute, 2*minute
			},
		}},
		{"a warning alone", "    rules: {inactivity_warn: 3m}\n", map[conversation.Medium]change{
			"chat": func(r *conversation.Rules) { r.InactivityWarn = 3 * minute }, // the others do not end, so nobody is warned
		}},
		{"another class for all", "    rules: {medium: mail, share: 60}\n", map[conversation.Medium]change{
			"chat":      func(r *conversation.Rules) { r.Medium, r.Share = "mail", 60 },
			"sms":       func(r *conversation.Rules) { r.Medium, r.Share = "mail", 60 },
			"messaging": func(r *conversation.Rules) { r.Medium, r.Share = "mail", 60 },
			"voice":     func(r *conversation.Rules) { r.Medium, r.Share = "mail", 60 },
			"email":     func(r *conversation.Rules) { r.Medium, r.Share = "mail", 60 },
		}},
		{"a medium's own", "    rules: {wrapup_limit: 2m, priority: 7}\n    media:\n      sms: {park_after: 0s, wrapup_limit: 0s, inactivity_end: 24h, share: 10}\n      voice: {wrapup_limit: unlimited, priority: 0}\n", map[conversation.Medium]change{
			"chat": func(r *conversation.Rules) { r.WrapupLimit, r.Priority = 2*minute, 7 },
			"sms": func(r *conversation.Rules) {
				r.ParkAfter, r.InactivityWarn, r.InactivityEnd, r.Share, r.Priority = 0, 12*60*minute, 24*60*minute, 10, 7
			},
			"messaging": func(r *conversation.Rules) { r.WrapupLimit, r.Priority = 2*minute, 7 },
			"voice":     func(r *conversation.Rules) { r.WrapupLimit = -1 },
			"email":     func(r *conversation.Rules) { r.WrapupLimit, r.Priority = 2*minute, 7 },
		}},
	} {
		if _, err := f.Apply(t.Context(), parse(c.yaml), false); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if again, err := f.Apply(t.Context(), parse(c.yaml), false); err != nil || len(again) > 0 {
			t.Errorf("%s: applied again it changes %v, %v", c.name, again, err)
		}
		want := map[conversation.Medium]conversation.Rules{}
		for _, m := range conversation.Mediums() {
			want[m] = with(m, c.want[m])
		}
		s, _ := f.Snapshot().ServiceByName("S")
		if d := cmp.Diff(want, all(s)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
		again, _ := f.another(t, -1).Snapshot().ServiceByName("S")
		if d := cmp.Diff(want, all(again)); d != "" {
			t.Errorf("%s, read again (-want +got):\n%s", c.name, d)
		}
	}

	common := directory.DefaultRules()
	common.ParkAfter, common.Share = minute, 40
	stored, err := f.PutService(t.Context(), directory.Service{Name: "Stored before"})
	if err != nil {
		t.Fatal(err)
	}
	stored.Rules = common
	if stored, err = f.PutService(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	for m, r := range all(stored) {
		if r != common {
			t.Errorf("a service without rules by medium has for %s %+v", m, r)
		}
	}

	for yaml, want := range map[string]string{
		"    media:\n      fax: {}\n":                                                                     `records.yaml:4: services[0].media.fax: no such medium: must be one of chat, sms, messaging, voice, email`,
		"    media:\n      sms:\n        inactivity_end: 192h\n":                                          `records.yaml:5: services[0].media.sms.inactivity_end: must be 0 (off) to 7 days`,
		"    media: {sms: {disposition_needed: true}}\n":                                                  `records.yaml:3: services[0].media.sms.disposition_needed: needs dispositions`,
		"    rules: {offer_timeout: 192h}\n":                                                              `records.yaml:3: services[0].rules.offer_timeout: must be 0 (off) to 7 days`,
		"    rules: {inactivity_warn: 4m, inactivity_end: 5m}\n    media: {chat: {inactivity_end: 3m}}\n": `records.yaml:4: services[0].media.chat.inactivity_end: must be later than inactivity_warn`,
	} {
		if _, err := f.Apply(t.Context(), parse(yaml), true); err == nil || err.Error() != want {
			t.Errorf("%s is refused with %v, want %s", yaml, err, want)
		}
	}
	if _, err := directory.ParseRecordsText([]byte("services:\n  - name: S\n    media: {sms: {park: 1m}}\n"), "records.yaml"); err == nil {
		t.Error("an unknown rule of a medium is taken")
	}
}
