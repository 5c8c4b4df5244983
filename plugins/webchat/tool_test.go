package webchat_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sdk"
)

const session = "0190bbbb-0000-7000-8000-000000000001"

// press is the use of a button, with changes.
func press(client string, change map[string]any) map[string]any {
	f := map[string]any{"t": "tool", "client_id": client, "session": session, "action": "add", "revision": 2, "values": map[string]any{"n": "5", "sure": true}}
	maps.Copy(f, change)
	return f
}

// toolEvents are the uses of tools that the gateway has got.
func (w *world) toolEvents() (out []sdk.CustomerTool) {
	for _, ev := range w.host.Events() {
		if b, ok := ev.Body.(sdk.CustomerTool); ok {
			out = append(out, b)
		}
	}
	return out
}

// TestTool: E3, E6, what a tool shows reaches the customer as it is stored, and what the customer does there reaches
// the gateway once, however often it is sent.
func TestTool(t *testing.T) {
	w := newWorld(t, "")
	c, thread, start := w.begin("hi")
	w.host.ToolAsked("acc-1", thread, session)
	w.host.ToolShows("acc-1", thread, session, 2, json.RawMessage(`[{"type":"button","action":"add","label":"Add"}]`))
	c.wantEvent("session.requested/1")
	shown := c.wantEvent("session.customer_panel/1")
	if want := `{"blocks":[{"type":"button","action":"add","label":"Add"}]}`; !jsonEqual(t, string(shown.Body), want) {
		t.Errorf("panel %s, want %s", shown.Body, want)
	}
	for range 3 {
		c.send(press("t1", nil))
		if f := c.want("accepted"); f.ClientID != "t1" || f.Conversation != start.Conversation {
			t.Errorf("accepted %+v", f)
		}
	}
	c.send(map[string]any{"t": "tool", "client_id": "t2", "session": session, "action": "end"})
	c.want("accepted")
	c.send(map[string]any{"t": "tool", "client_id": "t3", "account": session, "action": "start"})
	c.want("accepted")
	want := []sdk.CustomerTool{
		{Session: session, Action: "add", Revision: 2, Values: json.RawMessage(`{"n":"5","sure":true}`)},
		{Session: session, Action: "end"}, {Account: session, Action: "start"},
	}
	if diff := cmp.Diff(want, w.toolEvents()); diff != "" {
		t.Errorf("the gateway got (-want +got):\n%s", diff)
	}
	w.host.ToolEnded("acc-1", thread, session, "finished", "Five in all.")
	c.wantEvent("session.noted/1")
	c.wantEvent("session.ended/1")
}

// TestToolRefusals: malformed uses of tools are refused for good and reach nobody.
func TestToolRefusals(t *testing.T) {
	w := newWorld(t, "")
	c := w.connect(nil)
	c.send(press("t0", nil))
	if f := c.want("refused"); f.Code != "no_visitor" || f.Retry {
		t.Errorf("without a visitor: %+v", f)
	}
	c, _, _ = w.begin("hi")
	many := map[string]any{}
	for i := range 101 {
		many[fmt.Sprint(i)] = ""
	}
	for name, change := range map[string]map[string]any{
		"no action":              {"action": ""},
		"an action of no form":   {"action": "Add more"},
		"a long action":          {"action": strings.Repeat("a", 65)},
		"no session":             {"session": ""},
		"a session that is none": {"session": "x"},
		"a start of a session":   {"action": "start"},
		"a start of two things":  {"action": "start", "account": session},
		"an account to act on":   {"account": session},
		"a number as value":      {"values": map[string]any{"n": 5}},
		"an object as value":     {"values": map[string]any{"n": map[string]any{}}},
		"null as value":          {"values": map[string]any{"n": nil}},
		"an array as value":      {"values": map[string]any{"n": []string{"x"}}},
		"a value without a name": {"values": map[string]any{"": "x"}},
		"a value of a long name": {"values": map[string]any{strings.Repeat("n", 65): "x"}},
		"too many values":        {"values": many},
		"an array of values":     {"values": []string{"x"}},
		"a text for the values":  {"values": "x"},
		"a negative revision":    {"revision": -1},
		"a fraction of revision": {"revision": 1.5},
		"a revision of 2 to 64":  {"revision": json.Number("18446744073709551616")},
		"an action as a list":    {"action": []string{"add"}},
	} {
		c.send(press("x", change))
		if f := c.want("refused"); f.Code != "invalid" || f.Retry || f.ClientID != "x" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	c.send(press("not an id", nil))
	if f := c.want("error"); f.Code != "client_id" {
		t.Errorf("a client id of no form: %+v", f)
	}
	if got := w.toolEvents(); len(got) != 0 {
		t.Errorf("the gateway got %+v", got)
	}
	c.send(press("long", map[string]any{"values": map[string]any{"n": strings.Repeat("x", 33<<10)}}))
	if f := c.want("refused"); f.Code != "too_long" || f.Retry || f.ClientID != "long" {
		t.Errorf("an act over 32 KiB: %+v", f)
	}
	big, err := json.Marshal(press("y", map[string]any{"values": map[string]any{"n": strings.Repeat("x", 65<<10)}}))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.raw(big) // fails if the server closes before it has read all
	for {
		if _, code := c.read(); code != 0 {
			if code != 1009 && code != -1 { // -1: closed before the close frame was read
				t.Errorf("an oversized frame closed the socket with %d, want 1009", code)
			}
			return
		}
	}
}

// TestToolIsAway: what a tool did not take for the moment may be sent again under its id; a tool's own refusal is
// final.
func TestToolIsAway(t *testing.T) {
	w := newWorld(t, "")
	c, _, _ := w.begin("hi")
	for code, retry := range map[string]bool{"unavailable": true, "rate_limited": true, "tool_fault": false, "no_such_session": false} {
		w.host.Fail(&sdk.RefusedError{Code: code})
		c.send(press(code, nil))
		if f := c.want("refused"); f.Code != code || f.Retry != retry || f.ClientID != code {
			t.Errorf("%s: %+v, want retry %t", code, f, retry)
		}
	}
	w.host.Fail(nil)
	c.send(press("unavailable", nil))
	c.want("accepted")
	if got := w.toolEvents(); len(got) != 1 {
		t.Errorf("the gateway got %+v", got)
	}
}

// TestToolRate: uses of tools count as messages.
func TestToolRate(t *testing.T) {
	w := newWorld(t, `{"messages_per_second":1,"message_burst":5}`)
	c, _, _ := w.begin("hi")
	for i := range 12 {
		c.send(press(fmt.Sprint("p", i), nil))
	}
	f := c.want("refused")
	if f.Code != "rate" || !f.Retry || len(w.toolEvents()) < 4 {
		t.Errorf("refused %+v after %d", f, len(w.toolEvents()))
	}
}
