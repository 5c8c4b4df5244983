package router_test

import (
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// writes lets the customer of a text conversation write a message that the provider has under ids.
func (w *world) writes(r *router.Router, key, account string, ids ...string) uint64 {
	w.t.Helper()
	a := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: account, DedupeKey: key,
		Message: &plugin.InboundMessage{Address: account, Parts: textParts(key), ProviderIDs: ids}})
	if a.Status != plugin.Committed {
		w.t.Fatalf("message %s: %+v", key, a)
	}
	return a.Seq
}

// reads lets the customer of textChat write a message that the provider has under an id, and Ana read it.
func (w *world) reads(r *router.Router, conv conversation.ConversationID, id string) error {
	w.t.Helper()
	seq := w.writes(r, id, "+49301234", id)
	return r.Mark(w.t.Context(), w.agents["ana"], conv, seq, seq)
}

// The provider is told up to which of the customer's messages agents have read: once for each message,
// by whoever reads it first, and over store-and-forward channels that take read marks only.
func TestAgentsReadMarks(t *testing.T) {
	w := newWorld(t, nil).withFeatures(directory.FeatureRead)
	r := w.start("n1")
	p := newPort(typingInfo())
	r.PluginReady("text", "g1", p)
	conv := w.textChat(r)
	ana, ctx := w.agents["ana"], t.Context()
	one := w.writes(r, "in-2", "+49301234", "SM2")
	two := w.writes(r, "in-3", "+49301234", "SM3a", "SM3b")
	must(t, r.Mark(ctx, ana, conv, one, 0)) // received, and not read
	must(t, r.Mark(ctx, ana, conv, one, one))
	must(t, r.Mark(ctx, ana, conv, one, one))
	first := p.next(t, 0)
	if first.MarkRead == nil || len(first.MarkRead.ProviderIDs) != 1 || first.MarkRead.ProviderIDs[0] != "SM2" || first.Thread != "+49301234" || first.Account != w.text.ID {
		t.Fatalf("first mark: %+v %+v", first, first.MarkRead)
	}
	w.result(r, first, plugin.CommandResult{Outcome: conversation.StatusSent})
	must(t, r.Mark(ctx, ana, conv, two+100, two+100)) // beyond the end: as far as there is
	second := p.next(t, 1)
	if second.MarkRead == nil || len(second.MarkRead.ProviderIDs) != 2 || second.MarkRead.ProviderIDs[0] != "SM3a" || second.MarkRead.Message == first.MarkRead.Message {
		t.Fatalf("second mark: %+v", second.MarkRead)
	}
	w.result(r, second, plugin.CommandResult{Outcome: conversation.StatusSent})
	w.say(r, conv, "a")
	if c := p.next(t, 2); c.Send == nil {
		t.Fatalf("got %+v, want the message", c)
	}
	now := w.seqOf(t, r, conv)
	must(t, r.Mark(ctx, ana, conv, now, now)) // nothing of the customer's is new
	w.writes(r, "in-4", "+49301234")          // the provider gave it no id
	now = w.seqOf(t, r, conv)
	must(t, r.Mark(ctx, ana, conv, now, now))
	if err := r.Mark(ctx, w.agents["ben"], conv, now, now); router.Code(err) != "not_joined" {
		t.Errorf("mark of somebody who takes no part: %v", err)
	}
	rows, err := w.log.Outbox(ctx, eventlog.StreamID{}, true, 0)
	must(t, err)
	for _, row := range rows {
		if row.Kind == "mark_read" {
			t.Errorf("row: %+v, want no further mark", row)
		}
	}
}

// Providers are told of no reading where the service does not show it or the plugin takes none.
func TestReadMarksThatAreNotTold(t *testing.T) {
	for name, c := range map[string]struct {
		feature string
		info    plugin.Info
	}{
		"feature is off":    {directory.FeatureTyping, readsInfo()},
		"plugin takes none": {directory.FeatureRead, textInfo()},
	} {
		w := newWorld(t, nil).withFeatures(c.feature)
		r := w.start("n1")
		r.PluginReady("text", "g1", newPort(c.info))
		conv := w.textChat(r)
		seq := w.writes(r, "in-2", "+49301234", "SM2")
		must(t, r.Mark(t.Context(), w.agents["ana"], conv, seq, seq))
		rows, err := w.log.Outbox(t.Context(), eventlog.StreamID{}, true, 0)
		must(t, err)
		if len(rows) != 0 {
			t.Errorf("%s: rows %+v, want none", name, rows)
		}
	}
}
