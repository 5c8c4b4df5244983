package router_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/vault"
)

// canary is what must vanish; it stands in every text of these tests that is to be masked.
const canary = "KANARIE"

// masking replaces the canary wherever it stands, and takes a file out whose name has it.
func masking(by conversation.Author) router.Rewriting {
	return router.Rewriting{By: by, Reason: "masked", Change: func(rec readers.Record) (json.RawMessage, error) {
		if rec.Type != conversation.TypeMessage && rec.Type != conversation.TypeNote {
			return bytes.ReplaceAll(rec.Body, []byte(canary), []byte("#######")), nil
		}
		var body conversation.MessageBody
		if err := json.Unmarshal(rec.Body, &body); err != nil {
			return nil, err
		}
		kept := len(body.Parts)
		body.Parts = slices.DeleteFunc(body.Parts, func(p conversation.Part) bool { return p.File != nil && strings.Contains(p.File.Name, canary) })
		if len(body.Parts) == kept {
			return bytes.ReplaceAll(rec.Body, []byte(canary), []byte("#######")), nil
		}
		b, err := json.Marshal(body)
		return bytes.ReplaceAll(b, []byte(canary), []byte("#######")), err
	}}
}

// attach stores a file as a plugin does.
func (f *filing) attach(thread, name, content string) conversation.File {
	f.t.Helper()
	file, err := f.plugins.Put(context.Background(), f.text.ID, thread, name, "text/plain", strings.NewReader(content))
	must(f.t, err)
	return file
}

// sealedUnder returns the sealed bodies of a conversation that a key has sealed.
func (w *world) sealedUnder(conv conversation.ConversationID, key int64) (bodies [][]byte) {
	w.t.Helper()
	recs, err := w.log.Read(context.Background(), eventlog.StreamID(conv), 0, 0)
	must(w.t, err)
	for _, rec := range recs {
		if rec.Body != nil && rec.KeyID == key {
			bodies = append(bodies, rec.Body)
		}
	}
	return bodies
}

func (w *world) keyOf(conv conversation.ConversationID) int64 {
	w.t.Helper()
	row, err := w.log.Conversation(context.Background(), eventlog.StreamID(conv))
	must(w.t, err)
	return row.KeyID
}

// wantMasked checks that nothing of a conversation that can be read has the canary, and that its old key
// is destroyed.
func (f *filing) wantMasked(r *router.Router, conv conversation.ConversationID, oldKey int64) {
	f.t.Helper()
	recs, err := r.Records(context.Background(), conv, conversation.AudienceAudit, 0, 1000)
	must(f.t, err)
	all, err := json.Marshal(recs)
	must(f.t, err)
	if bytes.Contains(all, []byte(canary)) {
		f.t.Errorf("the canary can still be read: %s", all)
	}
	if n := len(f.sealedUnder(conv, oldKey)); n > 0 || f.keyOf(conv) == oldKey {
		f.t.Errorf("%d bodies and the row (key %d) are sealed under the old key %d", n, f.keyOf(conv), oldKey)
	}
	if _, err := f.vault.Seal(oldKey, nil, nil); !errors.Is(err, vault.ErrDestroyed) {
		f.t.Errorf("the old key: %v, want it destroyed", err)
	}
	if left, err := f.log.ReplacedKeys(context.Background()); err != nil || len(left) > 0 {
		f.t.Errorf("keys that are still to be destroyed: %v, %v", left, err)
	}
}

