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
		`"wrapup_limit":-1,"share":0,"spare":0`:        {WrapupLimit: -1, Medium: "chat"},
		`"share":50,"medium":"mail","offer_timeout":0`: {Share: 50, Medium: "mail"},
	} {
		h.want(given, h.do("adam", "PUT", path, `{"name":"S","rules":{`+given+`}}`), 200)
		got := stored().Rules
		if want.InactivityWarn != 0 && got.InactivityWarn != want.InactivityWarn || want.ParkedEnd != 0 && got.ParkedEnd != want.ParkedEnd ||
			got.WrapupLimit != want.WrapupLimit || want.Medium != "" && (got.Share != want.Share || got.Medium != want.Medium) {
			t.Errorf("{%s} is stored as %+v", given, got)
		}
		writeBack(given)
	}
	h.want("no such duration", h.do("adam", "PUT", path, `{"name":"S","rules":{"park_after":-1}}`), 422)
}

// DESIGN.md 3: over REST a service has rules for each medium. What is read tells what differs from the
// common rules, and written back it changes nothing, also for a service of a version that had no
// rules by medium.
func TestRulesByMediumByREST(t *testing.T) {
	h := newHouse(t, nil)
	body := `{"name":"S","rules":{"wrapup_limit":60000,"share":50},"media":{"chat":{"inactivity_end":240000},"sms":{"park_after":0,"share":10},"voice":{"wrapup_limit":-1}}}`
	made := h.do("adam", "POST", "/services", body)
	h.want("service", made, 201,
		"media.chat.inactivity_end", "240000", "media.chat.inactivity_warn", "120000",
		"media.sms.inactivity_end", "0", "media.sms.inactivity_warn", "0", "media.sms.owner_first", "300000", "media.sms.share", "10",
		"media.messaging.park_after", "900000", "media.voice.medium", "voice", "media.voice.share", "100", "media.voice.wrapup_limit", "-1",
		"media.email.medium", "email")
	id, err := conversation.ParseID[conversation.ServiceID](made.get("id"))
	if err != nil {
		t.Fatal(err)
	}
	path := "/services/" + made.get("id")
	stored := func() directory.Service {
		s, _ := h.dir.Snapshot().Service(id)
		return s
	}
	read := func() map[string]any {
		t.Helper()
		var b map[string]any
		if err := json.Unmarshal([]byte(h.do("adam", "GET", path, nil).text), &b); err != nil {
			t.Fatal(err)
		}
		delete(b, "id")
		return b
	}
	same := func(what string) {
		t.Helper()
		before := stored()
		h.want(what, h.do("adam", "PUT", path, read()), 200)
		for _, m := range conversation.Mediums() {
			if d := cmp.Diff(before.RulesFor(m), stored().RulesFor(m)); d != "" {
				t.Errorf("%s: written back as it was read, %s changed (-was +is):\n%s", what, m, d)
			}
		}
	}
	if got := stored().RulesFor(conversation.MediumSMS); got.ParkAfter != 0 || got.OwnerFirst != 300_000 || got.WrapupLimit != 60_000 || got.Share != 10 || got.Medium != "chat" {
		t.Errorf("rules for texts are %+v", got)
	}
	if got := stored().RulesFor(conversation.MediumMessaging); got.Share != 50 || got.ParkAfter != 900_000 {
		t.Errorf("rules for messages are %+v", got)
	}
	same("rules by medium")
	b := read()
	b["rules"].(map[string]any)["requeue_after"] = 1000 // a common rule that is changed holds for every medium that says nothing of it
	h.want("one common rule", h.do("adam", "PUT", path, b), 200)
	for _, m := range conversation.Mediums() {
		if got := stored().RulesFor(m).RequeueAfter; got != 1000 {
			t.Errorf("%s: requeue_after is %d after the common rule changed", m, got)
		}
	}

	legacy := directory.Service{ID: id, Name: "S", Rules: directory.DefaultRules()}
	if _, err := h.dir.PutService(t.Context(), legacy); err != nil {
		t.Fatal(err)
	}
	same("a service without rules by medium")

	h.want("no such medium", h.do("adam", "PUT", path, `{"name":"S","rules":{},"media":{"fax":{}}}`), 422)
	if text := h.do("adam", "PUT", path, `{"name":"S","rules":{},"media":{"fax":{}}}`).text; !strings.Contains(text, "media.fax") || !strings.Contains(text, "must be one of chat, sms, messaging, voice, email") {
		t.Errorf("an unknown medium is refused with %s", text)
	}
	h.want("no such duration", h.do("adam", "PUT", path, `{"name":"S","rules":{},"media":{"sms":{"park_after":-1}}}`), 422)
	h.want("no such rule", h.do("adam", "PUT", path, `{"name":"S","rules":{},"media":{"sms":{"park":1}}}`), 422)
}
