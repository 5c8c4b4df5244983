package router_test

import (
	"encoding/json"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// byProvider makes a part that names a message by the provider's id.
func byProvider(kind conversation.PartKind, id string) []conversation.Part {
	parts := change(kind, conversation.MessageID{})
	switch p := &parts[0]; kind {
	case conversation.PartEdit:
		p.Edit.ProviderID = id
	case conversation.PartRevoke:
		p.Revoke.ProviderID = id
	default:
		p.Reaction.ProviderID = id
	}
	return parts
}

// posted reads a message from the log.
func posted(t *testing.T, r *router.Router, ack plugin.Ack) (*conversation.MessagePosted, conversation.MessageBody) {
	t.Helper()
	if ack.Status != plugin.Committed {
		t.Fatalf("got %+v, want committed", ack)
	}
	recs, err := r.Records(t.Context(), ack.Conversation, conversation.AudienceAudit, ack.Seq-1, 1)
	must(t, err)
	var body conversation.MessageBody
	must(t, json.Unmarshal(recs[0].Body, &body))
	return headOf(t, recs[0]).(*conversation.MessagePosted), body
}

// Customers name earlier messages by the provider's ids. What names a message of their conversation is
// kept with our id; anything else is kept as it came, and is not refused.
func TestProviderIDs(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	r.PluginReady("text", "g1", newPort(textInfo()))
	text := func(thread, id string) plugin.Inbound {
		in := w.smsMessage(thread, id)
		in.Message.ProviderIDs = []string{"p/" + id}
		return in
	}
	first, _ := posted(t, r, ingest(r, text("+491", "one")))
	_, _ = posted(t, r, ingest(r, text("+492", "other"))) // another conversation of the same account
	edit, _ := posted(t, r, func() plugin.Ack {
		in := text("+491", "edit")
		in.Message.Parts = byProvider(conversation.PartEdit, "p/one")
		return ingest(r, in)
	}())
	if edit.Kinds[0] != conversation.PartEdit {
		t.Fatalf("edit by the provider's id is kept as %v", edit.Kinds)
	}
	for _, kind := range []conversation.PartKind{conversation.PartReaction, conversation.PartEdit, conversation.PartRevoke} {
		for _, c := range []struct{ name, id string }{
			{"known", "p/one"}, {"another conversation's", "p/other"}, {"unknown", "p/none"}, {"an edit's", "p/edit"},
		} {
			in := w.smsMessage("+491", string(kind)+c.name)
			in.Message.Parts = byProvider(kind, c.id)
			h, body := posted(t, r, ingest(r, in))
			p := body.Parts[0]
			if c.name != "known" {
				if h.Kinds[0] != conversation.PartUnsupported || p.Raw == nil || p.Raw.Kind != string(kind) {
					t.Errorf("%s of %s: kept as %v", kind, c.name, h.Kinds)
					continue
				}
				var was conversation.Part
				must(t, json.Unmarshal(p.Raw.Data, &was))
				if got, _ := json.Marshal(was); string(got) != mustJSON(t, in.Message.Parts[0]) {
					t.Errorf("%s of %s: kept as %s", kind, c.name, got)
				}
				continue
			}
			var id conversation.MessageID
			switch kind {
			case conversation.PartEdit:
				id = p.Edit.Message
			case conversation.PartRevoke:
				id = p.Revoke.Message
			default:
				id = p.Reaction.Message
			}
			if id != first.ID {
				t.Errorf("%s of %s names %s, want %s", kind, c.name, id, first.ID)
			}
		}
	}
	for _, c := range []struct {
		id   string
		want conversation.MessageID
	}{{"p/one", first.ID}, {"p/other", conversation.MessageID{}}, {"p/none", conversation.MessageID{}}} {
		in := w.smsMessage("+491", "reply to "+c.id)
		in.Message.ReplyToProviderID = c.id
		if h, _ := posted(t, r, ingest(r, in)); h.ReplyTo != c.want {
			t.Errorf("reply to %s is kept as a reply to %s, want %s", c.id, h.ReplyTo, c.want)
		}
	}
	// The first thing in a conversation may be a reaction to what an earlier conversation had.
	in := w.smsMessage("+493", "late")
	in.Message.Parts = byProvider(conversation.PartReaction, "p/one")
	ack := ingest(r, in)
	if ack.Status != plugin.Committed {
		t.Fatalf("reaction as the first message: %+v", ack)
	}
	recs, err := r.Records(t.Context(), ack.Conversation, conversation.AudienceAudit, 0, 100)
	must(t, err)
	kept := false
	for _, rec := range recs {
		h, ok := headOf(t, rec).(*conversation.MessagePosted)
		kept = kept || ok && h.Kinds[0] == conversation.PartUnsupported
	}
	if !kept {
		t.Error("a reaction that begins a conversation is not in it")
	}
}

// A message and its edit that wait in the mailbox together are written one after the other, so that the edit
// finds its message.
func TestProviderIDsInOneBatch(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	r.PluginReady("text", "g1", newPort(textInfo()))
	if a := ingest(r, w.smsMessage("+491", "begin")); a.Status != plugin.Committed {
		t.Fatalf("first text: %+v", a)
	}
	const n = 40
	acks := make(chan plugin.Ack, 2*n)
	for i := range n {
		in := w.smsMessage("+491", string(rune('A'+i)))
		in.Message.ProviderIDs = []string{in.DedupeKey + "/p"}
		ed := w.smsMessage("+491", string(rune('A'+i))+"e")
		ed.Message.Parts = byProvider(conversation.PartEdit, in.DedupeKey+"/p")
		r.Ingest(t.Context(), in, func(a plugin.Ack) { acks <- a })
		r.Ingest(t.Context(), ed, func(a plugin.Ack) { acks <- a })
	}
	edits := 0
	for range 2 * n {
		h, _ := posted(t, r, <-acks)
		if h.Kinds[0] == conversation.PartEdit {
			edits++
		}
	}
	if edits != n {
		t.Errorf("%d of %d edits found their message", edits, n)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}
