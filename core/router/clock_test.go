package router_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// FT19: when the system's clock jumps, timers do not notice: offers, warnings, wrap-ups, the grace
// period of a lost agent and the deadlines of texts go on and end after their own time, within a
// tenth of it. A text that comes again is recognised (PR3), and events are dated in the order of
// their sequences.
func TestClockJumps(t *testing.T) {
	for name, jump := range map[string]time.Duration{"+1 h": time.Hour, "+25 h": 25 * time.Hour, "-1 h": -time.Hour, "-1 day": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) { jumps(t, b, jump) })
		})
	}
}

func jumps(t *testing.T, b *bubble, jump time.Duration) {
	t.Helper()
	accept := func(login string) conversation.ConversationID {
		t.Helper()
		synctest.Wait()
		conv, _, err := b.r.Accept(t.Context(), b.agents[login], agentOf(t, b.r, b.agents[login]).Offer.Offer)
		must(t, err)
		return conv
	}
	p := newPort(textInfo())
	p.full = true
	b.r.PluginReady("text", "text-1", p)
	inbound := plugin.Inbound{Plugin: "text", Account: b.text.ID, Thread: "+49301234", DedupeKey: "in-1",
		Message: &plugin.InboundMessage{Address: "+49301234", Parts: textParts("hello")}}
	ana := b.ready("ana")
	if a := ingest(b.r, inbound); a.Status != plugin.Committed {
		t.Fatalf("text: got %+v", a)
	}
	text := accept("ana")
	b.startChat(b.r, "v", "", "hello")
	chat := accept("ana")
	must(t, b.r.NotReady(t.Context(), ana, ""))
	b.say(b.r, text, "a") // this message waits until the plugin has room

	cem := b.ready("cem")
	b.startChat(b.r, "x", "", "hello")
	ended := accept("cem")
	b.after(10 * time.Second)
	_, err := b.r.Leave(t.Context(), cem, ended, false) // begins a minute of wrap-up
	must(t, err)

	ben := b.ready("ben")
	b.startChat(b.r, "w", "", "hello")
	synctest.Wait()
	if agentOf(t, b.r, ben).Offer == nil {
		t.Fatal("no offer to jump over")
	}
	b.r.AgentDisconnected(ana) // begins 30 s of grace

	b.jumped.Store(int64(jump))
	b.after(20 * time.Second)
	if agentOf(t, b.r, ben).Offer == nil {
		t.Error("20 s after it was made and the clock jumped, the offer is gone, want it for 30 s")
	}
	if s := agentOf(t, b.r, cem); s.Status() != acd.StatusACW {
		t.Errorf("20 s into a wrap-up of a minute the agent is %s, want acw", s.Status())
	}
	if s := agentOf(t, b.r, ana); s.Reason == acd.ReasonConnection {
		t.Error("the grace of 30 s for a lost connection ended after 20 s")
	}
	warned := func() bool {
		info, err := b.r.Info(t.Context(), chat)
		must(t, err)
		return !info.State.WarnedAt.IsZero()
	}
	if warned() {
		t.Error("the customer was warned of inactivity after half a minute, want 5 min")
	}
	must(t, b.r.AgentConnected(t.Context(), ana))

	b.after(15 * time.Second)
	if agentOf(t, b.r, ben).Offer != nil {
		t.Error("35 s after it was made the offer is still there, want it for 30 s, a tenth more at most")
	}
	b.after(35 * time.Second)
	if s := agentOf(t, b.r, cem); s.Status() == acd.StatusACW {
		t.Error("a wrap-up of a minute has not ended after 70 s")
	}
	b.after(190 * time.Second)
	if warned() {
		t.Error("the customer was warned of inactivity before 4.5 min, want 5 min")
	}
	b.after(70 * time.Second)
	if !warned() {
		t.Error("the customer was not warned of inactivity after 5 min and two thirds")
	}

	p.mu.Lock()
	p.full = false
	p.mu.Unlock()
	b.say(b.r, text, "b")
	cmd := p.next(t, 0)
	if left := time.Until(cmd.Deadline); cmd.Send == nil || cmd.Send.Parts[0].Text != "reply a" || left < 3*time.Hour || left > 4*time.Hour {
		t.Errorf("first command at the plugin: %+v with %v to go by the system's clock, want reply a with nearly 4 h", cmd.Send, left)
	}
	if a := ingest(b.r, inbound); a.Status != plugin.Duplicate || a.Conversation != text {
		t.Errorf("PR3: the text again: got %+v, want a duplicate", a)
	}
	for _, conv := range []conversation.ConversationID{text, chat, ended} {
		recs, err := b.r.Records(t.Context(), conv, conversation.AudienceAudit, 0, 1000)
		must(t, err)
		for i := 1; i < len(recs); i++ {
			if recs[i].Seq != recs[i-1].Seq+1 || recs[i].At.Before(recs[i-1].At) {
				t.Errorf("event %d of %v follows event %d of %v", recs[i].Seq, recs[i].At, recs[i-1].Seq, recs[i-1].At)
			}
		}
	}
	rows, err := b.log.Conversations(t.Context(), eventlog.ConversationQuery{})
	if err != nil || len(rows) != 4 {
		t.Errorf("conversations: %d, %v, want 4", len(rows), err)
	}
}

// FT19: a plugin compares a command's deadline with the system's clock. Even if the installation's
// time is behind or ahead of it, a text has its four hours.
func TestDeadlinesOfCommandsAreTheSystems(t *testing.T) {
	for _, behind := range []time.Duration{25 * time.Hour, -24 * time.Hour} {
		w := newWorld(t, nil)
		w.now = func() time.Time { return time.Now().Round(0).Add(-behind) }
		r := w.start("n1")
		p := newPort(textInfo())
		r.PluginReady("text", "g1", p)
		w.say(r, w.textChat(r), "a")
		if left := time.Until(p.next(t, 0).Deadline); left < 3*time.Hour || left > 5*time.Hour {
			t.Errorf("with a clock that is %v behind the system's a text has %v to go at the plugin, want 4 h", behind, left)
		}
	}
}
