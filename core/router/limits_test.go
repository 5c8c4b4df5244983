package router_test

import (
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// What a channel cannot carry is refused before it is in the log, whoever writes it: an agent in a
// conversation, an agent with the first message of one, a bot (X4, contract: PartLimit).
func TestLimitsOfEveryAuthor(t *testing.T) {
	w := newWorld(t, nil)
	bot := w.withBot()
	r := w.start("n1")
	info := textInfo()
	info.Capabilities.PartLimits = []conversation.PartLimit{{Kind: "text", MaxLength: 10}}
	p := newPort(info)
	r.PluginReady("text", "g1", p)

	ana := w.agents["ana"]
	must(t, r.AgentConnected(t.Context(), ana))
	start := router.OutboundRequest{Agent: ana, Service: w.service.ID, To: "+15005550006", Parts: textParts("eleven char")}
	if _, err := r.StartOutbound(t.Context(), start); router.Code(err) != "too_large" {
		t.Errorf("a long first message: got %v", err)
	}
	start.Parts = textParts("ten letter")
	out, err := r.StartOutbound(t.Context(), start)
	must(t, err)
	if got := p.next(t, 0).Send; got.Message != out.Message {
		t.Errorf("command of %v, want that of the short message", got.Message)
	}
	if _, err := r.Send(t.Context(), router.SendRequest{Conversation: out.Conversation, Agent: ana, Parts: textParts("eleven char")}); router.Code(err) != "too_large" {
		t.Errorf("a long message: got %v", err)
	}

	botReady(r, "parrot-1")
	a := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+49301234", DedupeKey: "in-1",
		Message: &plugin.InboundMessage{Address: "+49301234", Parts: textParts("a customer may write more")}})
	if a.Status != plugin.Committed {
		t.Fatalf("inbound: %+v", a)
	}
	if ack := w.botDoes(r, bot, "b1", botText(a.Conversation, "c1", "eleven char")); ack.Status != plugin.Refused || ack.Code != "too_large" {
		t.Errorf("a bot's long message: got %+v", ack)
	}
	if ack := w.botDoes(r, bot, "b2", botText(a.Conversation, "c2", "ten letter")); ack.Status != plugin.Committed {
		t.Errorf("a bot's message: got %+v", ack)
	}
}
