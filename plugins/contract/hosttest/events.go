package hosttest

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Limits of an event, in bytes unless a line says otherwise.
const (
	maxField    = 4 << 10
	maxText     = 64 << 10 // text over all parts
	maxParts    = 32       // number of parts
	maxClientID = 64
	maxEmoji    = 64
)

// nobody is a well-formed id that belongs to no account, conversation, message or command.
const nobody = "0190ffff-0000-7000-8000-00000000dead"

// zero is a well-formed id with which the gateway means none.
const zero = "00000000-0000-0000-0000-000000000000"

// Values of eventCase.delivery. A case without one runs for both ways of delivery.
const (
	connected       = pluginv1.Delivery_DELIVERY_CONNECTED
	storeAndForward = pluginv1.Delivery_DELIVERY_STORE_AND_FORWARD
)

// eventCase is a sequence of events that the plugin sends on a thread of the case's own.
type eventCase struct {
	name     string
	delivery pluginv1.Delivery
	staffed  bool // the events are of the account with an agent
	steps    []step
}

// step is an event and its expected answer. The event gets the case's account and thread unless it
// names others; the case's name is added to its dedupe key.
type step struct {
	say *pluginv1.Event
	// want is "committed", "duplicate" or "refused CODE".
	want string
	// as, in and beside are numbers of earlier steps, from 1; 0: not checked. as: the answer names
	// the same record as that step's answer. in: it names a later record of the same conversation.
	// beside: it names another conversation.
	as, in, beside int
	// before is called before the event is sent.
	before func(t *testing.T, h *Host, thread string)
}

// anyAccount marks an event that names its account, which may be "".
const anyAccount = "\x00"

func events(t *testing.T, h *Host, delivery pluginv1.Delivery) {
	for _, c := range eventCases(h) {
		if c.delivery != 0 && c.delivery != delivery {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
}

func (c *eventCase) run(t *testing.T, h *Host) {
	thread := "thread of " + c.name
	acks := make([]*pluginv1.EventAck, 0, len(c.steps))
	for i, s := range c.steps {
		if s.before != nil {
			s.before(t, h, thread)
		}
		got := h.Emit(t, c.fill(h, s.say, thread))
		acks = append(acks, got)
		at := fmt.Sprintf("step %d", i+1)
		if said := verdict(got); said != s.want {
			t.Fatalf("%s: got %s, want %s", at, said, s.want)
		}
		if s.as > 0 {
			if first := acks[s.as-1]; got.GetConversationId() != first.GetConversationId() || got.GetLogSeq() != first.GetLogSeq() {
				t.Errorf("%s: got %s %d, want the ids of step %d: %s %d", at, got.GetConversationId(), got.GetLogSeq(), s.as, first.GetConversationId(), first.GetLogSeq())
			}
		}
		if s.in > 0 {
			if first := acks[s.in-1]; got.GetConversationId() == "" || got.GetConversationId() != first.GetConversationId() || got.GetLogSeq() <= first.GetLogSeq() {
				t.Errorf("%s: got %s %d, want the conversation of step %d and a later record: %s after %d", at, got.GetConversationId(), got.GetLogSeq(), s.in, first.GetConversationId(), first.GetLogSeq())
			}
		}
		if s.beside > 0 {
			if first := acks[s.beside-1]; got.GetConversationId() == "" || got.GetConversationId() == first.GetConversationId() {
				t.Errorf("%s: got conversation %q, want one of its own beside step %d's %q", at, got.GetConversationId(), s.beside, first.GetConversationId())
			}
		}
	}
}

func (c *eventCase) fill(h *Host, say *pluginv1.Event, thread string) *pluginv1.Event {
	ev := proto.CloneOf(say)
	switch account, given := strings.CutPrefix(ev.GetAccount(), anyAccount); {
	case given:
		ev.Account = account
	case ev.GetAccount() != "":
	case c.staffed:
		ev.Account = h.Staffed
	default:
		ev.Account = h.Account
	}
	switch ev.GetThread() {
	case "":
		ev.Thread = thread
	case none:
		ev.Thread = ""
	}
	if ev.GetDedupeKey() != "" && len(ev.GetDedupeKey()) < 100 {
		ev.DedupeKey = c.name + "/" + ev.GetDedupeKey()
	}
	return ev
}

// none stands for an event that names no thread.
const none = "\x00none"

func verdict(a *pluginv1.EventAck) string {
	switch a.GetStatus() {
	case pluginv1.AckStatus_ACK_STATUS_COMMITTED:
		return "committed"
	case pluginv1.AckStatus_ACK_STATUS_DUPLICATE:
		return "duplicate"
	case pluginv1.AckStatus_ACK_STATUS_REFUSED:
		return "refused " + a.GetCode()
	default:
		return fmt.Sprintf("%s %s", a.GetStatus(), a.GetCode())
	}
}

// Makers of events.

func message(key string, parts ...*pluginv1.Part) *pluginv1.Event {
	return &pluginv1.Event{DedupeKey: key, Kind: &pluginv1.Event_Message{Message: &pluginv1.Message{
		From: &pluginv1.Address{Address: "+15005550001"}, Parts: parts,
	}}}
}

func text(s string) *pluginv1.Part {
	return &pluginv1.Part{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: s}}}
}

