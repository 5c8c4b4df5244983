package router_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// messenger is a carrier whose channel quotes, reacts, edits and revokes.
func newMessenger(t *testing.T, caps conversation.Capabilities) *carrier {
	t.Helper()
	w := newWorld(t, nil)
	r := w.start("n1")
	info := textInfo()
	caps.Text, caps.OutboundFirst, caps.AddressKind = true, true, "phone"
	caps.Reaction, caps.Edit, caps.Revoke, caps.Quotes, caps.Template = true, true, true, true, true
	info.Capabilities = caps
	c := &carrier{world: w, r: r, port: newPort(info)}
	r.PluginReady("text", "g1", c.port)
	c.conv = w.textChat(r)
	return c
}

// writes lets Ana send a message, and returns the command that the plugin gets for it.
func (c *carrier) writes(t *testing.T, parts []conversation.Part, replyTo conversation.MessageID) plugin.Outbound {
	t.Helper()
	_, err := c.r.Send(t.Context(), router.SendRequest{
		Conversation: c.conv, Agent: c.agents["ana"], ClientID: fmt.Sprint("w", c.n), Parts: parts, ReplyTo: replyTo})
	must(t, err)
	cmd := c.port.next(t, c.n)
	c.n++
	return cmd
}

// sent answers a command: the provider has it under ids.
func (c *carrier) sent(t *testing.T, cmd plugin.Outbound, ids ...string) {
	t.Helper()
	if a := c.result(c.r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: ids}); a.Status != plugin.Committed {
		t.Fatalf("result: %+v", a)
	}
}

// bodies returns the bodies of a conversation's events of a type.
func (c *carrier) bodies(t *testing.T, typ conversation.Type) (out []string) {
	t.Helper()
	recs, err := c.r.Records(t.Context(), c.conv, conversation.AudienceAudit, 0, 1000)
	must(t, err)
	for _, rec := range recs {
		if rec.Type == typ {
			out = append(out, string(rec.Body))
		}
	}
	return out
}

// Agents' quotes, reactions, edits and revocations reach the plugin with the provider's ids, those of all
// parts of a message that was several there, whether the message named is the customer's or an agent's
// (DESIGN.md 3).
func TestOutboundReferences(t *testing.T) {
	c := newMessenger(t, conversation.Capabilities{})
	in := c.smsMessage("+49301234", "hers")
	in.Message.ProviderIDs = []string{"p/hers", "p/hers-2"}
	hers, body := posted(t, c.r, ingest(c.r, in))
	if !slices.Equal(body.ProviderIDs, in.Message.ProviderIDs) {
		t.Errorf("the customer's message is kept with the ids %q", body.ProviderIDs)
	}
	mine := c.writes(t, textParts("a long one"), hers.ID)
	if mine.Send.ReplyToProviderID != "p/hers" {
		t.Errorf("the plugin is told to quote %q", mine.Send.ReplyToProviderID)
	}
	// While it is under way, three more messages name it: they wait for it, and so for its ids.
	id := conversation.MessageID(mine.Command)
	for i, kind := range []conversation.PartKind{conversation.PartEdit, conversation.PartReaction} {
		_, err := c.r.Send(t.Context(), router.SendRequest{Conversation: c.conv, Agent: c.agents["ana"], ClientID: fmt.Sprint("early", i), Parts: change(kind, id)})
		must(t, err)
	}
	// A callback comes first and brings one of the ids; the answer brings all.
	if a := c.said(plugin.DeliveryStatus{Command: mine.Command, ProviderID: "m2", Status: conversation.StatusDelivered}); a.Status != plugin.Committed {
		t.Fatalf("callback: %+v", a)
	}
	c.sent(t, mine, "m1", "m2")
	if got := c.bodies(t, conversation.TypeMessageNamed); len(got) != 1 || got[0] != `{"provider_ids":["m1","m2"]}` {
		t.Errorf("further ids are kept as %q", got)
	}
	for i := range 2 {
		cmd := c.port.next(t, c.n)
		c.n++
		_, first, all := cmd.Send.Parts[0].Names()
		if i == 0 { // handed out when the callback had settled the message
			if *first != "m2" && *first != "m1" {
				t.Errorf("the edit names %q of %q", *first, *all)
			}
		} else if *first != "m1" || !slices.Equal(*all, []string{"m1", "m2"}) {
			t.Errorf("the reaction names %q of %q", *first, *all)
		}
		c.sent(t, cmd)
	}
	revoke := c.writes(t, change(conversation.PartRevoke, id), conversation.MessageID{})
	if p := revoke.Send.Parts[0].Revoke; p.Message != id || p.ProviderID != "m1" || !slices.Equal(p.ProviderIDs, []string{"m1", "m2"}) {
		t.Errorf("the revocation is %+v", p)
	}
	c.sent(t, revoke)
	reaction := c.writes(t, change(conversation.PartReaction, hers.ID), conversation.MessageID{})
	if p := reaction.Send.Parts[0].Reaction; p.ProviderID != "p/hers" || !slices.Equal(p.ProviderIDs, in.Message.ProviderIDs) {
		t.Errorf("the reaction to the customer's is %+v", p)
	}
	c.sent(t, reaction)
	// What is stored of these messages has no ids: they are looked up when the message goes out.
	for _, b := range c.bodies(t, conversation.TypeMessage) {
		var m conversation.MessageBody
		must(t, json.Unmarshal([]byte(b), &m))
		for i := range m.Parts {
			if named, first, _ := m.Parts[i].Names(); named != nil && *first != "" {
				t.Errorf("the log has %q in %s", *first, b)
			}
		}
	}
	// Another process finds them, too.
	c.stop(c.r)
	c.r = c.start("n1")
	c.port = newPort(c.port.info)
	c.r.PluginReady("text", "g2", c.port)
	must(t, c.r.AgentConnected(t.Context(), c.agents["ana"]))
	c.n = 0
	_, err := c.r.Send(t.Context(), router.SendRequest{Conversation: c.conv, Agent: c.agents["ana"], ClientID: "later", Parts: textParts("so"), ReplyTo: id})
	must(t, err)
	if got := c.port.next(t, 0).Send.ReplyToProviderID; got != "m1" {
		t.Errorf("after a restart the plugin is told to quote %q", got)
	}
}

