package router_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

func textInfo() plugin.Info {
	return plugin.Info{ID: "text", Capabilities: conversation.Capabilities{Text: true, OutboundFirst: true, AddressKind: "phone", OfferTitle: "Text"}}
}

// textChat makes Ana a participant of a conversation on the store-and-forward channel.
func (w *world) textChat(r *router.Router) conversation.ConversationID {
	w.t.Helper()
	ctx := context.Background()
	ana := w.agents["ana"]
	must(w.t, r.AgentConnected(ctx, ana))
	must(w.t, r.Ready(ctx, ana))
	a := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+49301234", DedupeKey: "in-1",
		Message: &plugin.InboundMessage{Address: "+49301234", Parts: textParts("hello")}})
	if a.Status != plugin.Committed {
		w.t.Fatalf("inbound text: %+v", a)
	}
	conv, _, err := r.Accept(ctx, ana, offerTo(w.t, r, ana).Offer)
	must(w.t, err)
	return conv
}

func (w *world) say(r *router.Router, conv conversation.ConversationID, id string) router.Sent {
	w.t.Helper()
	s, err := r.Send(context.Background(), router.SendRequest{Conversation: conv, Agent: w.agents["ana"], ClientID: id, Parts: textParts("reply " + id)})
	must(w.t, err)
	return s
}

func (w *world) result(r *router.Router, cmd plugin.Outbound, res plugin.CommandResult) plugin.Ack {
	res.Command = cmd.Command
	return ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: cmd.Thread, Result: &res})
}

func (w *world) rowState(cmd plugin.Outbound) eventlog.OutboxState {
	w.t.Helper()
	row, err := w.log.OutboxRow(context.Background(), cmd.Command)
	must(w.t, err)
	return row.State
}

func TestOutboxOrderAndSettle(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	p := newPort(textInfo())
	r.PluginReady("text", "g1", p)
	conv := w.textChat(r)
	first := w.say(r, conv, "a")
	w.say(r, conv, "b")
	cmd := p.next(t, 0)
	if cmd.Send == nil || cmd.Send.Message != first.Message || cmd.Send.To != "+49301234" || cmd.Thread != "+49301234" || cmd.Send.Parts[0].Text != "reply a" || cmd.Attempt != 1 {
		t.Fatalf("command: got %+v %+v", cmd, cmd.Send)
	}
	if got := w.rowState(cmd); got != eventlog.OutboxQueued {
		t.Errorf("row before the result: got %s, want queued", got)
	}
	if ok, err := r.Begin(context.Background(), w.text.ID, cmd.Command, "g1"); !ok || err != nil {
		t.Errorf("begin: got %v, %v", ok, err)
	}
	if ok, _ := r.Begin(context.Background(), w.text.ID, cmd.Command, "other"); ok {
		t.Error("begin of another instance was let through")
	}
	if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: []string{"SM1", "SM2"}}); a.Status != plugin.Committed {
		t.Fatalf("result: got %+v", a)
	}
	if got := w.rowState(cmd); got != eventlog.OutboxSettled {
		t.Errorf("row after the result: got %s, want settled", got)
	}
	if second := p.next(t, 1); second.Send.Parts[0].Text != "reply b" {
		t.Errorf("second command: got %+v", second.Send)
	}
	// Y4: a later status report finds the message by the provider's id of any of its parts.
	a := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Status: &plugin.DeliveryStatus{ProviderID: "SM2", Status: conversation.StatusDelivered}})
	if a.Status != plugin.Committed || a.Conversation != conv {
		t.Errorf("status: got %+v", a)
	}
	info, err := r.Info(context.Background(), conv)
	must(t, err)
	for _, m := range info.State.Pending {
		if m.ID == first.Message && m.Status != conversation.StatusDelivered {
			t.Errorf("message is %s, want delivered", m.Status)
		}
	}
}