func hello(key string) *pluginv1.Event { return message(key, text("hello")) }

// edited changes the message of an event with f and returns the event.
func edited(ev *pluginv1.Event, f func(*pluginv1.Message)) *pluginv1.Event {
	f(ev.GetMessage())
	return ev
}

func action(key string, a *pluginv1.CustomerAction) *pluginv1.Event {
	return &pluginv1.Event{DedupeKey: key, Kind: &pluginv1.Event_Action{Action: a}}
}

func begin(key string, parts ...*pluginv1.Part) *pluginv1.Event {
	return startWith(key, &pluginv1.Start{From: &pluginv1.Address{Address: "web:1", Name: "Carla"}, Parts: parts})
}

func startWith(key string, s *pluginv1.Start) *pluginv1.Event {
	return action(key, &pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Start{Start: s}})
}

func end(key string) *pluginv1.Event {
	return action(key, &pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_End{End: &pluginv1.End{}}})
}

func left(key string) *pluginv1.Event {
	return action(key, &pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Left{Left: &pluginv1.Left{Reason: "gone"}}})
}

func page(key, url string) *pluginv1.Event {
	return action(key, &pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Page{Page: &pluginv1.Page{Url: url}}})
}

func attributes(key string, list ...*pluginv1.Attribute) *pluginv1.Event {
	return action(key, &pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_Attributes{Attributes: &pluginv1.Attributes{Attributes: list}}})
}

func optOut(key string) *pluginv1.Event {
	return action(key, &pluginv1.CustomerAction{Action: &pluginv1.CustomerAction_OptOut{OptOut: &pluginv1.OptOut{Out: true, Keyword: "STOP"}}})
}

func receipt(conversation string, delivered, read uint64) *pluginv1.Event {
	return &pluginv1.Event{Kind: &pluginv1.Event_Receipt{Receipt: &pluginv1.Receipt{Conversation: conversation, DeliveredSeq: delivered, ReadSeq: read}}}
}

func status(st *pluginv1.DeliveryStatus) *pluginv1.Event {
	return &pluginv1.Event{Kind: &pluginv1.Event_Status{Status: st}}
}

func result(r *pluginv1.Result) *pluginv1.Event {
	return &pluginv1.Event{Kind: &pluginv1.Event_Result{Result: r}}
}

func deferred(key string) *pluginv1.Event {
	return &pluginv1.Event{DedupeKey: key, Kind: &pluginv1.Event_Deferred{Deferred: &pluginv1.Deferred{Opaque: []byte("later")}}}
}

func on(account string, ev *pluginv1.Event) *pluginv1.Event {
	ev.Account = anyAccount + account
	return ev
}

func along(thread string, ev *pluginv1.Event) *pluginv1.Event {
	ev.Thread = thread
	return ev
}

// one is a case of a single event, which the host refuses before it looks anything up.
func one(name, want string, say *pluginv1.Event) eventCase {
	return eventCase{name: name, steps: []step{{say: say, want: want}}}
}

func eventCases(h *Host) []eventCase {
	cases := append(strangers(h), malformed()...)
	cases = append(cases, repeats(h)...)
	cases = append(cases, lives()...)
	cases = append(cases, references()...)
	if h.MinorOne {
		cases = append(cases, minorOne()...)
	}
	return append(cases, words(h)...)
}

// strangers are events of accounts that the plugin does not have, or that are disabled.
func strangers(h *Host) []eventCase {
	var cases []eventCase
	for name, account := range map[string]string{
		"an account of nobody": nobody, "no id": "a", "no account": "", "a disabled account": h.Disabled,
	} {
		for kind, say := range map[string]*pluginv1.Event{
			"message": hello("k"), "start": begin("k"), "deferred": deferred("k"),
			"status": status(&pluginv1.DeliveryStatus{ProviderId: "p", Status: pluginv1.MessageStatus_MESSAGE_STATUS_SENT}),
		} {
			cases = append(cases, one(kind+" of "+name, "refused unknown_account", on(account, say)))
		}
	}
	return cases
}

