package api_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

// Q1, R4, N7: in the API, as in a records file, a duration of a service's rules that is absent has
// its default, 0 switches the rule off, and any other value is the duration. Writing back what was
// read changes nothing.
func TestEveryDurationByREST(t *testing.T) {
	h := newHouse(t, nil)
	made := h.do("adam", "POST", "/services", `{"name":"S","rules":{}}`)
	h.want("service", made, 201)
	path := "/services/" + made.get("id")
	stored := func() directory.Service {
		t.Helper()
		for _, s := range h.dir.Snapshot().Services() {
			return s
		}
		t.Fatal("no service")
		return directory.Service{}
	}
	writeBack := func(what string) {
		t.Helper()
		var b map[string]any
		if err := json.Unmarshal([]byte(h.do("adam", "GET", path, nil).text), &b); err != nil {
			t.Fatal(err)
		}
		delete(b, "id") // the id is in the path
		before := stored()
		h.want(what+", written back", h.do("adam", "PUT", path, b), 200)
		if d := cmp.Diff(before, stored()); d != "" {
			t.Errorf("%s: written back as it was read it changed (-was +is):\n%s", what, d)
		}
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
		for _, c := range []struct {
			given  string
			stored int64
			shown  string
		}{
			{"", defaults.Field(i).Int(), fmt.Sprint(float64(defaults.Field(i).Int()))},
			{`"` + name + `":0`, 0, "0"},
			{`"` + name + `":60000`, 60_000, "60000"},
		} {
			if c.given != "" && c.shown == "0" && (name == "inactivity_warn" || name == "parked_end" || name == "bot_silence") {
				c.stored = -1 // an earlier version stored 0 for the default, which is half of the end
			}
			h.want(name, h.do("adam", "PUT", path, `{"name":"S","rules":{`+c.given+`}}`), 200, "rules."+name, c.shown)
			if got := reflect.ValueOf(stored().Rules).Field(i).Int(); got != c.stored {
				t.Errorf("%s: {%s} is stored as %d, want %d", name, c.given, got, c.stored)
			}
			writeBack(name + " {" + c.given + "}")
		}
	}
	if walked < 9 {
		t.Errorf("walked %d durations, want all", walked)
	}
	for given, want := range map[string]conversation.Rules{
		`"inactivity_end":240000`:                      {InactivityWarn: 120_000}, // the default warning would come too late
		`"inactivity_end":0,"inactivity_warn":0`:       {InactivityWarn: -1},
		`"inactivity_warn":-1,"parked_end":-1`:         {InactivityWarn: -1, ParkedEnd: -1},
		`"wrapup_limit":-1,"share":0,"spare":0`:        {WrapupLimit: -1},
		`"share":50,"medium":"mail","offer_timeout":0`: {Share: 50, Medium: "mail"},
	} {
		h.want(given, h.do("adam", "PUT", path, `{"name":"S","rules":{`+given+`}}`), 200)
		got := stored().Rules
		if want.InactivityWarn != 0 && got.InactivityWarn != want.InactivityWarn || want.ParkedEnd != 0 && got.ParkedEnd != want.ParkedEnd ||
			got.WrapupLimit != want.WrapupLimit || got.Share != want.Share || got.Medium != want.Medium {
			t.Errorf("{%s} is stored as %+v", given, got)
		}
		writeBack(given)
	}
	h.want("no such duration", h.do("adam", "PUT", path, `{"name":"S","rules":{"park_after":-1}}`), 422)
}
