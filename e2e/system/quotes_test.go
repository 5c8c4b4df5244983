package system_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// messenger is the provider of the quoter example: a process of its own, which outlives the plugin.
type messenger struct {
	d         *demo
	url, hook string
}

// quoted is a message as the messenger has it.
type quoted struct {
	ID, From, Text, Quote string
	Reactions             map[string]string
	Edited, Revoked       bool
}

// startMessenger starts the provider and applies records for an account at it.
func (d *demo) startMessenger() *messenger {
	d.t.Helper()
	m := d.startSandbox(`
services:
  - {name: Quotes, teams: [Front Office]}
accounts:
  - {name: quotes, plugin: quoter, service: Quotes, settings: {base_url: "%s"}}
`)
	sms := d.textLine()
	m.hook = strings.Replace(sms.WebhookURL, sms.Account, d.findAccount("quotes"), 1)
	return m
}

// startSandbox starts the provider and applies records, into which its URL is filled.
func (d *demo) startSandbox(records string) *messenger {
	d.t.Helper()
	address := freeAddr(d.t)
	cmd := exec.Command(filepath.Join(d.data, "plugins", "quoter", "quoter"), "sandbox", address, filepath.Join(d.t.TempDir(), "messenger.json"))
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	m := &messenger{d: d, url: "http://" + address}
	eventually(d.t, "the messenger", 30*time.Second, func() bool { _, err := m.messages(); return err == nil })
	d.apply(fmt.Sprintf(records, m.url))
	return m
}

func (m *messenger) messages() ([]quoted, error) {
	var state struct{ Messages []quoted }
	return state.Messages, m.ask(http.MethodGet, m.url+"/state", "", &state)
}

