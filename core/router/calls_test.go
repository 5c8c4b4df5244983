package router_test

import (
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

// called appends the events of an active call to a conversation, as another node would.
func (b *bubble) called(conv conversation.ConversationID) {
	const id = `"session":"55000000-0000-7000-8000-000000000001"`
	b.wrote(conv, string(conversation.TypeSessionRequested), `{`+id+`,"kind":"call","plugin":"voice","by":{"kind":"customer"},"audience":"customer"}`, nil)
	b.wrote(conv, string(conversation.TypeSessionChanged), `{`+id+`,"state":"active","pin":{"node":"n2"},"audience":"customer"}`, nil)
}

func (b *bubble) hungUp(conv conversation.ConversationID) {
	b.wrote(conv, string(conversation.TypeSessionEnded),
		`{"session":"55000000-0000-7000-8000-000000000001","kind":"call","by":{"kind":"customer"},"cause":"finished","audience":"customer"}`, nil)
}

// A20: a conversation with an active call stays with the agent whose connection is lost, and is queued
// again when the call has ended. Meanwhile nobody asks the log again and again.
func TestCallOutlastsLostConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		ana, conv := b.accepted("ana")
		b.called(conv)
		b.r.AgentDisconnected(ana)
		before := b.reads.Load()
		b.after(time.Hour)
		if n := b.reads.Load() - before; n > 100 {
			t.Errorf("in the call: %d reads of the log in an hour", n)
		}
		if s := agentOf(t, b.r, ana); b.display(conv) != conversation.DisplayActive || s.Status() != acd.StatusBusy {
			t.Errorf("in the call: conversation %s, agent %s; want active, busy", b.display(conv), s.Status())
		}
		b.hungUp(conv)
		b.after(5 * time.Second)
		if s := agentOf(t, b.r, ana); b.display(conv) != conversation.DisplayQueued || s.Status() != acd.StatusNotReady {
			t.Errorf("after the call: conversation %s, agent %s; want queued, not ready", b.display(conv), s.Status())
		}
	})
}

// An agent may log out during a call, which goes on; what is left of it is queued afterwards.
func TestCallOutlastsLogout(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		ana, conv := b.accepted("ana")
		b.called(conv)
		must(t, b.r.Logout(t.Context(), ana))
		b.after(time.Minute)
		if got := b.display(conv); got != conversation.DisplayActive {
			t.Errorf("in the call: conversation %s, want active", got)
		}
		b.hungUp(conv)
		b.after(5 * time.Second)
		if got := b.display(conv); got != conversation.DisplayQueued {
			t.Errorf("after the call: conversation %s, want queued", got)
		}
	})
}

// Q2: while a call is active the conversation does not end, however little is written.
func TestCallHoldsInactivity(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		_, conv := b.accepted("ana")
		b.called(conv)
		b.after(3 * time.Hour)
		if got := b.display(conv); got != conversation.DisplayActive {
			t.Errorf("in the call: conversation %s, want active", got)
		}
		b.hungUp(conv)
		b.after(11 * time.Minute)
		if got := b.display(conv); got == conversation.DisplayActive {
			t.Error("after the call the conversation does not end for inactivity")
		}
	})
}
