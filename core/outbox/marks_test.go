package outbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
)

// Of the read marks of a conversation that wait only the newest is handed out; the others are
// settled without a word. One that a plugin has stays.
func TestReadMarksAreReplaced(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		one, other := conversation.NewID[conversation.ConversationID](), conversation.NewID[conversation.ConversationID]()
		first := h.read(one, 1, "m1")
		second := h.read(one, 2, "m2")
		h.read(other, 2, "x2")
		third := h.read(one, 3, "m3")
		older := h.read(one, 2, "m2 again") // comes late, and says less than what waits
		states := func(when string, want ...eventlog.OutboxState) {
			t.Helper()
			for i, c := range []*outbox.Command{first, second, third, older} {
				if got := h.state(c); got != want[i] {
					t.Errorf("%s: mark %d is %s, want %s", when, i+1, got, want[i])
				}
			}
		}
		states("while the plugin has the first", eventlog.OutboxQueued, eventlog.OutboxSettled, eventlog.OutboxQueued, eventlog.OutboxSettled)
		p.want(t, "while the plugin has the first", "read m1", "read x2")
		h.result(first, plugin.CommandResult{Outcome: conversation.StatusSent})
		p.want(t, "then", "read m1", "read x2", "read m3")
		h.result(third, plugin.CommandResult{Outcome: conversation.StatusSent})
		states("at the end", eventlog.OutboxSettled, eventlog.OutboxSettled, eventlog.OutboxSettled, eventlog.OutboxSettled)
		h.wantSaid("at the end")
	})
}

// A read mark that comes back from a plugin, since it failed for now or the plugin is gone, is not
// tried again when a newer one waits.
func TestReadMarkComesBack(t *testing.T) {
	for name, back := range map[string]func(h *house, first *outbox.Command){
		"failed": func(h *house, first *outbox.Command) {
			h.result(first, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true, RetryAfter: time.Minute})
		},
		"unknown": func(h *house, first *outbox.Command) {
			h.result(first, plugin.CommandResult{Outcome: conversation.StatusUnknown})
		},
		"gone": func(h *house, _ *outbox.Command) { h.o.PluginGone("text", "g1") },
	} {
		t.Run(name, func(t *testing.T) {
			p := &port{}
			inHouse(t, p, func(t *testing.T, h *house) {
				conv := conversation.NewID[conversation.ConversationID]()
				first := h.read(conv, 1, "m1")
				second := h.read(conv, 2, "m2")
				back(h, first)
				h.o.PluginReady("text", "g2", p)
				synctest.Wait()
				p.want(t, "then", "read m1", "read m2")
				if got := h.state(first); got != eventlog.OutboxSettled {
					t.Errorf("the first mark: %s, want settled", got)
				}
				h.result(second, plugin.CommandResult{Outcome: conversation.StatusFailed, Code: "gone"})
				h.wantSaid("of a mark that failed for good", "account: failed gone")
			})
		})
	}
}

// Marks that wait when a node starts, and those of a node that is gone, are replaced as well. A mark
// that a plugin had begun is tried again, since that does no harm.
func TestReadMarksAfterARestart(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		conv := conversation.NewID[conversation.ConversationID]()
		h.o.PluginGone("text", "g1")
		h.close() // nothing settles the older marks
		var rows []eventlog.OutboxRow
		for seq := range uint64(3) {
			c, err := h.o.MarkRead(outbox.Origin{Conversation: conv, Account: h.account, Seq: seq}, &plugin.MarkReadCommand{ProviderIDs: []string{"m"}})
			if err != nil {
				t.Fatal(err)
			}
			c.Seal(c.Payload(), 1)
			rows = append(rows, c.Row())
		}
		if _, err := h.log.Append(t.Context(), &eventlog.Batch{Outbox: rows}); err != nil {
			t.Fatal(err)
		}
		h.open("n1")
		h.o.PluginReady("text", "g2", p)
		synctest.Wait()
		p.want(t, "after the start", "read m")
		pending, err := h.log.Outbox(h.ctx, eventlog.StreamID{}, false, 0)
		if err != nil || len(pending) != 1 || pending[0].Seq != 2 {
			t.Fatalf("pending: %+v, %v, want the newest mark", pending, err)
		}
		if ok, err := h.o.Begin(h.ctx, h.account, pending[0].CommandID, "g2"); !ok || err != nil {
			t.Fatalf("begin: %v, %v", ok, err)
		}
		h.o.PluginGone("text", "g2")
		h.o.PluginReady("text", "g3", p)
		synctest.Wait()
		p.want(t, "after the plugin's loss", "read m", "read m")
	})
}