// malformed are events that no conversation could take.
func malformed() []eventCase {
	long, sub := strings.Repeat("x", maxField+1), string(rune(contract.Substitute))
	file := func(blob string) *pluginv1.Part {
		return &pluginv1.Part{Part: &pluginv1.Part_File{File: &pluginv1.File{Blob: blob, Name: "a.txt"}}}
	}
	many := func(n int) (parts []*pluginv1.Part) {
		for range n {
			parts = append(parts, text("x"))
		}
		return parts
	}
	attribute := func(name, value string) *pluginv1.Attribute { return &pluginv1.Attribute{Name: name, Value: value} }
	manyAttributes := make([]*pluginv1.Attribute, 65)
	for i := range manyAttributes {
		manyAttributes[i] = attribute(fmt.Sprint(i), "x")
	}
	const invalid, tooLarge, unsupported = "refused invalid", "refused too_large", "refused unsupported"
	return []eventCase{
		one("no kind", unsupported, &pluginv1.Event{DedupeKey: "k"}),
		one("action without a kind", unsupported, action("k", &pluginv1.CustomerAction{})),
		one("message without a thread", invalid, along(none, hello("k"))),
		one("start without a thread", invalid, along(none, begin("k"))),
		one("long thread", invalid, along(long, hello("k"))),
		one("long key", invalid, hello(long)),
		one("thread that was no UTF-8", invalid, along("t"+sub, hello("k"))),
		one("key that was no UTF-8", invalid, hello("k"+sub)),
		one("message without parts", invalid, message("k")),
		one("empty text", invalid, message("k", text(""))),
		one("empty rich text", invalid, message("k", &pluginv1.Part{Part: &pluginv1.Part_RichText{RichText: &pluginv1.RichText{}}})),
		one("too many parts", tooLarge, message("k", many(maxParts+1)...)),
		one("too much text", tooLarge, message("k", text(strings.Repeat("x", maxText)), text("x"))),
		one("long client id", invalid, edited(hello("k"), func(m *pluginv1.Message) { m.ClientId = strings.Repeat("x", maxClientID+1) })),
		one("long address", invalid, edited(hello("k"), func(m *pluginv1.Message) { m.From.Address = long })),
		one("long name", invalid, edited(hello("k"), func(m *pluginv1.Message) { m.From.Name = long })),
		one("reply to no id", invalid, edited(hello("k"), func(m *pluginv1.Message) { m.ReplyTo = "m" })),
		one("file without a blob", invalid, message("k", file(""))),
		one("file with a blob that is no id", invalid, message("k", file("b"))),
		one("file with the blob zero", invalid, message("k", file(zero))),
		one("reaction to nothing", invalid, message("k", &pluginv1.Part{Part: &pluginv1.Part_Reaction{Reaction: &pluginv1.Reaction{Emoji: "x"}}})),
		one("long reaction", invalid, message("k", &pluginv1.Part{Part: &pluginv1.Part_Reaction{Reaction: &pluginv1.Reaction{Message: nobody, Emoji: strings.Repeat("x", maxEmoji+1)}}})),
		one("edit of nothing", invalid, message("k", &pluginv1.Part{Part: &pluginv1.Part_Edit{Edit: &pluginv1.Edit{Text: "x"}}})),
		one("revocation of no id", invalid, message("k", &pluginv1.Part{Part: &pluginv1.Part_Revoke{Revoke: &pluginv1.Revoke{Message: "m"}}})),
		one("start with a long name", invalid, startWith("k", &pluginv1.Start{FirstName: long})),
		one("start with a long subject", invalid, startWith("k", &pluginv1.Start{Subject: long})),
		one("start with a long client id", invalid, startWith("k", &pluginv1.Start{ClientId: strings.Repeat("x", maxClientID+1)})),
		one("start with too much text", tooLarge, begin("k", text(strings.Repeat("x", maxText+1)))),
		one("start on a long page", invalid, startWith("k", &pluginv1.Start{Page: &pluginv1.Page{Url: long}})),
		one("long page", invalid, page("k", long)),
		one("too many attributes", invalid, attributes("k", manyAttributes...)),
		one("long attribute", invalid, attributes("k", attribute("a", long))),
		one("attribute with a long name", invalid, attributes("k", attribute(long[:129], "x"))),
		one("receipt for no id", invalid, receipt("c", 1, 1)),
		one("receipt for the conversation zero", "refused ended", receipt(zero, 1, 1)),
		one("receipt for no conversation", invalid, receipt("", 1, 1)),
		one("status of nothing", invalid, status(&pluginv1.DeliveryStatus{Status: pluginv1.MessageStatus_MESSAGE_STATUS_SENT})),
		one("status without a status", unsupported, status(&pluginv1.DeliveryStatus{ProviderId: "p"})),
		one("status under a long id", invalid, status(&pluginv1.DeliveryStatus{ProviderId: long, Status: pluginv1.MessageStatus_MESSAGE_STATUS_SENT})),
		one("status of a command that is no id", invalid, status(&pluginv1.DeliveryStatus{CommandId: "c", Status: pluginv1.MessageStatus_MESSAGE_STATUS_SENT})),
		one("result of no id", invalid, result(&pluginv1.Result{CommandId: "c", Outcome: pluginv1.Outcome_OUTCOME_SENT})),
		{name: "as large as it may be", steps: []step{
			{say: begin("start"), want: "committed"},
			{say: message("parts", many(maxParts)...), want: "committed", in: 1},
			{say: message("text", text(strings.Repeat("x", maxText))), want: "committed", in: 2},
			{say: message("unknown part", &pluginv1.Part{}), want: "committed", in: 3},
		}},
	}
}

