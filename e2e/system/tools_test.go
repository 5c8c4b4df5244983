package system_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/drive"
)

const countingSite = `
services:
  - {name: Counting, teams: [Front Office], tools: [{account: counter, settings: {step: 5}}]}
accounts:
  - {name: counter, plugin: counter, inbound: none}
  - {name: counting, plugin: webchat, service: Counting, settings: {site: counting}}
`

// toolAnswer is what the API answers to a start or an act.
type toolAnswer struct {
	Session string
	Seq     uint64
	Panel   *struct{ Blocks []json.RawMessage }
	Effects []map[string]any
}

// E7, M4, PR3, FT1, FT5: a tool in a process of its own inside a chat. The agent starts it once,
// however often it is asked for; each act counts once, also when the plugin or the gateway is killed
// in between; the conversation goes on after its end.
func TestToolThroughKills(t *testing.T) {
	d := startDemo(t, "")
	d.addExample("counter")
	d.apply(countingSite)
	ctx := bounded(t, 3*time.Minute)
	offers := make(chan drive.Offer, 4)
	ana, err := drive.DialAgent(ctx, drive.AgentOptions{
		URL: "ws" + strings.TrimPrefix(d.info.PublicURL, "http") + "/api/v1/stream", Token: d.token("ana"), OnOffer: func(o drive.Offer) { offers <- o },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ana.Close()
	if err := ana.Do(ctx, "ready", nil, nil); err != nil {
		t.Fatal(err)
	}
	var customer *drive.Customer
	eventually(t, "the site to be served", 30*time.Second, func() bool {
		customer, err = drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "counting"})
		return err == nil
	})
	defer customer.Close()
	conv, err := customer.Start(ctx, "s", map[string]string{"first_name": "Cora", "message": "hello"})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case o := <-offers:
		if err := ana.Do(ctx, "accept", map[string]any{"offer": o.Offer}, nil); err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("no offer")
	}

	token := d.token("ana")
	base := "/conversations/" + conv + "/tools"
	ask := func(method, path, body string, out any) int {
		status, text := d.rest(t, token, method, base+path, body)
		if out != nil && status >= 200 && status < 300 {
			if err := json.Unmarshal(text, out); err != nil {
				t.Errorf("%s %s: %v in %s", method, path, err, text)
			}
		}
		return status
	}
	// again repeats a request, under its id, until the gateway and the plugin have answered it.
	again := func(path, body string, out any) {
		t.Helper()
		eventually(t, "answer to "+path, 60*time.Second, func() bool {
			status := ask(http.MethodPost, path, body, out)
			return status >= 200 && status < 300
		})
	}
	var list struct {
		Tools []struct {
			Account, Title string
			MayStart       bool `json:"may_start"`
		}
		Sessions []struct{ ID, State string }
	}
	eventually(t, "the tool in the conversation", 30*time.Second, func() bool {
		return ask(http.MethodGet, "", "", &list) == 200 && len(list.Tools) == 1 && list.Tools[0].MayStart
	})
	start := fmt.Sprintf(`{"account":%q,"client_id":"start","arguments":{"from":100}}`, list.Tools[0].Account)
	var first, second toolAnswer
	again("", start, &first)
	again("", start, &second)
	if first.Session == "" || first.Session != second.Session {
		t.Fatalf("a repeated start is session %q, the first one %q", second.Session, first.Session)
	}
	acts := "/" + first.Session + "/acts"
	add := func() {
		t.Helper()
		body := fmt.Sprintf(`{"act":%q,"action":"add"}`, uuid.NewString())
		again(acts, body, nil)
		again(acts, body, nil) // the same act once more
	}
	count := func() string {
		t.Helper()
		var a toolAnswer
		again(acts, fmt.Sprintf(`{"act":%q,"action":"copy"}`, uuid.NewString()), &a)
		if len(a.Effects) != 1 {
			t.Fatalf("effects %v", a.Effects)
		}
		text, _ := a.Effects[0]["insert_text"].(string)
		return text
	}
	add()
	d.killer("counter").do()
	add()
	d.killer("serve").do()
	add()
	if text := count(); text != "We are at 115." {
		t.Errorf("after three additions of five: %q", text)
	}
	again("/"+first.Session+"/end", "", nil)
	if status := ask(http.MethodPost, acts, fmt.Sprintf(`{"act":%q,"action":"add"}`, uuid.NewString()), nil); status != http.StatusConflict {
		t.Errorf("an act on an ended session: %d", status)
	}
	kinds := map[string]int{}
	for _, e := range d.events() {
		if e.Stream == conv {
			kinds[e.Type]++
		}
	}
	if kinds["session.requested/1"] != 1 || kinds["session.ended/1"] != 1 || kinds["ended/1"] != 0 {
		t.Errorf("events of the conversation: %v", kinds)
	}
	again("", strings.Replace(start, `"start"`, `"another"`, 1), &second) // the conversation takes a new one
	if second.Session == first.Session {
		t.Error("the next session has the id of the first")
	}
}
