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

// A text that waits for its carrier holds back neither a call's command nor a read mark of the same
// conversation, and a full window for texts does not keep a pinned command from being offered.
func TestCallPassesText(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		conv := conversation.NewID[conversation.ConversationID]()
		text := h.post(conv, 1, "text")
		h.result(text, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true, RetryAfter: time.Hour})
		h.post(conv, 2, "behind")
		call := h.call(conv, "g1", "1", 0)
		h.call(conv, "g1", "2", 0)
		h.call(conv, "", "dial", 0)
		h.read(conv, 3, "m1")
		p.want(t, "while the text waits", "text", "call 1", "call dial", "read m1")
		h.result(call, plugin.CommandResult{Outcome: conversation.StatusSent})
		p.want(t, "calls keep their order", "text", "call 1", "call dial", "read m1", "call 2")
		h.wantSaid("of success")
		if got := h.state(call); got != eventlog.OutboxSettled {
			t.Errorf("row of the call's command: %s, want settled", got)
		}
	})
}

// A window that is full for texts is not full for a call, and the other way round.
func TestFullWindowOfOneKind(t *testing.T) {
	p, voice := &port{full: true}, &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		h.o.PluginReady("voice", "v1", voice)
		conv := conversation.NewID[conversation.ConversationID]()
		h.post(conv, 1, "text")
		h.call(conv, "v1", "1", 0)
		voice.want(t, "while the other window is full", "call 1")
		voice.set(true)
		h.call(conversation.NewID[conversation.ConversationID](), "v1", "2", 0)
		p.set(false)
		h.o.PluginRoom()
		synctest.Wait()
		p.want(t, "with room", "text")
		voice.want(t, "while its window is full", "call 1")
		voice.set(false)
		h.o.PluginRoom()
		synctest.Wait()
		voice.want(t, "with room", "call 1", "call 2")
	})
}

// When the generation to which commands are pinned goes, they fail at once, however far they have
// come, and no other generation gets them.
func TestPinnedToAGenerationThatGoes(t *testing.T) {
	for name, c := range map[string]struct{ full, begun bool }{
		"queued":     {full: true},
		"handed out": {},
		"begun":      {begun: true},
	} {
		t.Run(name, func(t *testing.T) {
			p, next := &port{full: c.full}, &port{}
			inHouse(t, p, func(t *testing.T, h *house) {
				h.o.PluginReady("text", "g2", next) // g1 goes on beside it until it has ended
				conv := conversation.NewID[conversation.ConversationID]()
				cmd, behind := h.call(conv, "g1", "1", 0), h.call(conv, "g1", "2", 0)
				if c.full {
					p.want(t, "at first")
				} else {
					p.want(t, "at first", "call 1")
				}
				if c.begun && !h.begin(cmd, "g1") {
					t.Fatal("the generation may not begin what is pinned to it")
				}
				h.o.PluginGone("text", "g1")
				synctest.Wait()
				h.wantSaid("when the generation is gone", "failed instance_gone", "failed instance_gone")
				for _, x := range []*outbox.Command{cmd, behind} {
					if got := h.state(x); got != eventlog.OutboxSettled {
						t.Errorf("row: %s, want settled", got)
					}
				}
				if a := h.result(cmd, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Duplicate {
					t.Errorf("a late Result: got %+v, want duplicate", a)
				}
				h.call(conv, "g1", "late", 0)
				h.wantSaid("of a command that comes later", "failed instance_gone", "failed instance_gone", "failed instance_gone")
				h.after(time.Minute)
				next.want(t, "a minute later")
			})
		})
	}
}

// A command pinned to a generation of which the outbox has not heard waits for it a little, since
// the generation may report a call before it is ready.
func TestPinnedToAGenerationToCome(t *testing.T) {
	late := &port{}
	inHouse(t, &port{}, func(t *testing.T, h *house) {
		conv := conversation.NewID[conversation.ConversationID]()
		h.call(conv, "g2", "1", 0)
		h.after(4 * time.Second)
		h.wantSaid("at first")
		h.o.PluginReady("text", "g2", late)
		synctest.Wait()
		late.want(t, "when it is ready", "call 1")
		h.call(conv, "g3", "never", 0)
		h.after(5100 * time.Millisecond)
		h.wantSaid("of one that does not come", "failed instance_gone")
	})
}

// A command that is pinned to a generation of an earlier process fails as soon as its row is read.
func TestPinnedBeforeARestart(t *testing.T) {
	for name, begun := range map[string]bool{"queued": false, "begun": true} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, &port{}, func(t *testing.T, h *house) {
				c := h.call(conversation.NewID[conversation.ConversationID](), "g1", "1", 0)
				if begun && !h.begin(c, "g1") {
					t.Fatal("the plugin may not begin")
				}
				h.close()
				h.open("n1")
				synctest.Wait()
				h.wantSaid("after the start", "failed instance_gone")
				next := &port{}
				h.o.PluginReady("text", "g2", next)
				h.after(time.Minute)
				next.want(t, "a minute later")
				if got := h.state(c); got != eventlog.OutboxSettled {
					t.Errorf("row: %s, want settled", got)
				}
			})
		})
	}
}

