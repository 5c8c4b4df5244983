package router_test

import (
	"context"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/vault"
)

// lostKeys is a vault in which some keys are lost; keys has the error with which each was lost.
type lostKeys struct {
	*vault.Vault
	mu   sync.Mutex
	keys map[int64]error
}

func (v *lostKeys) lose(key int64, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys[key] = err
}

func (v *lostKeys) of(key int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.keys[key]
}

func (v *lostKeys) Seal(key int64, aad, plain []byte) ([]byte, error) {
	if err := v.of(key); err != nil {
		return nil, err
	}
	return v.Vault.Seal(key, aad, plain)
}

func (v *lostKeys) Open(key int64, aad, sealed []byte) ([]byte, error) {
	if err := v.of(key); err != nil {
		return nil, err
	}
	return v.Vault.Open(key, aad, sealed)
}

// lostKey runs a test for each way to lose a key: damaged, destroyed, and gone from the key store.
func lostKey(t *testing.T, test func(t *testing.T, w *world, lost error)) {
	for name, lost := range map[string]error{"damaged": vault.ErrDamaged, "destroyed": vault.ErrDestroyed, "missing": vault.ErrUnknownKey} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.lost = &lostKeys{Vault: w.vault, keys: map[int64]error{}}
			test(t, w, lost)
		})
	}
}

// loseKeyOf loses the data key of a conversation and returns the key's id.
func (w *world) loseKeyOf(id conversation.ConversationID, lost error) int64 {
	w.t.Helper()
	row, err := w.log.Conversation(context.Background(), eventlog.StreamID(id))
	must(w.t, err)
	w.lost.lose(row.KeyID, lost)
	return row.KeyID
}

func inboundText(w *world, id string) plugin.Inbound {
	return plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+49301234", DedupeKey: id,
		Message: &plugin.InboundMessage{Address: "+49301234", Parts: textParts(id)}}
}

// FT13: a chat whose data key is lost goes on under another key. What the old key sealed cannot be
// read, but no event or command is answered with "try again" because of it.
func TestLostKeyOfAChat(t *testing.T) {
	lostKey(t, func(t *testing.T, w *world, lost error) {
		ctx, ana, r := context.Background(), w.agents["ana"], w.start("n1")
		id := w.startChat(r, "v", "Cora", "before").Conversation
		w.stop(r)
		old := w.loseKeyOf(id, lost)
		r = w.start("n1") // this router has nothing of the conversation in memory
		if a := w.message(r, "v", "m", "after"); a.Status != plugin.Committed || a.Conversation != id {
			t.Fatalf("the customer's next message: got %+v, want it committed in %s", a, id)
		}
		must(t, r.AgentConnected(ctx, ana))
		must(t, r.Ready(ctx, ana))
		_, _, err := r.Accept(ctx, ana, offerTo(t, r, ana).Offer)
		must(t, err)
		w.say(r, id, "reply")
		row, err := w.log.Conversation(ctx, eventlog.StreamID(id))
		must(t, err)
		if row.KeyID == old {
			t.Errorf("the conversation's row still names the lost key")
		}
		w.stop(r)
		r = w.start("n1")
		recs, err := r.Records(ctx, id, conversation.AudienceCustomer, 0, 100)
		must(t, err)
		var got []string
		for _, rec := range recs {
			if rec.Type == conversation.TypeMessage {
				text := "lost"
				if rec.Body != nil {
					var b conversation.MessageBody
					unmarshal(t, rec.Body, &b)
					text = b.Parts[0].Text
				}
				got = append(got, text)
			}
		}
		if len(got) != 3 || got[0] != "lost" || got[1] != "after" || got[2] != "reply reply" {
			t.Errorf("messages after another start: got %q, want the first one lost and the others there", got)
		}
	})
}

// FT13: an exchange of texts whose data key is lost has lost its customer's number with it. The
// exchange is ended, the customer's next text begins another one, and agents can answer in that
// one.
func TestLostKeyOfAnExchange(t *testing.T) {
	lostKey(t, func(t *testing.T, w *world, lost error) {
		ctx, ana, r := context.Background(), w.agents["ana"], w.start("n1")
		p := newPort(textInfo())
		r.PluginReady("text", "g1", newPort(textInfo()))
		first := ingest(r, inboundText(w, "in-1"))
		w.stop(r)
		w.loseKeyOf(first.Conversation, lost)
		r = w.start("n1")
		r.PluginReady("text", "g1", p)
		next := ingest(r, inboundText(w, "in-2"))
		if next.Status != plugin.Committed || next.Conversation == first.Conversation {
			t.Fatalf("the customer's next text: got %+v, want it committed in another conversation than %s", next, first.Conversation)
		}
		info, err := r.Info(ctx, first.Conversation)
		must(t, err)
		if info.State.Phase == conversation.PhaseOpen || info.State.EndCause != conversation.CauseSystem {
			t.Errorf("the exchange before: got phase %s, cause %q, want it ended by the system", info.State.Phase, info.State.EndCause)
		}
		must(t, r.AgentConnected(ctx, ana))
		must(t, r.Ready(ctx, ana))
		conv, _, err := r.Accept(ctx, ana, offerTo(t, r, ana).Offer)
		must(t, err)
		w.say(r, conv, "a")
		if cmd := p.next(t, 0); conv != next.Conversation || cmd.Send == nil || cmd.Send.To != "+49301234" {
			t.Errorf("the reply: got %+v in %s, want one to the customer in %s", cmd.Send, conv, next.Conversation)
		}
	})
}