// PR21, L8: what is masked for good is nowhere any more, in the log and in memory, and everybody who reads
// the conversation hears of it; the conversation goes on.
func TestRewrite(t *testing.T) {
	f := newFiling(t, nil)
	r := f.start("n1")
	p := newPort(textInfo())
	r.PluginReady("text", "g1", p)
	conv := f.textChat(r)
	const thread = "+49301234"
	masked, kept := f.attach(thread, canary+".txt", "about "+canary), f.attach(thread, "kept.txt", "the rest")
	in := plugin.Inbound{Plugin: "text", Account: f.text.ID, Thread: thread, DedupeKey: "in-2", Message: &plugin.InboundMessage{
		Address: thread, Name: canary, Parts: append(textParts("my number is "+canary),
			conversation.Part{Kind: conversation.PartFile, File: &masked}, conversation.Part{Kind: conversation.PartFile, File: &kept})}}
	if a := ingest(r, in); a.Status != plugin.Committed {
		t.Fatalf("inbound: %+v", a)
	}
	// An agent's text that its carrier has refused, with a word about it, and one that waits for the carrier.
	ana := f.agents["ana"]
	send := func(id string) {
		_, err := r.Send(t.Context(), router.SendRequest{Conversation: conv, Agent: ana, ClientID: id, Parts: textParts(id + " " + canary)})
		must(t, err)
	}
	send("first")
	first := p.next(t, 0)
	p.mu.Lock()
	p.full = true
	p.mu.Unlock()
	send("second")
	if a := f.result(r, first, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "address", Text: "no such handset: " + canary}); a.Status != plugin.Committed {
		t.Fatalf("result: %+v", a)
	}
	oldKey := f.keyOf(conv)
	audience := map[conversation.Audience]*readers.Feed{}
	poll := func(a conversation.Audience) (recs []readers.Record) {
		t.Helper()
		for {
			items, err := audience[a].Poll(t.Context(), 100)
			must(t, err)
			n := len(recs)
			for _, i := range items {
				if i.Record != nil {
					recs = append(recs, *i.Record)
				}
			}
			if len(recs) == n {
				return recs
			}
		}
	}
	for _, a := range []conversation.Audience{conversation.AudienceCustomer, conversation.AudienceAgent, conversation.AudienceAudit} {
		audience[a] = r.NewFeed(ana, a, func() {})
		defer audience[a].Close()
		audience[a].Add(conv, 0)
		if before := poll(a); a == conversation.AudienceAudit && !bytes.Contains(before[len(before)-1].Body, []byte(canary)) {
			t.Fatalf("the last record before is %+v", before[len(before)-1])
		}
	}
	agent := conversation.Author{Kind: conversation.Agent, Agent: ana}
	must(t, r.Rewrite(t.Context(), conv, masking(agent)))
	f.wantMasked(r, conv, oldKey)
	// Each circle is told of what it may see, and reads it anew.
	all, err := r.Records(t.Context(), conv, conversation.AudienceAudit, 0, 1000)
	must(t, err)
	sees := map[uint64]conversation.Audience{}
	for _, rec := range all {
		head, err := conversation.DecodeHead(rec.Type, rec.Head)
		must(t, err)
		sees[rec.Seq] = head.Audience()
	}
	for a, want := range map[conversation.Audience]int{conversation.AudienceCustomer: 1, conversation.AudienceAgent: 2, conversation.AudienceAudit: 2} {
		told := 0
		for _, rec := range poll(a) {
			var head conversation.ContentRewritten
			if rec.Type != conversation.TypeContentRewritten {
				t.Errorf("%s gets a %s after the rewriting", a, rec.Type)
				continue
			}
			unmarshal(t, rec.Head, &head)
			told++
			if head.By != agent || head.Reason != "masked" || rec.Body != nil || len(head.Seqs) == 0 {
				t.Errorf("%s is told %s with body %s", a, rec.Head, rec.Body)
			}
			for _, seq := range head.Seqs {
				if !head.Circle.Sees(sees[seq]) || head.Circle != sees[seq] {
					t.Errorf("the event for %s names event %d, which is for %s", head.Circle, seq, sees[seq])
				}
				again, err := r.Records(t.Context(), conv, a, seq-1, 1)
				must(t, err)
				if len(again) != 1 || again[0].Seq != seq || bytes.Contains(again[0].Body, []byte(canary)) || !bytes.Contains(again[0].Body, []byte("#")) {
					t.Errorf("%s reads event %d again as %+v", a, seq, again)
				}
			}
		}
		if told != want {
			t.Errorf("%s is told %d times, want %d", a, told, want)
		}
	}
	// Attachments: the masked one is gone, the other opens.
	if _, _, err := f.store.Open(t.Context(), masked.Blob); err == nil {
		t.Error("the masked attachment can still be opened")
	}
	file, content, err := f.store.Open(t.Context(), kept.Blob)
	must(t, err)
	text, err := io.ReadAll(content)
	if must(t, content.Close()); err != nil || string(text) != "the rest" || file.Name != "kept.txt" {
		t.Errorf("the other attachment: %q %q, %v", file.Name, text, err)
	}
	// What was on its way goes out as the log has it now; the conversation goes on under the new key.
	p.mu.Lock()
	p.full = false
	p.mu.Unlock()
	send("third")
	if second := p.next(t, 1); second.Send == nil || second.Send.Parts[0].Text != "second #######" {
		t.Errorf("what waited goes out as %+v", second.Send)
	}
	if n := len(f.sealedUnder(conv, f.keyOf(conv))); n < 5 {
		t.Errorf("%d bodies under the new key", n)
	}
	types(t, r, conv) // checks the sequences
}

