package outbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// While the store is away, or another node has this node's lease, rows that were asked for are tried
// about once a second, however often they are asked for; afterwards they are read.
func TestRowsThatCannotBeRead(t *testing.T) {
	away := fmt.Errorf("away: %w", eventlog.ErrUnavailable)
	for what, err := range map[string]*error{"the store is away": &away, "another node has the lease": nil} {
		first := &port{}
		inHouse(t, first, func(t *testing.T, h *house) {
			two, there := &house{t: t, log: h.log, account: h.account, bar: &bar{}}, &port{}
			two.bar.err.Store(err)
			two.open("n2")
			two.o.PluginReady("text", "g2", there)
			two.after(time.Second)
			two.bar.up.Store(true)
			for range 300 {
				two.o.ReadAgain()
				two.after(100 * time.Millisecond)
			}
			if n := two.bar.asked.Load(); n < 15 || n > 60 {
				t.Errorf("%s: asked for the lease %d times in 30 s, want about 30", what, n)
			}
			// A row of this node that nobody has in memory.
			h.written("1")
			two.o.ReadAgain()
			two.bar.up.Store(false)
			two.after(2 * time.Second)
			there.want(t, what+", afterwards", "call 1")
			two.close()
		})
	}
}

// Rows of an account that cannot be claimed are no reason to read all rows more often than otherwise.
func TestRowsThatCannotBeClaimed(t *testing.T) {
	inHouse(t, &port{}, func(t *testing.T, h *house) {
		two, there := &house{t: t, log: h.log, account: h.account, leases: &holder{}, bar: &bar{}}, &port{}
		two.open("n2")
		two.o.PluginReady("text", "g2", onePort{there, false})
		two.serve("n2")
		h.post(conversation.NewID[conversation.ConversationID](), 1, "text")
		two.bar.shut.Store(true)
		before := two.bar.reads.Load()
		two.after(time.Minute)
		if n := two.bar.reads.Load() - before; n < 10 || n > 14 {
			t.Errorf("read all rows %d times in a minute, want 12", n)
		}
		there.want(t, "while it cannot be claimed")
		two.bar.shut.Store(false)
		two.after(11 * time.Second)
		there.want(t, "afterwards", "from the log: 1")
		two.close()
	})
}