// A change to a message that was not sent fails with a code that says so, is not handed out, and does not
// hold back the next message. A quote of it goes out as a plain message.
func TestReferenceNotSent(t *testing.T) {
	for _, tc := range []struct {
		outcome conversation.Status
		code    string
	}{{conversation.StatusFailed, "reference_failed"}, {conversation.StatusUnknown, "reference_unknown"}} {
		t.Run(string(tc.outcome), func(t *testing.T) {
			c := newMessenger(t, conversation.Capabilities{})
			mine := c.writes(t, textParts("one"), conversation.MessageID{})
			c.result(c.r, mine, plugin.CommandResult{Outcome: tc.outcome, Kind: "content", Code: "9"})
			id := conversation.MessageID(mine.Command)
			for i, kind := range []conversation.PartKind{conversation.PartEdit, conversation.PartReaction, conversation.PartRevoke} {
				sent, err := c.r.Send(t.Context(), router.SendRequest{Conversation: c.conv, Agent: c.agents["ana"], ClientID: fmt.Sprint(i), Parts: change(kind, id)})
				must(t, err)
				eventually(t, "failure of the "+string(kind), func() bool {
					recs, err := c.r.Records(t.Context(), c.conv, conversation.AudienceAgent, sent.Seq, 100)
					must(t, err)
					for _, rec := range recs {
						if h, ok := headOf(t, rec).(*conversation.MessageStatus); ok && h.Message == sent.Message {
							return *h == conversation.MessageStatus{Message: sent.Message, Status: conversation.StatusFailed, Kind: "content", Code: tc.code}
						}
					}
					return false
				})
			}
			next := c.writes(t, textParts("two"), id)
			if next.Send.Parts[0].Text != "two" || next.Send.ReplyToProviderID != "" {
				t.Errorf("the next message is %+v", next.Send)
			}
		})
	}
	// Sent, without an id: the plugin is given ours, and decides.
	c := newMessenger(t, conversation.Capabilities{})
	mine := c.writes(t, textParts("one"), conversation.MessageID{})
	c.sent(t, mine)
	cmd := c.writes(t, change(conversation.PartRevoke, conversation.MessageID(mine.Command)), conversation.MessageID(mine.Command))
	if p := cmd.Send.Parts[0].Revoke; p.Message != conversation.MessageID(mine.Command) || p.ProviderID != "" || cmd.Send.ReplyToProviderID != "" {
		t.Errorf("revocation of a message without ids: %+v", p)
	}
}

func (c *carrier) receipt(id, delivered, read string) plugin.Ack {
	return ingest(c.r, plugin.Inbound{Plugin: "text", Account: c.text.ID, Thread: "+49301234", DedupeKey: id,
		Receipt: &plugin.InboundReceipt{DeliveredID: delivered, ReadID: read}})
}