// A rewriting that changes nothing gives a fresh key and is told to the audit alone; what cannot be done
// changes nothing.
func TestRewriteRefusals(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	a := w.startChat(r, thread(1), "Cara", "hello")
	before := w.keyOf(a.Conversation)
	same := func(rec readers.Record) (json.RawMessage, error) { return rec.Body, nil }
	fails := errors.New("no")
	for name, c := range map[string]struct {
		conv conversation.ConversationID
		w    router.Rewriting
		want error
	}{
		"no function":     {a.Conversation, router.Rewriting{Reason: "masked"}, router.ErrInvalid},
		"text for reason": {a.Conversation, router.Rewriting{Reason: "She asked for it", Change: same}, router.ErrInvalid},
		"unknown":         {conversation.NewID[conversation.ConversationID](), router.Rewriting{Reason: "masked", Change: same}, router.ErrNotFound},
		"failing": {a.Conversation, router.Rewriting{Reason: "masked", Change: func(rec readers.Record) (json.RawMessage, error) {
			return nil, fails
		}}, fails},
	} {
		if err := r.Rewrite(t.Context(), c.conv, c.w); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if w.keyOf(a.Conversation) != before || slices.Contains(types(t, r, a.Conversation), string(conversation.TypeContentRewritten)) {
		t.Error("a refused rewriting left something behind")
	}
	must(t, r.Rewrite(t.Context(), a.Conversation, router.Rewriting{Reason: "rekeyed", Change: same}))
	if w.keyOf(a.Conversation) == before {
		t.Error("the key is the old one")
	}
	recs, err := r.Records(t.Context(), a.Conversation, conversation.AudienceAudit, 0, 100)
	must(t, err)
	last := recs[len(recs)-1]
	if want := `{"by":{"kind":""},"seqs":[],"reason":"rekeyed","audience":"audit"}`; last.Type != conversation.TypeContentRewritten || string(last.Head) != want {
		t.Errorf("the last event is %s %s, want %s", last.Type, last.Head, want)
	}
	if b := w.message(r, thread(1), "m2", "and on"); b.Status != plugin.Committed || b.Conversation != a.Conversation {
		t.Errorf("a message afterwards: %+v", b)
	}
}

// Another node that has the old key and the old text in memory loses both, also if it writes before it
// hears of the rewriting, and never ends an exchange for the sake of a key that was replaced.
func TestRewriteOnAnotherNode(t *testing.T) {
	f := newFiling(t, nil)
	a := f.start("a")
	deaf := *f.world
	deaf.bus = bus.NewLocal() // no hint passes between the two
	defer func() { must(t, deaf.bus.Close()) }()
	other := deaf.start("b")
	a.PluginReady("text", "a-text", newPort(textInfo()))
	other.PluginReady("text", "b-text", newPort(textInfo()))
	in := func(r *router.Router, id, text string) plugin.Ack {
		return ingest(r, plugin.Inbound{Plugin: "text", Account: f.text.ID, Thread: "+491", DedupeKey: id,
			Message: &plugin.InboundMessage{Address: "+491", Parts: textParts(text)}})
	}
	first := in(other, "1", "my number is "+canary)
	oldKey := f.keyOf(first.Conversation)
	must(t, a.Rewrite(t.Context(), first.Conversation, masking(conversation.Author{Kind: conversation.System})))
	f.wantMasked(a, first.Conversation, oldKey)
	if again := in(other, "2", "and on"); again.Status != plugin.Committed || again.Conversation != first.Conversation {
		t.Fatalf("a text at the other node: %+v, want it in conversation %s", again, first.Conversation)
	}
	f.wantMasked(other, first.Conversation, oldKey)
	for _, typ := range types(t, other, first.Conversation) {
		if typ == string(conversation.TypeEnded) {
			t.Error("the exchange was ended")
		}
	}
	if got := fmt.Sprint(types(t, a, first.Conversation)); got != fmt.Sprint(types(t, other, first.Conversation)) {
		t.Error("the nodes read different conversations")
	}
}