// FT13: the exchange is ended, too, when an agent writes in it next or accepts its offer.
func TestLostKeyUnderAnAgent(t *testing.T) {
	lostKey(t, func(t *testing.T, w *world, lost error) {
		ctx, ana, r := context.Background(), w.agents["ana"], w.start("n1")
		r.PluginReady("text", "g1", newPort(textInfo()))
		conv := w.textChat(r)
		w.loseKeyOf(conv, lost)
		_, err := r.Send(ctx, router.SendRequest{Conversation: conv, Agent: ana, ClientID: "a", Parts: textParts("a")})
		if conversation.Code(err) != conversation.Code(conversation.ErrEnded) && conversation.Code(err) != conversation.Code(conversation.ErrNotJoined) {
			t.Fatalf("the agent's message: got %v, want word that it is over", err)
		}
		_, err = r.FinishWrapup(ctx, ana, conv, "", "what happened") // the notes are a body, which must be sealed
		must(t, err)
		must(t, r.Ready(ctx, ana))
		waiting := ingest(r, inboundText(w, "in-2")).Conversation
		offer := offerTo(t, r, ana)
		w.loseKeyOf(waiting, lost)
		if _, _, err := r.Accept(ctx, ana, offer.Offer); err == nil || router.Code(err) == "unavailable" {
			t.Errorf("the offer: got %v, want word that it is gone", err)
		}
		eventually(t, "agent without an offer", func() bool { return agentOf(t, r, ana).Offer == nil })
	})
}

// FT13: a message and a deferred item that were sealed under a lost key end with a record, and do
// not hold up other commands.
func TestLostKeyOfCommands(t *testing.T) {
	lostKey(t, func(t *testing.T, w *world, lost error) {
		ctx, r := context.Background(), w.start("n1")
		conv := w.textChatOn(r)
		sent := w.say(r, conv, "a")
		if a := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+1", DedupeKey: "media-1", Deferred: []byte("fetch this")}); a.Status != plugin.Committed {
			t.Fatalf("deferred: %+v", a)
		}
		w.stop(r)
		w.loseKeyOf(conv, lost)
		rows, err := w.log.Outbox(ctx, eventlog.StreamID{}, false, 0)
		must(t, err)
		for _, row := range rows {
			w.lost.lose(row.KeyID, lost)
		}
		r = w.start("n1")
		p := newPort(textInfo())
		r.PluginReady("text", "g1", p)
		eventually(t, "end of what cannot be made", func() bool {
			rows, err := w.log.Outbox(ctx, eventlog.StreamID{}, false, 0)
			must(t, err)
			return len(rows) == 0
		})
		info, err := r.Info(ctx, conv)
		must(t, err)
		if len(info.State.Pending) != 1 || info.State.Pending[0].ID != sent.Message || info.State.Pending[0].Status != conversation.StatusFailed {
			t.Errorf("the message: got %+v, want it failed", info.State.Pending)
		}
		heads, _ := w.failures(w.vault)
		if len(heads) != 1 || heads[0].Kind != "process" || heads[0].Code != "unreadable" {
			t.Errorf("records: %+v, want one of the deferred item", heads)
		}
		ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+2", DedupeKey: "media-2", Deferred: []byte("the next")})
		if cmd := p.next(t, 0); string(cmd.Process) != "the next" {
			t.Errorf("the first command: got %+v, want the next item", cmd)
		}
	})
}

// FT13, FT32: an early receipt that was sealed under a lost key still sets the message's status,
// but without the carrier's code and text.
func TestLostKeyOfAnEarlyReceipt(t *testing.T) {
	lostKey(t, func(t *testing.T, w *world, lost error) {
		c := &carrier{world: w, r: w.start("n1"), port: newPort(textInfo())}
		c.r.PluginReady("text", "g1", c.port)
		c.conv = w.textChat(c.r)
		cmd := c.sends(t)
		if a := c.said(plugin.DeliveryStatus{ProviderID: "SM1", Status: conversation.StatusFailed, Code: "30003", Text: "no such number"}); a.Status != plugin.Committed {
			t.Fatalf("early receipt: %+v", a)
		}
		early, err := w.log.EarlyReceipts(context.Background(), eventlog.StreamID(w.text.ID), w.vault.MAC("external", w.text.ID[:], []byte("SM1")))
		must(t, err)
		if len(early) != 1 {
			t.Fatalf("%d receipts are parked, want 1", len(early))
		}
		w.lost.lose(early[0].KeyID, lost)
		if a := c.result(c.r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: []string{"SM1"}}); a.Status != plugin.Committed {
			t.Fatalf("result: %+v", a)
		}
		if got := c.fate(t, cmd); got != conversation.StatusFailed {
			t.Errorf("the message is %s, want failed", got)
		}
	})
}
