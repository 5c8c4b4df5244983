package router_test

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/sessionwork"
)

// another replaces the bubble's router, which must be stopped, by one of a node over the same log.
func (b *toolBubble) another(node string) {
	b.t.Helper()
	r, err := router.New(router.Options{Node: node, Log: b.log, Vault: &plainVault{}, Directory: fixedDirectory{b.dir.Snapshot()}, Bus: b.bus, Logger: slog.New(slog.DiscardHandler)})
	must(b.t, err)
	must(b.t, r.Start(b.t.Context()))
	r.UseTools(b.h)
	b.r = r
}

func (b *toolBubble) told() []conversation.Cause {
	b.h.mu.Lock()
	defer b.h.mu.Unlock()
	return slices.Clone(b.h.ended)
}

// E6, DESIGN.md 4: whatever is in the way when a tool's session ends, the tool is told, and once
// where it answers.
func TestToolIsToldOfEveryEnd(t *testing.T) {
	endTool := func(t *testing.T, b *toolBubble, id conversation.SessionID) {
		t.Helper()
		_, err := b.r.EndTool(t.Context(), b.ana, b.conv, id)
		must(t, err)
		synctest.Wait()
	}
	keep := func(b *toolBubble, id conversation.SessionID, instance string) { // the tool stores its sessions
		b.h.mu.Lock()
		defer b.h.mu.Unlock()
		b.h.known[instance] = map[conversation.SessionID]*plugin.ToolSession{id: {Session: id, State: conversation.SessionStateActive, Revision: 1}}
	}
	for name, test := range map[string]func(t *testing.T, b *toolBubble, id conversation.SessionID) conversation.Cause{
		"the plugin is away": func(t *testing.T, b *toolBubble, id conversation.SessionID) conversation.Cause {
			b.h.down(b.r, "counter-1")
			endTool(t, b, id)
			b.after(time.Hour)
			keep(b, id, "counter-2")
			b.h.up(b.r, "counter-2", counter)
			return conversation.CauseFinished
		},
		"its conversation ends while it is away": func(t *testing.T, b *toolBubble, id conversation.SessionID) conversation.Cause {
			b.h.down(b.r, "counter-1")
			if got := b.does("e", plugin.CustomerAction{End: true}); got.Status != plugin.Committed {
				t.Errorf("end: %+v", got)
			}
			keep(b, id, "counter-2")
			b.h.up(b.r, "counter-2", counter)
			return sessionwork.CauseConversationEnded
		},
		"it is away until its session is lost": func(t *testing.T, b *toolBubble, id conversation.SessionID) conversation.Cause {
			b.h.down(b.r, "counter-1")
			b.after(2 * time.Minute)
			keep(b, id, "counter-2")
			b.h.up(b.r, "counter-2", counter)
			return conversation.CauseCancelled
		},
		"it gives no answer for long": func(t *testing.T, b *toolBubble, id conversation.SessionID) conversation.Cause {
			b.h.makeDeaf(8)
			endTool(t, b, id)
			return conversation.CauseFinished
		},
		"it does not say whether it knows the session": func(t *testing.T, b *toolBubble, id conversation.SessionID) conversation.Cause {
			b.h.down(b.r, "counter-1")
			keep(b, id, "counter-2")
			b.h.makeDeaf(3)
			b.h.up(b.r, "counter-2", counter)
			return conversation.CauseCancelled
		},
		"the gateway stops": func(t *testing.T, b *toolBubble, id conversation.SessionID) conversation.Cause {
			b.h.makeDeaf(1)
			endTool(t, b, id)
			b.stop(b.r)
			b.another("n1")
			b.h.up(b.r, "counter-1", counter) // the process has been there all the time
			return conversation.CauseFinished
		},
		"another node ends it while this one is away": func(t *testing.T, b *toolBubble, id conversation.SessionID) conversation.Cause {
			b.stop(b.r)
			b.another("n2")
			synctest.Wait()
			endTool(t, b, id)
			b.stop(b.r)
			b.another("n1")
			b.h.up(b.r, "counter-1", counter)
			return conversation.CauseFinished
		},
		"the node does not come back": func(t *testing.T, b *toolBubble, id conversation.SessionID) conversation.Cause {
			b.h.down(b.r, "counter-1")
			b.stop(b.r)
			b.another("n2")
			keep(b, id, "counter-9") // at its vendor's
			b.h.up(b.r, "counter-9", counter)
			endTool(t, b, id)
			return conversation.CauseFinished
		},
	} {
		t.Run(name, func(t *testing.T) {
			withTool(t, func(t *testing.T, b *toolBubble) {
				first := b.r
				a, err := b.start()
				must(t, err)
				want := test(t, b, a.Session)
				b.after(10 * time.Minute)
				if got := b.told(); !slices.Equal(got, []conversation.Cause{want}) {
					t.Errorf("the tool was told %v, want once %s", got, want)
				}
				for instance, known := range b.h.known {
					if len(known) != 0 {
						t.Errorf("%s still has %v", instance, known)
					}
				}
				if rows, err := b.log.Outbox(t.Context(), [16]byte(b.tool), false, 0); err != nil || len(rows) != 0 {
					t.Errorf("commands left: %v, %v", rows, err)
				}
				if b.r != first {
					b.stop(b.r)
				}
			})
		})
	}
}

