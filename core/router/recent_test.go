package router_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
)

// direct gives Ben a direct number.
func (w *world) direct() directory.Account {
	w.t.Helper()
	a, err := w.dir.PutAccount(context.Background(), directory.Account{Plugin: "text", Name: "Ben's number", User: w.agents["ben"], Enabled: true}, nil)
	must(w.t, err)
	return a
}

func (w *world) textTo(r *router.Router, account conversation.AccountID, from, id string) plugin.Ack {
	return ingest(r, plugin.Inbound{Plugin: "text", Account: account, Thread: from, DedupeKey: id,
		Message: &plugin.InboundMessage{Address: from, Parts: textParts(id)}})
}

// badge returns what waits for an agent as "total: unread unread ...", the highest number first.
func badge(r *router.Router, id conversation.AgentID) string {
	rec := r.Recent(context.Background(), id)
	slices.SortFunc(rec.Items, func(a, b readers.RecentItem) int { return b.Unread - a.Unread })
	s := fmt.Sprint(rec.Unread, ":")
	for _, i := range rec.Items {
		s += fmt.Sprint(" ", i.Unread)
	}
	return s
}

// O1, O2: texts to a direct number are counted whatever the owner's status, stay counted over
// logout and restart, are marked as seen on all devices at once, and are never offered.
func TestDirectNumberBadge(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	r.PluginReady("text", "g1", newPort(textInfo()))
	ctx := context.Background()
	ben, acc := w.agents["ben"], w.direct()
	want := func(what, badges string) {
		t.Helper()
		if got := badge(r, ben); got != badges {
			t.Errorf("%s: badge %q, want %q", what, got, badges)
		}
	}
	want("nothing yet", "0:")
	first := w.textTo(r, acc.ID, "+15005550001", "a1") // the owner is logged out
	w.textTo(r, acc.ID, "+15005550001", "a2")
	second := w.textTo(r, acc.ID, "+15005550002", "b1")
	want("logged out", "3: 2 1")
	w.textTo(r, acc.ID, "+15005550001", "a2")
	want("a repeat", "3: 2 1")
	must(t, r.AgentConnected(ctx, ben))
	must(t, r.Ready(ctx, ben))
	w.textTo(r, acc.ID, "+15005550002", "b2")
	want("ready", "4: 2 2")
	if a, _ := r.Agent(ctx, ben); a.Offer != nil {
		t.Error("a direct text was offered")
	}
	rows, err := w.log.Conversations(ctx, eventlog.ConversationQuery{Agent: eventlog.StreamID(ben)})
	must(t, err)
	if len(rows) != 2 || rows[0].Display != string(conversation.DisplayParked) {
		t.Errorf("Ben's list has %d rows, want his 2 parked exchanges", len(rows))
	}
	w.stop(r)
	r = w.start("n1")
	r.PluginReady("text", "g2", newPort(textInfo()))
	want("after a restart", "4: 2 2")

	wake := make(chan struct{}, 100)
	f := r.NewFeed(ben, conversation.AudienceAgent, func() { wake <- struct{}{} })
	defer f.Close()
	poll := func() (recent int) {
		for {
			items, err := f.Poll(ctx, 10)
			must(t, err)
			if len(items) == 0 {
				return recent
			}
			for _, i := range items {
				if i.Recent {
					recent++
				}
			}
		}
	}
	poll()
	w.textTo(r, acc.ID, "+15005550001", "a3")
	<-wake
	if n := poll(); n != 1 {
		t.Errorf("feed told %d times of Recent, want once", n)
	}
	want("one more", "5: 3 2")
	// The owner reads one of the exchanges without taking it up.
	must(t, r.Mark(ctx, ben, second.Conversation, 0, 1<<40))
	want("one read", "3: 3")
	must(t, r.RecentSeen(ctx, ben))
	want("Recent visited", "0:")
	if n := poll(); n == 0 {
		t.Error("feed was not told that nothing waits")
	}
	must(t, r.RecentSeen(ctx, ben)) // a second time there is nothing to do
	w.textTo(r, acc.ID, "+15005550001", "a4")
	want("a new one", "1: 1")
	_, err = r.Join(ctx, ben, first.Conversation)
	must(t, err)
	want("taken up", "0:")
	w.textTo(r, acc.ID, "+15005550001", "a5")
	want("while it is open on the desk", "0:")
	must(t, r.Logout(ctx, ben))
	w.textTo(r, acc.ID, "+15005550001", "a6")
	want("after the logout", "1: 1")
	w.stop(r)
	r = w.start("n1")
	want("after another restart", "1: 1")
	must(t, r.AgentConnected(ctx, ben))
	_, err = r.Join(ctx, ben, first.Conversation)
	must(t, err)
	_, err = r.Leave(ctx, ben, first.Conversation, false)
	must(t, err)
	want("ended", "0:")
}

