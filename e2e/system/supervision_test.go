package system_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// ears keeps every event that one socket gets of one conversation, and checks that none is missing:
// each frame names the one before it that this reader could see.
type ears struct {
	t    *testing.T
	name string
	mu   sync.Mutex
	conv string
	last uint64
	got  []drive.Event
	raw  []string
}

func (e *ears) hear(frame []byte) {
	var ev drive.Event
	if json.Unmarshal(frame, &ev) != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conv == "" {
		e.conv = ev.Conversation
	}
	if ev.Conversation != e.conv {
		e.t.Errorf("%s got an event of conversation %s", e.name, ev.Conversation)
		return
	}
	if ev.Prev != e.last {
		e.t.Errorf("%s: event %d comes after %d, and says that %d came before it", e.name, ev.Seq, e.last, ev.Prev)
	}
	e.last = ev.Seq
	e.got, e.raw = append(e.got, ev), append(e.raw, string(frame))
}

func (e *ears) heard(part string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.raw {
		n += strings.Count(r, part)
	}
	return n
}

func (e *ears) await(part string) {
	e.t.Helper()
	eventually(e.t, fmt.Sprintf("%q at %s", part, e.name), 15*time.Second, func() bool { return e.heard(part) > 0 })
}

// H1-H4: the sockets of a customer, two agents and a supervisor side by side, while the supervisor
// listens, coaches, speaks and goes on listening. Each gets what is meant for it and nothing else,
// and no reader is told of a hole.
func TestSupervisionSideBySide(t *testing.T) {
	d := startDemo(t, "")
	ctx := bounded(t, 2*time.Minute)
	agent := func(login string) (*drive.Agent, *ears) {
		e := &ears{t: t, name: login}
		a, err := drive.DialAgent(ctx, drive.AgentOptions{
			URL: "ws" + strings.TrimPrefix(d.info.PublicURL, "http") + "/api/v1/stream", Token: d.token(login), OnEvent: e.hear,
			OnOffer: func(drive.Offer) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		return a, e
	}
	offers := make(chan drive.Offer, 1)
	anaEars := &ears{t: t, name: "ana"}
	ana, err := drive.DialAgent(ctx, drive.AgentOptions{
		URL: "ws" + strings.TrimPrefix(d.info.PublicURL, "http") + "/api/v1/stream", Token: d.token("ana"), OnEvent: anaEars.hear,
		OnOffer: func(o drive.Offer) { offers <- o },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ana.Close()
	ben, benEars := agent("ben")
	sue, sueEars := agent("sue")
	do := func(a *drive.Agent, cmd string, fields map[string]any) {
		t.Helper()
		if err := a.Do(ctx, cmd, fields, nil); err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
	}
	do(ana, "ready", nil)

	customerEars := &ears{t: t, name: "customer"}
	customer, err := drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "demo", OnEvent: customerEars.hear})
	if err != nil {
		t.Fatal(err)
	}
	defer customer.Close()
	conv, err := customer.Start(ctx, "s", map[string]string{"first_name": "Cora", "message": "hello"})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case o := <-offers:
		do(ana, "accept", map[string]any{"offer": o.Offer})
	case <-ctx.Done():
		t.Fatal("no offer")
	}
	in := func(more map[string]any) map[string]any {
		more["conversation"] = conv
		return more
	}
	text := func(s string) []map[string]string { return []map[string]string{{"kind": "text", "text": s}} }
	if err := sue.Watch(conv, 0); err != nil {
		t.Fatal(err)
	}
	sueEars.await("hello")

	do(sue, "supervise", in(map[string]any{"mode": "monitor"}))
	do(ana, "note", in(map[string]any{"client_id": "n1", "parts": text("canary-private")}))
	do(ana, "note", in(map[string]any{"client_id": "n1", "parts": text("canary-private")})) // a retry is the same note
	if err := sue.Do(ctx, "note", in(map[string]any{"client_id": "x", "parts": text("canary-listener")}), nil); err == nil {
		t.Error("who only listens could write a note")
	}
	do(sue, "supervise", in(map[string]any{"mode": "coach"}))
	do(sue, "note", in(map[string]any{"client_id": "n2", "parts": text("canary-coach")}))
	if err := sue.Do(ctx, "send", in(map[string]any{"client_id": "x", "parts": text("canary-coach-to-customer")}), nil); err == nil {
		t.Error("who coaches could write to the customer")
	}
	do(sue, "supervise", in(map[string]any{"mode": "barge"}))
	do(sue, "send", in(map[string]any{"client_id": "m1", "parts": text("canary-barge")}))
	do(sue, "supervise", in(map[string]any{"mode": "monitor"}))
	do(sue, "unsupervise", in(map[string]any{}))
	for _, err := range []error{
		ben.Do(ctx, "supervise", in(map[string]any{"mode": "monitor"}), nil),
		ben.Do(ctx, "note", in(map[string]any{"client_id": "x", "parts": text("canary-stranger")}), nil),
		sue.Do(ctx, "supervise", in(map[string]any{"mode": "whisper"}), nil),
	} {
		if err == nil {
			t.Error("a command was taken that is not allowed")
		}
	}
	do(ana, "send", in(map[string]any{"client_id": "m2", "parts": text("canary-last")}))
	for _, e := range []*ears{customerEars, anaEars, sueEars} {
		e.await("canary-last")
	}

	for _, c := range []struct {
		part                 string
		customer, agent, sup int
	}{
		{`canary-private`, 0, 1, 1},
		{`canary-coach`, 0, 1, 1},
		{`canary-barge`, 1, 1, 1},
		{`canary-last`, 1, 1, 1},
		{`canary-listener`, 0, 0, 0},
		{`canary-stranger`, 0, 0, 0},
		{`"mode":"monitor"`, 0, 0, 4}, // joined and left, twice
		{`"mode":"coach"`, 0, 2, 2},
		{`"mode":"barge"`, 2, 2, 2},
		{`note/1`, 0, 2, 2},
	} {
		for who, x := range map[*ears]int{customerEars: c.customer, anaEars: c.agent, sueEars: c.sup, benEars: 0} {
			if n := who.heard(c.part); n != x {
				t.Errorf("%s got %s %d times, want %d", who.name, c.part, n, x)
			}
		}
	}
	for login, want := range map[string]bool{"ana": false, "sue": true} {
		status, body := d.rest(t, d.token(login), "GET", "/conversations/"+conv+"/events?limit=200", "")
		if status != 200 || strings.Contains(string(body), `"mode":"monitor"`) != want || !strings.Contains(string(body), "canary-coach") {
			t.Errorf("transcript for %s: status %d, tells of the listener: %v", login, status, strings.Contains(string(body), `"mode":"monitor"`))
		}
	}
	_, trail := d.rest(t, d.token("adam"), "GET", "/audit?limit=200", "")
	if n := strings.Count(string(trail), `"conversation.supervised"`); n != 5 {
		t.Errorf("the audit trail has %d changes of mode, want 5", n)
	}
}
