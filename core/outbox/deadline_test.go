package outbox_test

import (
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// Each kind of command is tried for its own time and then fails with a word to somebody (DESIGN.md
// 4). None fails before.
func TestDeadlineOfEachKind(t *testing.T) {
	for name, c := range map[string]struct {
		queue func(h *house) [16]byte
		limit time.Duration
		said  string
	}{
		"send": {func(h *house) [16]byte {
			return h.post(conversation.NewID[conversation.ConversationID](), 1, "a").Row().CommandID
		},
			4 * time.Hour, "failed deadline"},
		"process": {func(h *house) [16]byte { return h.deferred("x") }, 24 * time.Hour, "account: failed deadline"},
		"call": {func(h *house) [16]byte {
			return h.call(conversation.NewID[conversation.ConversationID](), "", "1", 0).Row().CommandID
		},
			15 * time.Second, "failed deadline"},
		"call, longer": {func(h *house) [16]byte {
			return h.call(conversation.NewID[conversation.ConversationID](), "", "1", time.Hour).Row().CommandID
		}, 15 * time.Second, "failed deadline"},
		"call, shorter": {func(h *house) [16]byte {
			return h.call(conversation.NewID[conversation.ConversationID](), "", "1", 3*time.Second).Row().CommandID
		}, 3 * time.Second, "failed deadline"},
		"mark_read": {func(h *house) [16]byte {
			return h.read(conversation.NewID[conversation.ConversationID](), 1, "m1").Row().CommandID
		},
			time.Hour, "account: failed deadline"},
		"tool_end": {func(h *house) [16]byte {
			return h.toolEnd(conversation.NewID[conversation.ConversationID](), conversation.CauseFinished).Row().CommandID
		},
			24 * time.Hour, "account: failed deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, &port{}, func(t *testing.T, h *house) {
				h.o.PluginGone("text", "g1") // nobody takes commands
				h.after(11 * time.Second)    // the outbox looks at its commands when nothing else says when
				cmd := c.queue(h)
				h.after(c.limit)
				h.wantSaid("at the deadline")
				if got := h.stateOf(cmd); got != eventlog.OutboxQueued {
					t.Errorf("row at the deadline: %s, want queued", got)
				}
				h.after(100 * time.Millisecond)
				h.wantSaid("after the deadline", c.said)
				if got := h.stateOf(cmd); got != eventlog.OutboxSettled {
					t.Errorf("row after the deadline: %s, want settled", got)
				}
			})
		})
	}
}

// A plugin that has a call's command and says nothing has two seconds more than the command's
// deadline. What it has begun is then unknown, while it is still there; what it has not begun failed.
func TestCallOfASilentPlugin(t *testing.T) {
	for name, begun := range map[string]bool{"begun": true, "handed out": false} {
		t.Run(name, func(t *testing.T) {
			p := &port{}
			inHouse(t, p, func(t *testing.T, h *house) {
				c := h.call(conversation.NewID[conversation.ConversationID](), "g1", "1", 0)
				p.want(t, "at first", "call 1")
				if begun && !h.begin(c, "g1") {
					t.Fatal("the plugin may not begin")
				}
				h.after(17 * time.Second)
				h.wantSaid("while the plugin may still answer")
				h.after(5 * time.Second)
				want := "failed deadline"
				if begun {
					want = "unknown deadline"
				}
				h.wantSaid("later", want)
				if got := h.state(c); got != eventlog.OutboxSettled {
					t.Errorf("row: %s, want settled: nobody will say what became of it", got)
				}
				if h.begin(c, "g1") {
					t.Error("the plugin may begin what has ended")
				}
			})
		})
	}
}

// A failure that the plugin calls retryable is tried again only as long as the command is worth it;
// otherwise its own code is told, and at once.
func TestCallIsTriedAgainInTime(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		c := h.call(conversation.NewID[conversation.ConversationID](), "g1", "1", 0)
		fail := func(after time.Duration) {
			h.result(c, plugin.CommandResult{Outcome: conversation.StatusFailed, Code: "503", Retryable: true, RetryAfter: after})
		}
		fail(0)
		h.after(2 * time.Second)
		p.want(t, "after a pause", "call 1", "call 1")
		h.wantSaid("while there is time")
		fail(time.Minute)
		h.wantSaid("when the pause is too long", "failed 503")
	})
}