// repeats are cases in which an event comes again under the same key.
func repeats(h *Host) []eventCase {
	return []eventCase{
		{name: "start again", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: begin("s"), want: "duplicate", as: 1},
			{say: begin("s", text("another word")), want: "duplicate", as: 1},
		}},
		{name: "message again", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: hello("m"), want: "committed", in: 1},
			{say: hello("m"), want: "duplicate", as: 2},
			{say: message("m", text("another word")), want: "duplicate", as: 2},
			{say: hello("n"), want: "committed", in: 2},
		}},
		{name: "first message again", delivery: storeAndForward, steps: []step{
			{say: hello("m"), want: "committed"},
			{say: hello("m"), want: "duplicate", as: 1},
		}},
		{name: "key on another thread", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: hello("m"), want: "committed", in: 1},
			{say: along("another thread, without a conversation", begin("m")), want: "duplicate", as: 2},
			{say: along("another thread, with one", begin("o")), want: "committed", beside: 1},
			{say: along("another thread, with one", hello("m")), want: "duplicate", as: 2},
		}},
		{name: "key on another account", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: on(h.Staffed, begin("s")), want: "committed", beside: 1},
		}},
		{name: "key of another kind", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: page("s", "https://shop.example/"), want: "duplicate", as: 1},
			{say: deferred("s"), want: "duplicate", as: 1},
		}},
		{name: "without a key", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: hello(""), want: "committed", in: 1},
			{say: hello(""), want: "committed", in: 2},
		}},
		{name: "under a provider's id", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: edited(hello("m"), func(m *pluginv1.Message) { m.ProviderIds = []string{"under a provider's id/p"} }), want: "committed", in: 1},
			{say: hello("p"), want: "duplicate", as: 2},
		}},
		{name: "a client's id again", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: edited(hello("m"), func(m *pluginv1.Message) { m.ClientId = "c" }), want: "committed", in: 1},
			{say: edited(hello("n"), func(m *pluginv1.Message) { m.ClientId = "c" }), want: "committed", in: 2}, // a host recognises repeats by the key only
		}},
		{name: "deferred again", steps: []step{
			{say: along(none, deferred("d")), want: "committed"},
			{say: along(none, deferred("d")), want: "duplicate", as: 1},
		}},
		{name: "opt-out again", steps: []step{
			{say: optOut("o"), want: "committed"},
			{say: optOut("o"), want: "duplicate", as: 1},
		}},
		{name: "after the end", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: hello("m"), want: "committed", in: 1},
			{say: end("e"), want: "committed", in: 2},
			{say: begin("s"), want: "duplicate", as: 1},
			{say: hello("m"), want: "duplicate", as: 2},
			{say: end("e"), want: "duplicate", as: 3},
			{say: begin("t"), want: "committed", beside: 1},
			{say: begin("s"), want: "duplicate", as: 1},
			{say: hello("m"), want: "duplicate", as: 2},
		}},
		{name: "what was refused is taken later", steps: []step{
			{say: page("p", "https://shop.example/"), want: "refused ended"},
			{say: begin("s"), want: "committed"},
			{say: page("p", "https://shop.example/"), want: "committed", in: 2},
		}},
	}
}