// N16: replies to a parked exchange wait for its owner, who is away.
func TestReplyWaitsForItsOwner(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	w.texting(r)
	ctx := context.Background()
	ana, ben := w.agents["ana"], w.agents["ben"]
	out, err := w.begin(r, "ana", "+15005550006", "hello", "")
	must(t, err)
	w.inbound(r, "+15005550006", "r0")
	if got := badge(r, ana); got != "0:" {
		t.Errorf("while it is active: badge %q, want none", got)
	}
	must(t, r.Logout(ctx, ana))
	w.inbound(r, "+15005550006", "r1")
	w.inbound(r, "+15005550006", "r2")
	if a, b := badge(r, ana), badge(r, ben); a != "2: 2" || b != "0:" {
		t.Errorf("owner %q, colleague %q, want 2 and none", a, b)
	}
	if _, err := r.Join(ctx, ben, out.Conversation); err != nil {
		t.Fatal(err)
	}
	if got := badge(r, ana); got != "0:" {
		t.Errorf("taken by a colleague: owner's badge %q, want none", got)
	}
}

// A second node knows what waits for an agent, too.
func TestBadgeOnAnotherNode(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.start("n1"), w.start("n2")
	for i, r := range []*router.Router{a, b} {
		r.PluginReady("text", fmt.Sprint("g", i), newPort(textInfo()))
	}
	acc, ben := w.direct(), w.agents["ben"]
	w.textTo(a, acc.ID, "+15005550001", "a1")
	w.textTo(b, acc.ID, "+15005550001", "a2")
	for i, r := range []*router.Router{a, b} {
		eventually(t, fmt.Sprint("badge of 2 on node ", i), func() bool { return badge(r, ben) == "2: 2" })
	}
	must(t, b.RecentSeen(context.Background(), ben))
	for i, r := range []*router.Router{a, b} {
		eventually(t, fmt.Sprint("no badge on node ", i), func() bool { return badge(r, ben) == "0:" })
	}
}

// accountLog lists the events of an account's own stream, as "type code-or-out".
func (w *world) accountLog(t *testing.T, id conversation.AccountID) (out []string) {
	t.Helper()
	recs, err := w.log.Read(context.Background(), eventlog.StreamID(id), 0, 100)
	must(t, err)
	for _, rec := range recs {
		var h struct {
			Code string
			Out  bool
		}
		unmarshal(t, rec.Head, &h)
		body, err := readers.OpenBody(w.vault, rec)
		must(t, err)
		out = append(out, fmt.Sprintf("%s %s%t %s", rec.Type, h.Code, h.Out, body))
	}
	return out
}