// PR4: when a plugin dies after Begin, the message's outcome is unknown and it is never sent a
// second time unnoticed; before Begin the command is sent again.
func TestOutboxPluginLost(t *testing.T) {
	for name, c := range map[string]struct {
		begin bool
		info  func(*plugin.Info)
		check func(*testing.T, *world, *router.Router, *port, plugin.Outbound)
	}{
		"before begin": {false, nil, func(t *testing.T, w *world, r *router.Router, p *port, cmd plugin.Outbound) {
			if again := p.next(t, 0); again.Command != cmd.Command || again.Attempt != 2 || again.MaybeSent {
				t.Errorf("got %+v, want the command again as attempt 2", again)
			}
		}},
		"after begin": {true, nil, func(t *testing.T, w *world, r *router.Router, p *port, cmd plugin.Outbound) {
			eventually(t, "unknown row", func() bool { return w.rowState(cmd) == eventlog.OutboxUnknown })
			if len(p.got) != 0 {
				t.Errorf("sent again: %+v", p.got)
			}
		}},
		"after begin, idempotent": {true, func(i *plugin.Info) { i.IdempotentSend = true }, func(t *testing.T, w *world, r *router.Router, p *port, cmd plugin.Outbound) {
			if again := p.next(t, 0); again.Command != cmd.Command || !again.MaybeSent {
				t.Errorf("got %+v, want the command again as maybe sent", again)
			}
		}},
		"after begin, can look up": {true, func(i *plugin.Info) { i.CanLookup = true }, func(t *testing.T, w *world, r *router.Router, p *port, cmd plugin.Outbound) {
			if again := p.next(t, 0); again.Command != cmd.Command || again.Lookup == nil {
				t.Errorf("got %+v, want a lookup", again)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			r := w.start("n1")
			info := textInfo()
			if c.info != nil {
				c.info(&info)
			}
			p := newPort(info)
			r.PluginReady("text", "g1", p)
			conv := w.textChat(r)
			w.say(r, conv, "a")
			cmd := p.next(t, 0)
			if c.begin {
				_, err := r.Begin(context.Background(), w.text.ID, cmd.Command, "g1")
				must(t, err)
			}
			r.PluginGone("text", "g1")
			next := newPort(info)
			r.PluginReady("text", "g2", next)
			c.check(t, w, r, next, cmd)
		})
	}
}

// A gateway that died while plugins had commands takes the commands up from their rows.
func TestOutboxAfterRestart(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	p := newPort(textInfo())
	r.PluginReady("text", "g1", p)
	conv := w.textChat(r)
	w.say(r, conv, "a")
	cmd := p.next(t, 0)
	w.stop(r)
	r = w.start("n1")
	p = newPort(textInfo())
	r.PluginReady("text", "g2", p)
	if again := p.next(t, 0); again.Command != cmd.Command {
		t.Errorf("after a restart: got %+v, want command %x", again, cmd.Command)
	}
}

func TestOutboxRetry(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	p := newPort(textInfo())
	r.PluginReady("text", "g1", p)
	conv := w.textChat(r)
	w.say(r, conv, "a")
	w.say(r, conv, "b")
	cmd := p.next(t, 0)
	if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "throttled", Code: "429", Retryable: true}); a.Status != plugin.Committed {
		t.Fatalf("result: %+v", a)
	}
	if again := p.next(t, 1); again.Command != cmd.Command || again.Attempt != 2 {
		t.Errorf("after a retryable failure: got attempt %d of %x, want the same message again before the next", again.Attempt, again.Command)
	}
	if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "address", Code: "30003"}); a.Status != plugin.Committed {
		t.Fatalf("result: %+v", a)
	}
	if next := p.next(t, 2); next.Command == cmd.Command {
		t.Error("a final failure was tried again")
	}
}

func TestDeferredIsProcessedLater(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	in := plugin.Inbound{Plugin: "text", Account: w.text.ID, DedupeKey: "media-1", Deferred: []byte("fetch this")}
	if a := ingest(r, in); a.Status != plugin.Committed {
		t.Fatalf("deferred: %+v", a)
	}
	if a := ingest(r, in); a.Status != plugin.Duplicate {
		t.Errorf("deferred again: got %+v, want duplicate", a)
	}
	p := newPort(textInfo())
	r.PluginReady("text", "g1", p)
	cmd := p.next(t, 0)
	if string(cmd.Process) != "fetch this" {
		t.Fatalf("process: got %q", cmd.Process)
	}
	if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Committed {
		t.Errorf("result: %+v", a)
	}
	if got := w.rowState(cmd); got != eventlog.OutboxSettled {
		t.Errorf("row: got %s, want settled", got)
	}
}

// A text without an open exchange starts one, which is offered like a chat (N8); a second text at
// the same time lands in the same exchange (Y3).
func TestTextsAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	r.PluginReady("text", "g1", newPort(textInfo()))
	acks := make(chan plugin.Ack, 20)
	for i := range 20 {
		r.Ingest(context.Background(), plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+1", DedupeKey: fmt.Sprint(i),
			Message: &plugin.InboundMessage{Address: "+1", Parts: textParts(fmt.Sprint(i))}}, func(a plugin.Ack) { acks <- a })
	}
	var conv conversation.ConversationID
	for range 20 {
		a := <-acks
		if a.Status != plugin.Committed || (!conv.IsZero() && a.Conversation != conv) {
			t.Errorf("got %+v, want committed in %s", a, conv)
		}
		conv = a.Conversation
	}
	recs, err := r.Records(context.Background(), conv, conversation.AudienceCustomer, 0, 100)
	must(t, err)
	n := 0
	for _, rec := range recs {
		if rec.Type != conversation.TypeMessage {
			continue
		}
		if want := fmt.Sprintf(`{"parts":[{"kind":"text","text":"%d"}]}`, n); string(rec.Body) != want {
			t.Errorf("message %d is %s, want %s: order of arrival", n, rec.Body, want)
		}
		n++
	}
	if n != 20 {
		t.Errorf("messages: got %d, want 20", n)
	}
}

// An agent cannot send into an exchange without taking part in it (N17).
func TestSendNeedsAPart(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	r.PluginReady("text", "g1", newPort(textInfo()))
	conv := w.textChat(r)
	_, err := r.Send(context.Background(), router.SendRequest{Conversation: conv, Agent: w.agents["ben"], ClientID: "x", Parts: textParts("hi")})
	if !errors.Is(err, conversation.ErrNotJoined) {
		t.Errorf("got %v, want ErrNotJoined", err)
	}
}
