package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// botPort is the plugin of a bot. It keeps the notices that it is given.
type botPort struct {
	port
	noticeMu sync.Mutex
	notices  []plugin.BotNotice
}

func (p *botPort) NoticeBot(n plugin.BotNotice) bool {
	p.noticeMu.Lock()
	defer p.noticeMu.Unlock()
	p.notices = append(p.notices, n)
	return true
}

func (p *botPort) noticed(conv conversation.ConversationID, left bool) (n int) {
	p.noticeMu.Lock()
	defer p.noticeMu.Unlock()
	for _, x := range p.notices {
		if x.Conversation == conv && x.Left == left {
			n++
		}
	}
	return n
}

// withBot gives the world's service a bot, and returns the bot's account.
func (w *world) withBot() directory.Account {
	w.t.Helper()
	acc, err := w.dir.PutAccount(context.Background(), directory.Account{Plugin: "parrot", Name: "Polly", Inbound: directory.InboundNone, Enabled: true}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.service.Bot = acc.ID
	if w.service, err = w.dir.PutService(context.Background(), w.service); err != nil {
		w.t.Fatal(err)
	}
	return acc
}

func botReady(r *router.Router, instance string) *botPort {
	p := &botPort{port: port{info: plugin.Info{ID: "parrot", Bot: true}}}
	r.PluginReady("parrot", instance, p)
	return p
}

func (w *world) botDoes(r *router.Router, acc directory.Account, key string, a plugin.BotAction) plugin.Ack {
	return ingest(r, plugin.Inbound{Plugin: acc.Plugin, Account: acc.ID, DedupeKey: key, Bot: &a})
}

func botText(conv conversation.ConversationID, client, text string) plugin.BotAction {
	return plugin.BotAction{Conversation: conv, Post: &plugin.BotPost{ClientID: client, Parts: textParts(text)}}
}

func (w *world) readAsBot(r *router.Router, acc directory.Account, conv conversation.ConversationID) (*sink, plugin.Reader) {
	w.t.Helper()
	s := &sink{t: w.t}
	rd, err := r.Subscribe(context.Background(), plugin.SubscriptionSpec{Plugin: acc.Plugin, Account: acc.ID, Bot: conv, Audience: conversation.AudienceBot, Credit: 1000}, s)
	if err != nil {
		w.t.Fatalf("subscribe as a bot: %v", err)
	}
	w.t.Cleanup(rd.Close)
	return s, rd
}

// A17: a bot answers first, its message reaches the customer once however often it is sent, and
// after it has handed over it reads and writes nothing any more. Agents see why it left.
func TestBotAnswersAndHandsOver(t *testing.T) {
	w := newWorld(t, nil)
	acc := w.withBot()
	r := w.start("n1")
	p := botReady(r, "parrot-1")
	customer, _ := w.subscribe(r, "v", 1000, conversation.ConversationID{}, 0)
	conv := w.startChat(r, "v", "Cora", "hello").Conversation
	if info := w.info(r, conv); info.Bot() != acc.ID || len(info.Requests) != 0 {
		t.Fatalf("a conversation of a service with a bot has bot %v, requests %v", info.Bot(), info.Requests)
	}
	if p.noticed(conv, false) != 1 {
		t.Fatalf("notices: %v", p.notices)
	}
	s, _ := w.readAsBot(r, acc, conv)
	eventually(t, "the customer's text at the bot", func() bool { return s.messages() == 1 })

	first := w.botDoes(r, acc, "a1", botText(conv, "c1", "hello yourself"))
	again := w.botDoes(r, acc, "a2", botText(conv, "c1", "hello yourself"))
	if first.Status != plugin.Committed || again.Status != plugin.Duplicate || again.Seq != first.Seq {
		t.Errorf("acks of one message sent twice: %+v, %+v", first, again)
	}
	eventually(t, "the bot's answer at the customer", func() bool { return customer.messages() == 2 })

	if ack := w.botDoes(r, acc, "h", plugin.BotAction{Conversation: conv, HandOver: &plugin.BotHandOver{Reason: "wants a person"}}); ack.Status != plugin.Committed {
		t.Fatalf("hand over: %+v", ack)
	}
	// The answer was lost, and the plugin sends it all once more.
	if ack := w.botDoes(r, acc, "h", plugin.BotAction{Conversation: conv, HandOver: &plugin.BotHandOver{Reason: "wants a person"}}); ack.Status != plugin.Duplicate {
		t.Errorf("hand over again: %+v", ack)
	}
	for _, key := range []string{"a1", "a3"} { // known by its client id, too
		if ack := w.botDoes(r, acc, key, botText(conv, "c1", "hello yourself")); ack.Status != plugin.Duplicate || ack.Seq != first.Seq {
			t.Errorf("a message from before again: %+v", ack)
		}
	}
	w.message(r, "v", "m2", "secret for people")
	eventually(t, "the end of the bot's reading", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.ends) == 1 })
	if s.ends[0] != "left" || s.messages() != 2 {
		t.Errorf("the bot's reading ended with %v after %d messages", s.ends, s.messages())
	}
	if p.noticed(conv, true) != 1 {
		t.Errorf("notices: %v", p.notices)
	}
	if ack := w.botDoes(r, acc, "late", botText(conv, "c9", "too late")); ack.Status != plugin.Refused || ack.Code != "not_joined" {
		t.Errorf("a message of a bot that left: %+v", ack)
	}
	if ack := w.botDoes(r, acc, "a3", botText(conv, "c1", "hello yourself")); ack.Status != plugin.Duplicate || ack.Seq != first.Seq {
		t.Errorf("its first message again: %+v, want a repeat of %d", ack, first.Seq)
	}
	if info := w.info(r, conv); len(info.Requests) != 1 {
		t.Errorf("requests after the hand-over: %v", info.Requests)
	}
	for _, a := range []conversation.Audience{conversation.AudienceCustomer, conversation.AudienceBot, conversation.AudienceAgent} {
		recs, err := r.Records(context.Background(), conv, a, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		seen := false
		for _, rec := range recs {
			seen = seen || strings.Contains(string(rec.Body), "wants a person")
		}
		if seen != (a == conversation.AudienceAgent) {
			t.Errorf("%v sees the bot's reason: %v", a, seen)
		}
	}
	if _, err := r.Subscribe(context.Background(), plugin.SubscriptionSpec{Plugin: acc.Plugin, Account: acc.ID, Bot: conv, Audience: conversation.AudienceBot, Credit: 1}, s); subscribeCode(err) != "not_joined" {
		t.Errorf("reading after the bot left: %v", err)
	}
}