// The newest generation is told of an end at once, although one that is being drained gives no answer to it. That one is
// told again until it is gone.
func TestToolEndPassesAGenerationThatHangs(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		a, err := b.start()
		must(t, err)
		b.h.up(b.r, "counter-2", counter)
		b.h.hangs, b.h.last = "counter-1", "Counted to 3."
		_, err = b.r.EndTool(t.Context(), b.ana, b.conv, a.Session)
		must(t, err)
		b.after(time.Second)
		if got := b.told(); !slices.Equal(got, []conversation.Cause{conversation.CauseFinished}) {
			t.Errorf("beside the one that hangs, the newest was told %v", got)
		}
		b.after(time.Minute)
		if rows, err := b.log.Outbox(t.Context(), [16]byte(b.tool), false, 0); err != nil || len(rows) != 1 {
			t.Errorf("commands while one has not answered: %v, %v", rows, err)
		}
		b.h.down(b.r, "counter-1")
		b.after(5 * time.Minute)
		if rows, err := b.log.Outbox(t.Context(), [16]byte(b.tool), false, 0); err != nil || len(rows) != 0 {
			t.Errorf("commands left: %v, %v", rows, err)
		}
		wantStrings(t, "the customer sees its line once", b.said(conversation.AudienceCustomer), "session.requested/1", "session.changed/1", "ended finished", "session.noted/1")
	})
}

// An end that comes while the tool is being asked to begin is told after the beginning.
func TestToolEndsWhileItBegins(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		b.h.blocking = make(chan struct{})
		asked := make(chan error, 1)
		go func() { _, err := b.start(); asked <- err }()
		synctest.Wait()
		if got := b.does("e", plugin.CustomerAction{End: true}); got.Status != plugin.Committed {
			t.Errorf("end: %+v", got)
		}
		b.after(time.Second)
		if got := b.told(); len(got) != 0 {
			t.Errorf("before it has begun, the tool was told %v", got)
		}
		close(b.h.blocking)
		must(t, <-asked)
		b.after(time.Second)
		if got := b.told(); !slices.Equal(got, []conversation.Cause{sessionwork.CauseConversationEnded}) || len(b.h.known["counter-1"]) != 0 {
			t.Errorf("the tool was told %v, and has %v", got, b.h.known["counter-1"])
		}
	})
}

// The tool is not told of an end before it has been asked to begin, or will not be, although another node ended the
// session as soon as its request was in the log.
func TestToolEndsBeforeItBegins(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		first, gap := b.r, make(chan struct{})
		acked := make(chan plugin.Ack, 1)
		go b.r.Ingest(t.Context(), plugin.Inbound{Plugin: "chat", Account: b.chat.ID, Thread: "v", DedupeKey: "s",
			Action: &plugin.CustomerAction{Tool: &plugin.CustomerTool{Account: b.tool, Action: "start"}}}, func(a plugin.Ack) { <-gap; acked <- a })
		synctest.Wait()
		b.another("n2")
		live := b.live()
		if len(live) != 1 {
			t.Fatalf("sessions: %+v", live)
		}
		_, err := b.r.EndTool(t.Context(), b.ana, b.conv, live[0].ID)
		must(t, err)
		b.after(time.Minute)
		if got := b.told(); len(got) != 0 {
			t.Errorf("before it was to begin, the tool was told %v", got)
		}
		close(gap)
		if got := <-acked; got.Status != plugin.Committed {
			t.Errorf("start: %+v", got)
		}
		b.after(time.Minute)
		if got := b.told(); !slices.Equal(got, []conversation.Cause{conversation.CauseFinished}) || len(b.h.known["counter-1"]) != 0 {
			t.Errorf("the tool was told %v, and has %v", got, b.h.known["counter-1"])
		}
		b.stop(b.r)
		b.r = first
	})
}

// E6: the line that a tool gives with its answer to an end, or before it knows of the end, is kept once, as
// long as the conversation is open, and says nothing else any more.
func TestLastNoteOfTool(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		b.h.last, b.h.numbered = "Counted to 3.", 9
		a, err := b.start()
		must(t, err)
		_, err = b.r.EndTool(t.Context(), b.ana, b.conv, a.Session)
		must(t, err)
		b.after(time.Second)
		late := plugin.ToolSession{Session: a.Session, Ended: true, Revision: 9, Note: "Counted to 3.", Panel: &plugin.Panel{Revision: 9}}
		if got := b.event("n1", late); got.Status != plugin.Committed || got.Seq != 0 {
			t.Errorf("the same line again: %+v", got)
		}
		late.Revision = 10
		if got := b.event("n2", late); got.Status != plugin.Committed || got.Seq == 0 {
			t.Errorf("a later line: %+v", got)
		}
		wantStrings(t, "the customer sees", b.said(conversation.AudienceCustomer), "session.requested/1", "session.changed/1", "ended finished", "session.noted/1", "session.noted/1")
		if got := b.does("e", plugin.CustomerAction{End: true}); got.Status != plugin.Committed {
			t.Errorf("end: %+v", got)
		}
		late.Revision = 11
		if got := b.event("n3", late); got.Status != plugin.Committed || got.Seq != 0 {
			t.Errorf("a line after the conversation: %+v", got)
		}
	})
}