func (m *messenger) ask(method, url, body string, out any) error {
	req, err := http.NewRequestWithContext(m.d.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := drive.HTTPClient().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// does lets the customer do something, and posts the webhook until it is taken, and once more. It returns
// the id of the message that it is about.
func (m *messenger) does(event map[string]string) string {
	m.d.t.Helper()
	event["from"] = "+4930111"
	body, err := json.Marshal(event)
	if err != nil {
		m.d.t.Fatal(err)
	}
	var ev map[string]any
	if err := m.ask(http.MethodPost, m.url+"/customer", string(body), &ev); err != nil {
		m.d.t.Fatal(err)
	}
	if body, err = json.Marshal(ev); err != nil {
		m.d.t.Fatal(err)
	}
	for range 2 {
		eventually(m.d.t, "webhook taken", 60*time.Second, func() bool { return m.ask(http.MethodPost, m.hook, string(body), nil) == nil })
	}
	id, _ := ev["message"].(string)
	return id
}

// find waits for a message that the messenger has from the agent.
func (m *messenger) find(what string, is func(quoted) bool) (found quoted) {
	m.d.t.Helper()
	eventually(m.d.t, what+" at the messenger", 60*time.Second, func() bool {
		all, err := m.messages()
		if err != nil {
			return false
		}
		i := slices.IndexFunc(all, is)
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

// wrote is a message of the log, as far as this test reads it.
type wrote struct {
	ID      string
	ReplyTo string `json:"reply_to"`
	Author  struct{ Kind string }
	Kinds   []string
}

// DESIGN.md 3, PR1, PR3, PR4, FT1, FT5: a customer quotes and reacts by the provider's ids, and the log has
// ours; an agent quotes, reacts, edits and revokes, and the provider is told its own ids, while plugin and
// gateway are killed. Nothing is lost and nothing is there twice.
func TestQuotesThroughKills(t *testing.T) {
	d := startDemo(t, "")
	d.addExample("quoter")
	m := d.startMessenger()
	ctx := bounded(t, 4*time.Minute)
	offers := make(chan drive.Offer, 16)
	token := d.token("ana")
	var ana *drive.Agent
	connect := func() {
		t.Helper()
		eventually(t, "Ana's socket", 60*time.Second, func() bool {
			once, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			if ana != nil {
				ana.Close()
			}
			var err error
			ana, err = drive.DialAgent(once, drive.AgentOptions{
				URL: "ws" + strings.TrimPrefix(d.info.PublicURL, "http") + "/api/v1/stream", Token: token, OnOffer: func(o drive.Offer) { offers <- o },
			})
			return err == nil
		})
	}
	connect()
	defer func() { ana.Close() }()
	if err := ana.Do(ctx, "ready", nil, nil); err != nil {
		t.Fatal(err)
	}
	hers := m.does(map[string]string{"kind": "message", "text": "hello"})
	var conv string
	select {
	case o := <-offers:
		conv = o.Conversation
		if err := ana.Do(ctx, "accept", map[string]any{"offer": o.Offer}, nil); err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("no offer")
	}
	heads := func() (all []wrote) {
		t.Helper()
		status, text := d.rest(t, token, http.MethodGet, "/conversations/"+conv+"/events?limit=1000", "")
		var page struct {
			Events []struct {
				Type string
				Head wrote
			}
		}
		if status != http.StatusOK || json.Unmarshal(text, &page) != nil {
			return nil // the gateway is coming back
		}
		for _, e := range page.Events {
			if e.Type == "message/1" {
				all = append(all, e.Head)
			}
		}
		return all
	}
	var first string // the customer's message, by our id
	eventually(t, "the customer's message", 30*time.Second, func() bool {
		for _, h := range heads() {
			if h.Author.Kind == "customer" {
				first = h.ID
			}
		}
		return first != ""
	})
	// send repeats a message, under its client id, until the gateway has it.
	send := func(clientID, part, replyTo string) string {
		t.Helper()
		body := fmt.Sprintf(`{"client_id":%q,"parts":[%s]`, clientID, part)
		if replyTo != "" {
			body += fmt.Sprintf(`,"reply_to":%q`, replyTo)
		}
		var answer struct{ Message string }
		eventually(t, "answer to "+clientID, 60*time.Second, func() bool {
			status, text := d.rest(t, token, http.MethodPost, "/conversations/"+conv+"/messages", body+"}")
			if status >= 400 && status < 500 && status != http.StatusTooManyRequests {
				t.Fatalf("%s: %d %s", clientID, status, text)
			}
			return status >= 200 && status < 300 && json.Unmarshal(text, &answer) == nil && answer.Message != ""
		})
		return answer.Message
	}
	strikes := []string{"", "quoter", "serve", "quoter"}
	var texts []string // what the agent wrote, by our ids
	for n, what := range strikes {
		text := fmt.Sprintf("round %d", n)
		mine := send(text, fmt.Sprintf(`{"kind":"text","text":%q}`, text), first)
		texts = append(texts, mine)
		if what != "" {
			d.killer(what).do()
		}
		send(text+" reaction", fmt.Sprintf(`{"kind":"reaction","reaction":{"message":%q,"emoji":"%d"}}`, first, n), "")
		send(text+" edit", fmt.Sprintf(`{"kind":"edit","edit":{"message":%q,"text":%q}}`, mine, text+" edited"), "")
		if what != "" {
			d.killer("quoter").do()
			connect()
		}
		there := m.find(text, func(q quoted) bool { return q.From == "" && q.Text == text+" edited" })
		if there.Quote != hers || !there.Edited {
			t.Errorf("%s is %+v at the messenger, want a quote of %s", text, there, hers)
		}
		m.find("reaction of "+text, func(q quoted) bool { return q.ID == hers && q.Reactions["business"] == fmt.Sprint(n) })
		m.does(map[string]string{"kind": "message", "text": "answer to " + text, "quote": there.ID})
		m.does(map[string]string{"kind": "reaction", "message": there.ID, "emoji": "x"})
		m.does(map[string]string{"kind": "read", "message": there.ID})
		send(text+" revoke", fmt.Sprintf(`{"kind":"revoke","revoke":{"message":%q}}`, mine), "")
		m.find("revocation of "+text, func(q quoted) bool { return q.ID == there.ID && q.Revoked })
		eventually(t, "the answer to "+text, 30*time.Second, func() bool {
			answers := 0
			for _, h := range heads() {
				if h.Author.Kind == "customer" && h.ReplyTo == mine {
					answers++
				}
			}
			return answers == 1
		})
	}
	all, err := m.messages()
	if err != nil {
		t.Fatal(err)
	}
	if want := 1 + 2*len(strikes); len(all) != want {
		t.Errorf("the messenger has %d messages, want %d: %+v", len(all), want, all)
	}
	count := map[string]int{}
	for _, h := range heads() {
		count[h.Author.Kind+" "+strings.Join(h.Kinds, ",")]++
	}
	for kind, want := range map[string]int{"customer text": 1 + len(strikes), "customer reaction": len(strikes), "agent text": len(strikes),
		"agent reaction": len(strikes), "agent edit": len(strikes), "agent revoke": len(strikes)} {
		if count[kind] != want {
			t.Errorf("%d of %s in the log, want %d; all: %v", count[kind], kind, want, count)
		}
	}
	windows, failed := 0, 0
	reported, read := map[string]bool{}, map[string]bool{} // messages with any report, and with that of having been read
	for _, e := range d.events() {
		if e.Stream != conv {
			continue
		}
		switch e.Type {
		case "window.changed/1":
			windows++
		case "message.status/1":
			if e.Head.Status == "failed" {
				failed++
			}
			reported[e.Head.Message] = true
			read[e.Head.Message] = read[e.Head.Message] || e.Head.Status == "read"
		}
	}
	if windows == 0 || failed > 0 || len(reported) < 4*len(strikes) {
		t.Errorf("%d changes of the window, %d failures, reports on %d messages", windows, failed, len(reported))
	}
	for n, id := range texts {
		if !read[id] {
			t.Errorf("the log does not say that the customer has read the agent's text of round %d", n)
		}
	}
}