func subscribeCode(err error) string {
	var e *plugin.SubscribeError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func (w *world) info(r *router.Router, conv conversation.ConversationID) conversation.State {
	w.t.Helper()
	info, err := r.Info(context.Background(), conv)
	if err != nil {
		w.t.Fatal(err)
	}
	return info.State
}

// What a bot may not do is refused for good, and nothing of it is in the conversation.
func TestBotRefused(t *testing.T) {
	w := newWorld(t, nil)
	acc := w.withBot()
	r := w.start("n1")
	botReady(r, "parrot-1")
	conv := w.startChat(r, "v", "Cora", "hello").Conversation
	foreign, err := w.dir.PutAccount(context.Background(), directory.Account{Plugin: "parrot", Name: "Lora", Inbound: directory.InboundNone, Enabled: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := w.info(r, conv).Seq
	end := plugin.BotAction{Conversation: conv, End: &plugin.BotEnd{}}
	for name, c := range map[string]struct {
		acc  directory.Account
		a    plugin.BotAction
		code string
	}{
		"another bot's conversation": {foreign, botText(conv, "x", "hi"), "not_joined"},
		"end by another bot":         {foreign, end, "not_joined"},
		"facts from another bot":     {foreign, plugin.BotAction{Conversation: conv, Attributes: map[string]string{"a": "b"}}, "not_joined"},
		"no such conversation":       {acc, botText(conversation.NewID[conversation.ConversationID](), "x", "hi"), "not_found"},
		"no conversation":            {acc, botText(conversation.ConversationID{}, "x", "hi"), "invalid"},
		"nothing":                    {acc, plugin.BotAction{Conversation: conv}, "invalid"},
		"two things":                 {acc, plugin.BotAction{Conversation: conv, End: &plugin.BotEnd{}, HandOver: &plugin.BotHandOver{}}, "invalid"},
		"empty message":              {acc, plugin.BotAction{Conversation: conv, Post: &plugin.BotPost{}}, "invalid"},
		"long client id":             {acc, botText(conv, strings.Repeat("c", 65), "hi"), "invalid"},
		"too large":                  {acc, botText(conv, "x", strings.Repeat("x", 65<<10)), "too_large"},
		"unknown service":            {acc, plugin.BotAction{Conversation: conv, HandOver: &plugin.BotHandOver{Service: "Nowhere"}}, "no_service"},
		"long reason":                {acc, plugin.BotAction{Conversation: conv, HandOver: &plugin.BotHandOver{Reason: strings.Repeat("x", 5<<10)}}, "invalid"},
		"a reply to nothing": {acc, plugin.BotAction{Conversation: conv, Post: &plugin.BotPost{Parts: textParts("hi"),
			ReplyTo: conversation.NewID[conversation.MessageID]()}}, "no_such_message"},
	} {
		if ack := w.botDoes(r, c.acc, "refused "+name, c.a); ack.Status != plugin.Refused || ack.Code != c.code {
			t.Errorf("%s: %+v, want refused %s", name, ack, c.code)
		}
	}
	if now := w.info(r, conv).Seq; now != before {
		t.Errorf("refused acts left %d events", now-before)
	}
	for name, spec := range map[string]plugin.SubscriptionSpec{
		"not_joined": {Plugin: "parrot", Account: foreign.ID, Bot: conv, Audience: conversation.AudienceBot, Credit: 1},
		"invalid":    {Plugin: "parrot", Account: acc.ID, Bot: conv, Audience: conversation.AudienceAgent, Credit: 1},
		"not_found":  {Plugin: "parrot", Account: acc.ID, Bot: conversation.NewID[conversation.ConversationID](), Audience: conversation.AudienceBot, Credit: 1},
	} {
		if _, err := r.Subscribe(context.Background(), spec, &sink{t: t}); subscribeCode(err) != name {
			t.Errorf("subscription that should be %s: %v", name, err)
		}
	}
}

// A bot hands over to another service, whose agent then has the conversation under that service's
// rules for its medium; a bot can end a conversation too.
func TestBotElsewhere(t *testing.T) {
	w := newWorld(t, nil)
	acc := w.withBot()
	billing := w.ruled(directory.Service{Name: "Billing"}, directory.RulesRecord{}, map[conversation.Medium]directory.RulesRecord{
		conversation.MediumChat: {OfferTimeout: lasting(45 * time.Second)},
	})
	r := w.start("n1")
	botReady(r, "parrot-1")
	conv := w.startChat(r, "v", "Cora", "my bill").Conversation
	if ack := w.botDoes(r, acc, "h", plugin.BotAction{Conversation: conv, HandOver: &plugin.BotHandOver{Service: "Billing"}}); ack.Status != plugin.Committed {
		t.Fatalf("hand over: %+v", ack)
	}
	ben := w.agents["ben"]
	must(t, r.AgentConnected(t.Context(), ben))
	must(t, r.Ready(t.Context(), ben))
	_, _, err := r.Accept(t.Context(), ben, offerTo(t, r, ben).Offer)
	must(t, err)
	if info := w.info(r, conv); info.Service != billing.ID || info.Rules.OfferTimeout != 45_000 {
		t.Errorf("after the hand-over the service is %v, its offers take %d ms", info.Service, info.Rules.OfferTimeout)
	}
	other := w.startChat(r, "u", "Carl", "bye").Conversation
	if ack := w.botDoes(r, acc, "e", plugin.BotAction{Conversation: other, End: &plugin.BotEnd{Reason: "spam"}}); ack.Status != plugin.Committed {
		t.Fatalf("end: %+v", ack)
	}
	if info := w.info(r, other); info.Phase == conversation.PhaseOpen || info.EndCause != conversation.CauseBot {
		t.Errorf("after the bot's end: %s, %s", info.Phase, info.EndCause)
	}
}

// A conversation does not wait for a bot that is not there; a plugin that comes back, also after a
// restart of the gateway, is told of the conversations that it has (PR7).
func TestBotAway(t *testing.T) {
	log := memlog.New()
	t.Cleanup(func() { _ = log.Close() })
	w := newWorld(t, log)
	acc := w.withBot()
	r := w.start("n1")
	alone := w.startChat(r, "a", "Cora", "hello").Conversation
	if info := w.info(r, alone); !info.Bot().IsZero() || len(info.Requests) != 1 {
		t.Errorf("without the plugin: bot %v, requests %v", info.Bot(), info.Requests)
	}
	first := botReady(r, "parrot-1")
	conv := w.startChat(r, "b", "Carl", "hello").Conversation
	joined := first.notices[0].Seq
	w.message(r, "b", "m", "anybody there?") // the conversation goes on after the bot has joined
	r.PluginGone("parrot", "parrot-1")
	if p := botReady(r, "parrot-2"); p.noticed(conv, false) != 1 || p.noticed(alone, false) != 0 {
		t.Errorf("the next generation was told %v", p.notices)
	}
	w.stop(r)
	r = w.start("n1")
	p := botReady(r, "parrot-3")
	if p.noticed(conv, false) != 1 || len(p.notices) != 1 || p.notices[0].Seq != joined {
		t.Errorf("after a restart the plugin was told %v; the bot joined by event %d", p.notices, joined)
	}
	s, _ := w.readAsBot(r, acc, conv)
	eventually(t, "the customer's texts at the bot", func() bool { return s.messages() == 2 })
	if ack := w.botDoes(r, acc, "x", botText(conv, "x", "here again")); ack.Status != plugin.Committed {
		t.Errorf("answer after a restart: %+v", ack)
	}
}

// A bot's message on a store-and-forward channel goes out through the outbox, under the bot's name.
func TestBotOnText(t *testing.T) {
	w := newWorld(t, nil)
	acc := w.withBot()
	r := w.start("n1")
	botReady(r, "parrot-1")
	out := newPort(plugin.Info{ID: "text", Capabilities: conversation.Capabilities{Text: true}})
	r.PluginReady("text", "text-1", out)
	conv := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+4915", DedupeKey: "m1",
		Message: &plugin.InboundMessage{Address: "+4915", Parts: textParts("hi")}}).Conversation
	if ack := w.botDoes(r, acc, "a", botText(conv, "a", "hi there")); ack.Status != plugin.Committed {
		t.Fatalf("bot's text: %+v", ack)
	}
	if cmd := out.next(t, 0); cmd.Send == nil || cmd.Send.Author != "Polly" || cmd.Send.Parts[0].Text != "hi there" {
		t.Errorf("command %+v", cmd)
	}
	body, err := json.Marshal(w.info(r, conv).Participants)
	if err != nil || !strings.Contains(string(body), acc.ID.String()) {
		t.Errorf("participants %s, %v", body, err)
	}
}

// A bot that types is shown as typing to the customer; one that takes no part is not.
func TestBotTypes(t *testing.T) {
	w := newWorld(t, nil)
	acc := w.withBot()
	r := w.start("n1")
	botReady(r, "parrot-1")
	customer, _ := w.subscribe(r, "v", 1000, conversation.ConversationID{}, 0)
	conv := w.startChat(r, "v", "Cora", "hello").Conversation
	own, _ := w.readAsBot(r, acc, conv)
	r.Signal(plugin.CustomerSignal{Account: w.chat.ID, Bot: conv, Kind: plugin.SignalTyping, On: true}) // not a bot
	r.Signal(plugin.CustomerSignal{Account: acc.ID, Bot: conv, Kind: plugin.SignalTyping, On: true})
	eventually(t, "the bot's typing", func() bool {
		customer.mu.Lock()
		defer customer.mu.Unlock()
		n := 0
		for _, s := range customer.sigs {
			if s.Kind == plugin.SignalTyping {
				n++
				if s.Name != "Polly" {
					t.Errorf("typing by %q", s.Name)
				}
			}
		}
		return n == 1
	})
	own.mu.Lock()
	defer own.mu.Unlock()
	if len(own.sigs) != 0 {
		t.Errorf("the bot was told of its own typing: %v", own.sigs)
	}
}