// A command that is pinned to another node's generation is that node's. If the node goes, the one
// that takes its rows over fails the command.
func TestPinnedToAnotherNode(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		two, there := h.beside("n2"), &port{}
		two.o.PluginReady("text", "g9", there)
		conv := conversation.NewID[conversation.ConversationID]()
		origin := outbox.Origin{Conversation: conv, Account: h.account, Seq: 5}
		pin := conversation.Pin{Node: "n2", Instance: "g9"}
		digits := func(d string) *plugin.CallCommand { return &plugin.CallCommand{Digits: &plugin.CallDigits{Digits: d}} }
		c := h.queue(h.o.Call(origin, pin, digits("1"), 0))
		if got := c.Row().Node; got != "n2" {
			t.Fatalf("the row is node %q's, want n2's", got)
		}
		two.o.ReadAgain() // as after a hint
		synctest.Wait()
		there.want(t, "on the node of the call", "call 1")
		if a := two.result(c, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Committed {
			t.Fatalf("result: got %+v, want committed", a)
		}
		two.close()
		gone := h.queue(h.o.Call(origin, pin, digits("2"), 0))
		h.after(time.Minute)
		h.wantSaid("when the node is gone", "failed instance_gone")
		if got := h.state(gone); got != eventlog.OutboxSettled {
			t.Errorf("row: %s, want settled", got)
		}
		p.want(t, "on the other node")
	})
}

// promises.md 4.10: a node that was away, so that another one took its row over and began it, and
// that has the row again, must not begin it as if nothing had been: the message may have been sent.
func TestBeginAfterANodeWasAway(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		conv := conversation.NewID[conversation.ConversationID]()
		c := h.post(conv, 1, "text")
		p.want(t, "at first", "text")
		move := func(node string) {
			if _, err := h.log.Append(h.ctx, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: c.Row().CommandID, Node: node}}}); err != nil {
				t.Fatal(err)
			}
		}
		move("n2")
		began := eventlog.OutboxUpdate{CommandID: c.Row().CommandID, State: eventlog.OutboxBegun, Attempt: 1, Node: "n2", Epoch: 1}
		if _, err := h.log.Append(h.ctx, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{began}}); err != nil {
			t.Fatal(err)
		}
		// Meanwhile the plugin of the first node says that it did not send: the row is not its own.
		if a := h.result(c, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true}); a.Status != plugin.Duplicate {
			t.Errorf("a report on another node's command: got %+v, want duplicate", a)
		}
		if got := h.state(c); got != eventlog.OutboxBegun {
			t.Errorf("row: %s, want begun by the other node", got)
		}
		move("n1")
		if h.begin(c, "g1") {
			t.Error("the node begins a command that another node had begun")
		}
		h.after(10 * time.Second)
		h.wantSaid("of what nobody knows", "unknown plugin_lost")
		p.want(t, "later", "text")
	})
}

func (p *port) set(full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = full
}
