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

// written writes a command for a call of node n2 into the log, as another node does; nobody is told.
func (h *house) written(digits string) *outbox.Command {
	h.t.Helper()
	origin := outbox.Origin{Conversation: conversation.NewID[conversation.ConversationID](), Account: h.account, Seq: 5, Thread: "t"}
	c, err := h.o.Call(origin, conversation.Pin{Node: "n2", Instance: "g2"}, &plugin.CallCommand{Digits: &plugin.CallDigits{Digits: digits}}, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	c.Seal(c.Payload(), 1)
	if _, err := h.log.Append(h.ctx, &eventlog.Batch{Outbox: []eventlog.OutboxRow{c.Row()}}); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// What the log tells of rows that another node wrote must go out at once, and once.
func TestHeardGoesOutAtOnce(t *testing.T) {
	withOther(t, func(t *testing.T, a, b *house, _, pb *port) {
		c := a.written("1")
		for range 2 {
			b.o.Heard(b.ctx, [][16]byte{c.Row().CommandID})
		}
		synctest.Wait()
		pb.want(t, "heard of", "call 1")
		b.result(c, plugin.CommandResult{Outcome: conversation.StatusSent})
		b.o.Heard(b.ctx, [][16]byte{c.Row().CommandID})
		b.after(6 * time.Second)
		pb.want(t, "heard of after its end", "call 1")
	})
}

// A message for which an earlier one at another node has to end first must not overtake it because
// it was heard of.
func TestHeardKeepsOrder(t *testing.T) {
	withOther(t, func(t *testing.T, a, b *house, _, pb *port) {
		conv := conversation.NewID[conversation.ConversationID]()
		first := a.post(conv, 1, "first")
		row := b.o.Send(conv, b.account, &conversation.MessagePosted{ID: conversation.NewID[conversation.MessageID]()}, &conversation.Event{Seq: 2, At: time.Now()}).Row()
		if _, err := b.log.Append(b.ctx, &eventlog.Batch{Outbox: []eventlog.OutboxRow{row}}); err != nil {
			t.Fatal(err)
		}
		b.o.Heard(b.ctx, [][16]byte{row.CommandID})
		b.after(time.Second)
		pb.want(t, "behind the other node's message")
		a.result(first, plugin.CommandResult{Outcome: conversation.StatusSent})
		b.after(6 * time.Second)
		pb.want(t, "when that one is sent", "from the log: 2")
	})
}

// A hint that comes a moment after a reading of all rows must not be lost: the rows are read as soon
// as they may be, long before the next reading that nobody asks for.
func TestHintAfterAReading(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		two, there := &house{t: t, log: h.log, account: h.account, takes: 10 * time.Millisecond}, &port{}
		two.open("n2")
		two.o.PluginReady("text", "g2", there)
		two.after(5*time.Second + 20*time.Millisecond) // the rows were just read
		h.written("1")
		two.o.ReadAgain()
		two.after(300 * time.Millisecond)
		there.want(t, "after the hint", "call 1")
		two.close()
	})
}

// After a start at which the rows could not be read for "old" ones, since another node had this one's
// lease, a command of this process's own call must wait for its generation, not fail at once.
func TestPinnedReadFirstByALaterReading(t *testing.T) {
	p := &port{}
	inHouse(t, p, func(t *testing.T, h *house) {
		if _, held, err := h.log.AcquireLease(h.ctx, "outbox/n2", "n3", time.Second); err != nil || !held {
			t.Fatalf("lease: %t, %v", held, err)
		}
		two, there := h.beside("n2"), &port{}
		two.after(4 * time.Second)
		h.written("1") // the generation has told of its call, and the host has not said that it is ready
		two.after(2 * time.Second)
		two.o.PluginReady("text", "g2", there)
		two.after(0)
		there.want(t, "when the generation is ready", "call 1")
		two.wantSaid("of the command")
		two.close()
	})
}