// Receipts by the provider's ids move all messages up to the named one forward, in whatever order they come
// and how often; one that comes before its message is known is kept and applied then (FT32).
func TestReceiptsByProviderID(t *testing.T) {
	c := newMessenger(t, conversation.Capabilities{})
	first := c.sends(t)
	c.sent(t, first, "m1")
	second := c.sends(t)
	for range 2 {
		if a := c.receipt("early", "", "m2"); a.Status != plugin.Committed {
			t.Fatalf("early receipt: %+v", a)
		}
	}
	if got := c.fate(t, first); got != conversation.StatusSent {
		t.Errorf("before the second message is known the first is %s", got)
	}
	c.sent(t, second, "m2")
	if a, b := c.fate(t, first), c.fate(t, second); a != conversation.StatusRead || b != conversation.StatusRead {
		t.Errorf("the early receipt leaves %s and %s, want both read", a, b)
	}
	if n := len(c.bodies(t, conversation.TypeReceipt)); n != 1 {
		t.Errorf("%d marks of the customer, want 1", n)
	}
	third := c.sends(t)
	c.sent(t, third, "m3")
	fourth := c.sends(t)
	c.sent(t, fourth, "m4")
	for range 2 {
		if a := c.receipt("both", "m4", "m3"); a.Status != plugin.Committed {
			t.Fatalf("receipt: %+v", a)
		}
	}
	if a, b := c.fate(t, third), c.fate(t, fourth); a != conversation.StatusRead || b != conversation.StatusDelivered {
		t.Errorf("after delivered m4, read m3: %s and %s", a, b)
	}
	before := len(types(t, c.r, c.conv))
	if a := c.receipt("late", "m1", ""); a.Status != plugin.Committed {
		t.Fatalf("late receipt: %+v", a)
	}
	if after := len(types(t, c.r, c.conv)); after != before {
		t.Errorf("a late receipt wrote %d events", after-before)
	}
	// Bad ones.
	in := plugin.Inbound{Plugin: "text", Account: c.text.ID, Thread: "+49301234", Receipt: &plugin.InboundReceipt{ReadID: "m4", Read: 3}}
	if a := ingest(c.r, in); a.Status != plugin.Refused || a.Code != "invalid" {
		t.Errorf("receipt by id and by sequence: %+v", a)
	}
	if a := c.receipt("long", string(make([]byte, 5000)), ""); a.Status != plugin.Refused || a.Code != "invalid" {
		t.Errorf("receipt with a long id: %+v", a)
	}
}

// The provider opens and closes the reply window: what agents may send follows it, and they are told.
func TestProvidersReplyWindow(t *testing.T) {
	c := newMessenger(t, conversation.Capabilities{ReplyWindow: 24})
	now := time.Now().UTC().Truncate(time.Millisecond)
	window := func(id string, expires, at time.Time) plugin.Ack {
		return ingest(c.r, plugin.Inbound{Plugin: "text", Account: c.text.ID, Thread: "+49301234", DedupeKey: id, ProviderAt: at,
			ReplyWindow: &plugin.ReplyWindow{Expires: expires}})
	}
	send := func(id string, parts []conversation.Part) string {
		_, err := c.r.Send(t.Context(), router.SendRequest{Conversation: c.conv, Agent: c.agents["ana"], ClientID: id, Parts: parts})
		return router.Code(err)
	}
	if a := window("w1", now.Add(time.Hour), now); a.Status != plugin.Committed {
		t.Fatalf("window: %+v", a)
	}
	if got := send("1", textParts("free")); got != "" {
		t.Errorf("within the window: %q", got)
	}
	if a := window("w2", now.Add(-time.Minute), now.Add(time.Second)); a.Status != plugin.Committed {
		t.Fatalf("closed window: %+v", a)
	}
	if got := send("2", textParts("late")); got != "reply_window" {
		t.Errorf("outside of the window: %q, want reply_window", got)
	}
	template := []conversation.Part{{Kind: conversation.PartTemplate, Template: &conversation.Template{Name: "hello", Language: "en"}}}
	if got := send("3", template); got != "" {
		t.Errorf("a template outside of the window: %q", got)
	}
	if a := window("w1", now.Add(time.Hour), now); a.Status == plugin.Refused || a.Status == plugin.Retry {
		t.Errorf("a repeat of the first window: %+v", a)
	}
	if a := window("w3", now.Add(time.Hour), now.Add(-time.Hour)); a.Status != plugin.Committed {
		t.Errorf("a window said before: %+v", a)
	}
	if got := send("4", textParts("late")); got != "reply_window" {
		t.Errorf("after an older window: %q, want reply_window", got)
	}
	info, err := c.r.Info(t.Context(), c.conv)
	must(t, err)
	if until, limited := info.State.WindowOf(0); !limited || !until.Equal(now.Add(-time.Minute)) {
		t.Errorf("agents see %v, %t", until, limited)
	}
	if got := len(c.bodies(t, conversation.TypeWindowChanged)); got != 2 {
		t.Errorf("%d changes of the window, want 2", got)
	}
	recs, err := c.r.Records(t.Context(), c.conv, conversation.AudienceCustomer, 0, 1000)
	must(t, err)
	for _, rec := range recs {
		if rec.Type == conversation.TypeWindowChanged || rec.Type == conversation.TypeMessageNamed {
			t.Errorf("customers are told %s", rec.Type)
		}
	}
	if a := window("far", time.Date(30000, 1, 1, 0, 0, 0, 0, time.UTC), now); a.Status != plugin.Refused || a.Code != "invalid" {
		t.Errorf("a window without end: %+v", a)
	}
	none := plugin.Inbound{Plugin: "text", Account: c.text.ID, Thread: "+4999", DedupeKey: "n", ReplyWindow: &plugin.ReplyWindow{Expires: now}}
	if a := ingest(c.r, none); a.Status != plugin.Refused || a.Code != "ended" {
		t.Errorf("a window of a thread without a conversation: %+v", a)
	}
}