// lives are cases in which conversations begin and end.
func lives() []eventCase {
	return []eventCase{
		{name: "message before a start", delivery: connected, steps: []step{
			{say: hello("m"), want: "refused ended"},
			{say: hello("m"), want: "refused ended"},
			{say: begin("s"), want: "committed"},
			{say: hello("m"), want: "committed", in: 3},
		}},
		{name: "message begins", delivery: storeAndForward, steps: []step{
			{say: hello("m"), want: "committed"},
			{say: hello("n"), want: "committed", in: 1},
		}},
		{name: "nothing to end", steps: []step{{say: end("e"), want: "refused ended"}}},
		{name: "nothing to leave", steps: []step{{say: left("l"), want: "refused ended"}}},
		{name: "nobody to visit a page", steps: []step{{say: page("p", "https://shop.example/"), want: "refused ended"}}},
		{name: "nobody to have attributes", steps: []step{{say: attributes("a", &pluginv1.Attribute{Name: "a", Value: "b"}), want: "refused ended"}}},
		{name: "start beside an open one", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: begin("t"), want: "duplicate"},
			{say: begin("u", text("more")), want: "committed", in: 1},
		}},
		{name: "ended by the customer", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: end("e"), want: "committed", in: 1},
			{say: end("f"), want: "refused ended"},
			{say: page("p", "https://shop.example/"), want: "refused ended"},
		}},
		{name: "left by the customer", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: left("l"), want: "committed", in: 1},
			{say: left("m"), want: "refused ended"},
		}},
		{name: "message after the end", delivery: connected, steps: []step{
			{say: begin("s"), want: "committed"},
			{say: end("e"), want: "committed", in: 1},
			{say: hello("m"), want: "refused ended"},
			{say: begin("t"), want: "committed", beside: 1},
			{say: hello("m"), want: "committed", in: 4},
		}},
		{name: "message after the end begins anew", delivery: storeAndForward, steps: []step{
			{say: hello("m"), want: "committed"},
			{say: end("e"), want: "committed", in: 1},
			{say: hello("n"), want: "committed", beside: 1},
		}},
		{name: "message after the agent's end", delivery: connected, staffed: true, steps: []step{
			{say: begin("s"), want: "committed"},
			{say: hello("m"), want: "refused ended", before: func(t *testing.T, h *Host, thread string) { h.End(t, thread) }},
			{say: hello("m"), want: "refused ended"},
			{say: end("e"), want: "refused ended"},
		}},
	}
}

// words are cases of receipts, statuses and results. These come in any order, and a host keeps no
// key to recognise their repeats.
func words(h *Host) []eventCase {
	sent := func(id string) *pluginv1.Event {
		return status(&pluginv1.DeliveryStatus{ProviderId: id, Status: pluginv1.MessageStatus_MESSAGE_STATUS_SENT})
	}
	delivered := func(id string) *pluginv1.Event {
		return status(&pluginv1.DeliveryStatus{ProviderId: id, Status: pluginv1.MessageStatus_MESSAGE_STATUS_DELIVERED})
	}
	return []eventCase{
		one("receipt without a conversation", "refused ended", receipt(nobody, 1, 1)),
		{name: "receipt of another conversation", steps: []step{
			{say: begin("s"), want: "committed"},
			{say: receipt(nobody, 1, 1), want: "refused ended"},
		}},
		{name: "status before its message", steps: []step{
			{say: delivered("early"), want: "committed"},
			{say: sent("early"), want: "committed"},
			{say: delivered("early"), want: "committed"},
		}},
		{name: "status without a thread", steps: []step{{say: along(none, sent("q")), want: "committed"}}},
		one("status of an unknown command", "refused unknown_message",
			status(&pluginv1.DeliveryStatus{CommandId: nobody, Status: pluginv1.MessageStatus_MESSAGE_STATUS_SENT})),
		{name: "status of an unknown command and a provider's id", steps: []step{
			{say: status(&pluginv1.DeliveryStatus{ProviderId: "r", CommandId: nobody, Status: pluginv1.MessageStatus_MESSAGE_STATUS_SENT}), want: "committed"},
		}},
		one("result of an unknown command", "refused unknown_command", result(&pluginv1.Result{CommandId: nobody, Outcome: pluginv1.Outcome_OUTCOME_SENT})),
		one("result of an unknown account", "refused unknown_account", on(nobody, result(&pluginv1.Result{CommandId: nobody, Outcome: pluginv1.Outcome_OUTCOME_SENT}))),
		one("result of a disabled account", "refused unknown_command", on(h.Disabled, result(&pluginv1.Result{CommandId: nobody, Outcome: pluginv1.Outcome_OUTCOME_SENT}))),
	}
}
