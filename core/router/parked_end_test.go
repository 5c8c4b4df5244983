package router_test

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

const week = 7 * 24 * time.Hour

// restart stops the router and, after a pause, starts another one over the same log.
func (b *bubble) restart(pause time.Duration) {
	b.t.Helper()
	b.stop(b.r)
	b.after(pause)
	r, err := router.New(router.Options{Node: "n1", Log: b.log, Vault: &plainVault{}, Directory: fixedDirectory{b.dir.Snapshot()},
		Bus: b.bus, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	must(b.t, err)
	must(b.t, r.Start(b.t.Context()))
	r.PluginReady("text", "g", &port{info: textInfo(), room: -1})
	b.r = r
	b.t.Cleanup(func() { b.stop(r) })
}

// ended counts the conversations that are over, whether their owners have seen them or not.
func (b *bubble) ended() int {
	b.t.Helper()
	rows, err := b.log.Conversations(b.t.Context(), eventlog.ConversationQuery{Phases: []string{eventlog.PhaseEnded, eventlog.PhaseConcluded}})
	must(b.t, err)
	return len(rows)
}

// N7, O1: an exchange of a direct number that its owner does not take up ends after a week. Its
// messages stay unread for the owner, over restarts; the customer's next text opens a new exchange.
func TestDirectNumberEnds(t *testing.T) {
	w := newWorld(t, nil)
	acc, ben := w.direct(), w.agents["ben"]
	w.inBubble(t, func(t *testing.T, b *bubble) {
		want := func(what, badges string, ended int) {
			t.Helper()
			if got, n := badge(b.r, ben), b.ended(); got != badges || n != ended {
				t.Errorf("%s: badge %q with %d ended, want %q with %d", what, got, n, badges, ended)
			}
		}
		b.r.PluginReady("text", "g", &port{info: textInfo(), room: -1})
		first := b.textTo(b.r, acc.ID, "+15005550001", "a1")
		b.textTo(b.r, acc.ID, "+15005550001", "a2")
		b.after(week - time.Second)
		want("before a week", "2: 2", 0)
		b.after(2 * time.Second)
		want("after a week", "2: 2", 1)
		b.restart(0)
		want("after a restart", "2: 2", 1)
		next := b.textTo(b.r, acc.ID, "+15005550001", "a3")
		if next.Status != plugin.Committed || next.Conversation == first.Conversation {
			t.Errorf("the next text: %+v, want another exchange than %s", next, first.Conversation)
		}
		want("the next text", "3: 2 1", 1)
		must(t, b.r.RecentSeen(t.Context(), ben))
		want("Recent visited", "0:", 1)
		rows, err := b.log.Conversations(t.Context(), eventlog.ConversationQuery{Agent: eventlog.StreamID(ben)})
		if must(t, err); len(rows) != 2 || rows[1].Phase != eventlog.PhaseConcluded {
			t.Errorf("Ben's list has %d rows, want both exchanges, the older one concluded", len(rows))
		}
		info, err := b.r.Info(t.Context(), first.Conversation)
		if must(t, err); !info.State.WaitsFor(ben) {
			t.Error("Ben cannot read what he has seen the number of")
		}
	})
}

// A parked text exchange of a service ends by the service's rule, a week after its last message or
// after it was parked.
func TestParkedExchangeEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		p := b.world.texting(b.r)
		out, err := b.begin(b.r, "ana", "+15005550006", "hello", "")
		must(t, err)
		must(t, b.r.Logout(t.Context(), b.agents["ana"]))
		b.after(week - time.Second)
		if got := b.display(out.Conversation); got != conversation.DisplayParked {
			t.Fatalf("before a week: %s, want parked", got)
		}
		b.after(2 * time.Second)
		if got := b.display(out.Conversation); got != conversation.DisplayConcluded {
			t.Fatalf("after a week: %s, want concluded", got)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.got) != 1 {
			t.Errorf("%d commands to the channel, want the agent's message and no word of the end", len(p.got))
		}
		if a := b.inbound(b.r, "+15005550006", "r1"); a.Status != plugin.Committed || a.Conversation == out.Conversation {
			t.Errorf("a late reply: %+v, want it in a new exchange (N7)", a)
		}
	})
}

// After a long stop, or an upgrade that brings the rule, overdue exchanges do not all end at once;
// a text that comes before the end of its exchange puts that end off.
func TestOverdueEndsAreSpread(t *testing.T) {
	w := newWorld(t, nil)
	acc := w.direct()
	w.inBubble(t, func(t *testing.T, b *bubble) {
		b.r.PluginReady("text", "g", &port{info: textInfo(), room: -1})
		const many = 200
		for i := range many {
			b.textTo(b.r, acc.ID, fmt.Sprintf("+1500555%04d", i), fmt.Sprint(i))
		}
		b.restart(3 * week)
		synctest.Wait()
		if n := b.ended(); n > many/10 {
			t.Errorf("%d of %d ended at the start", n, many)
		}
		for i := range many / 2 {
			if a := b.textTo(b.r, acc.ID, fmt.Sprintf("+1500555%04d", i), fmt.Sprint("more ", i)); a.Status != plugin.Committed {
				t.Fatalf("text: %+v", a)
			}
		}
		b.after(time.Hour + time.Minute)
		if n := b.ended(); n < many/2 || n > many/2+many/10 {
			t.Errorf("%d of %d ended in an hour, want the half that was not written to", n, many)
		}
	})
}