// The customer's edits and revocations by the provider's id are kept in the order in which they came, each
// once, with our id, whatever was done to the message before: what a revoked message shows is for readers to
// say, and the log is what happened. What names no message is kept as it came.
func TestSequencesOfEdits(t *testing.T) {
	c := newMessenger(t, conversation.Capabilities{})
	in := c.smsMessage("+49301234", "m")
	in.Message.ProviderIDs = []string{"p/m"}
	hers, _ := posted(t, c.r, ingest(c.r, in))
	part := func(kind conversation.PartKind, id, text string) []conversation.Part {
		parts := byProvider(kind, id)
		if parts[0].Edit != nil {
			parts[0].Edit.Text = text
		}
		return parts
	}
	steps := []struct {
		key   string
		parts []conversation.Part
	}{
		{"e1", part(conversation.PartEdit, "p/m", "one")},
		{"e2", part(conversation.PartEdit, "p/m", "two")},
		{"e1", part(conversation.PartEdit, "p/m", "one")}, // a repeat
		{"r1", part(conversation.PartReaction, "p/m", "")},
		{"v1", part(conversation.PartRevoke, "p/m", "")},
		{"e3", part(conversation.PartEdit, "p/m", "three")}, // after the revocation: it was sent before, and came late
		{"v1", part(conversation.PartRevoke, "p/m", "")},
		{"v2", part(conversation.PartRevoke, "p/m", "")}, // once more by the customer
		{"e4", part(conversation.PartEdit, "p/none", "four")},
		{"e4", part(conversation.PartEdit, "p/none", "four")},
		{"e5", part(conversation.PartEdit, "dup/m", "five")}, // of an edit
	}
	var wrote []string
	seen := map[string]bool{}
	for i, s := range steps {
		ev := c.smsMessage("+49301234", s.key)
		ev.Message.Parts = s.parts
		if s.key == "e1" {
			ev.Message.ProviderIDs = []string{"dup/m"}
		}
		ack := ingest(c.r, ev)
		if seen[s.key] {
			if ack.Status != plugin.Duplicate {
				t.Errorf("step %d, a repeat: %+v", i, ack)
			}
			continue
		}
		seen[s.key] = true
		h, body := posted(t, c.r, ack)
		line := string(h.Kinds[0])
		if named, _, _ := body.Parts[0].Names(); named != nil {
			if *named != hers.ID {
				t.Errorf("step %d names %s, want %s", i, *named, hers.ID)
			}
			if e := body.Parts[0].Edit; e != nil {
				line += " " + e.Text
			}
		}
		wrote = append(wrote, line)
	}
	want := []string{"edit one", "edit two", "reaction", "revoke", "edit three", "revoke", "unsupported", "unsupported"}
	if !slices.Equal(wrote, want) {
		t.Errorf("the log has %q, want %q", wrote, want)
	}
	// The agent's own go out in order, behind each other, and each once.
	mine := c.writes(t, textParts("mine"), conversation.MessageID{})
	id := conversation.MessageID(mine.Command)
	for i, kind := range []conversation.PartKind{conversation.PartEdit, conversation.PartRevoke, conversation.PartEdit} {
		for range 2 { // a retry after a lost answer
			_, err := c.r.Send(t.Context(), router.SendRequest{Conversation: c.conv, Agent: c.agents["ana"], ClientID: fmt.Sprint("seq", i), Parts: change(kind, id)})
			must(t, err)
		}
	}
	c.sent(t, mine, "m1")
	for _, kind := range []conversation.PartKind{conversation.PartEdit, conversation.PartRevoke, conversation.PartEdit} {
		cmd := c.port.next(t, c.n)
		c.n++
		_, first, _ := cmd.Send.Parts[0].Names()
		if cmd.Send.Parts[0].Kind != kind || *first != "m1" {
			t.Errorf("the plugin gets %s of %q, want %s of m1", cmd.Send.Parts[0].Kind, *first, kind)
		}
		c.sent(t, cmd)
	}
	if n := len(c.port.got); n != c.n {
		t.Errorf("the plugin got %d commands, want %d", n, c.n)
	}
}