// N7: texts after End Chat are refused on an account whose messages begin no conversation.
func TestIgnoredTexts(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	w.texting(r)
	ctx := context.Background()
	w.text.Inbound = directory.InboundIgnore
	_, err := w.dir.PutAccount(ctx, w.text, nil)
	must(t, err)
	out, err := w.begin(r, "ana", "+15005550006", "hello", "")
	must(t, err)
	if a := w.inbound(r, "+15005550006", "r1"); a.Status != plugin.Committed || a.Conversation != out.Conversation {
		t.Errorf("reply: %+v, want it in %s", a, out.Conversation)
	}
	_, err = r.Leave(ctx, w.agents["ana"], out.Conversation, false)
	must(t, err)
	for range 2 { // a repeat changes nothing and gets the same answer (Y1)
		if a := w.inbound(r, "+15005550006", "r2"); a.Status != plugin.Refused || a.Code != "no_entry" {
			t.Errorf("after the end: %+v, want refused no_entry", a)
		}
	}
	want := []string{`account.refused/1 no_entryfalse {"thread":"+15005550006","parts":[{"kind":"text","text":"r2"}]}`}
	if d := cmp.Diff(want, w.accountLog(t, w.text.ID)); d != "" {
		t.Errorf("account's log (-want +got):\n%s", d)
	}
}

// STOP and START are recorded, in an exchange and without one.
func TestOptOut(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	w.texting(r)
	ctx := context.Background()
	out, err := w.begin(r, "ana", "+15005550006", "hello", "")
	must(t, err)
	consent := func(id string, stop bool, word string) plugin.Ack {
		return ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+15005550006", DedupeKey: id,
			Action: &plugin.CustomerAction{OptOut: &plugin.OptOut{Out: stop, Keyword: word}}})
	}
	send := func() string {
		_, err := r.Send(ctx, router.SendRequest{Conversation: out.Conversation, Agent: w.agents["ana"], Parts: textParts("x")})
		return router.Code(err)
	}
	if a := consent("s1", true, "Stop"); a.Status != plugin.Committed || a.Conversation != out.Conversation || a.Seq == 0 {
		t.Fatalf("opt-out: %+v", a)
	}
	if code := send(); code != "opted_out" {
		t.Errorf("message after the opt-out: %q, want opted_out", code)
	}
	if a := consent("s1", true, "Stop"); a.Status != plugin.Duplicate || a.Conversation != out.Conversation {
		t.Errorf("repeat: %+v, want a duplicate", a)
	}
	consent("s1b", true, "STOP")
	w.inbound(r, "+15005550006", "hi again")
	if code := send(); code != "opted_out" {
		t.Errorf("message after a message of the customer's: %q, want opted_out", code)
	}
	consent("s2", false, "START")
	if code := send(); code != "" {
		t.Errorf("message after the opt-in: %q", code)
	}
	if a := consent("s1b", true, "STOP"); a.Status != plugin.Duplicate || a.Conversation != out.Conversation {
		t.Errorf("late repeat of the opt-out: %+v, want a duplicate", a)
	}
	recs, err := r.Records(ctx, out.Conversation, conversation.AudienceAgent, 0, 100)
	must(t, err)
	var said []string
	for _, rec := range recs {
		if rec.Type == conversation.TypeConsentChanged {
			said = append(said, string(rec.Head)+string(rec.Body))
		}
	}
	if d := cmp.Diff([]string{`{"out":true}{"keyword":"Stop"}`, `{"out":true}{"keyword":"STOP"}`, `{"out":false}{"keyword":"START"}`}, said); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	_, err = r.Leave(ctx, w.agents["ana"], out.Conversation, false)
	must(t, err)
	if a := consent("s3", true, "STOP"); a.Status != plugin.Committed || !a.Conversation.IsZero() {
		t.Errorf("without an exchange: %+v, want committed in none", a)
	}
	if a := consent("s3", true, "STOP"); a.Status != plugin.Duplicate || !a.Conversation.IsZero() {
		t.Errorf("its repeat: %+v, want a duplicate", a)
	}
	if d := cmp.Diff([]string{`account.consent/1 true {"thread":"+15005550006","keyword":"STOP"}`}, w.accountLog(t, w.text.ID)); d != "" {
		t.Errorf("account's log (-want +got):\n%s", d)
	}
	rows, err := w.log.Conversations(ctx, eventlog.ConversationQuery{})
	if must(t, err); len(rows) != 1 {
		t.Errorf("%d conversations, want the one", len(rows))
	}
}
