package directory_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

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
