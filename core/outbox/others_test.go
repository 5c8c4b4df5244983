package outbox_test

import (
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
)

// learn tells the outbox of a conversation with these messages, as loading it does.
func (h *house) learn(conv conversation.ConversationID, status conversation.Status, msgs ...*outbox.Command) {
	h.t.Helper()
	s := &conversation.State{ID: conv}
	for _, c := range msgs {
		row := c.Row()
		s.Seq = max(s.Seq, row.Seq)
		s.Pending = append(s.Pending, conversation.PendingMessage{ID: row.CommandID, Seq: row.Seq, Status: status})
	}
	if err := h.o.Learn(h.ctx, s); err != nil {
		h.t.Fatal(err)
	}
	h.after(0)
}

// withOther runs a test with two nodes over one log, each with a plugin of its own.
func withOther(t *testing.T, test func(t *testing.T, a, b *house, pa, pb *port)) {
	t.Helper()
	pa, pb := &port{}, &port{}
	inHouse(t, pa, func(t *testing.T, a *house) {
		b := a.beside("n2")
		b.o.PluginReady("text", "g2", pb)
		test(t, a, b, pa, pb)
		b.close()
	})
}

// A message must wait for an earlier one that another node has, also while that one waits to be
// tried again. Messages of other conversations and other kinds of commands must not.
func TestLaneOverNodes(t *testing.T) {
	withOther(t, func(t *testing.T, a, b *house, pa, pb *port) {
		conv, calm := conversation.NewID[conversation.ConversationID](), conversation.NewID[conversation.ConversationID]()
		first := a.post(conv, 1, "first")
		b.learn(conv, conversation.StatusAccepted, first)
		b.post(conv, 2, "second")
		b.post(calm, 9, "calm")
		b.read(conv, 3, "mark")
		pb.want(t, "behind the other node's message", "calm", "read mark")
		a.result(first, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true, RetryAfter: 30 * time.Second})
		b.after(20 * time.Second) // time in the bubble, in which the rows are read
		pb.want(t, "while it waits to be tried again", "calm", "read mark")
		a.after(11 * time.Second)
		pa.want(t, "tried again", "first", "first")
		a.result(first, plugin.CommandResult{Outcome: conversation.StatusSent})
		b.learn(conv, conversation.StatusSent, first)
		pb.want(t, "when the conversation says that it is sent", "calm", "read mark", "second")
	})
}

// Without word of the conversation, and after a start that finds both rows, readings of the rows must
// tell for what to wait, and for how long.
func TestLaneOverNodesByReading(t *testing.T) {
	withOther(t, func(t *testing.T, a, b *house, _, pb *port) {
		conv := conversation.NewID[conversation.ConversationID]()
		first := a.post(conv, 1, "first")
		b.learn(conv, conversation.StatusAccepted, first)
		b.post(conv, 2, "second")
		b.close()
		b.open("n2")
		b.o.PluginReady("text", "g3", pb)
		b.after(time.Minute)
		pb.want(t, "after the start")
		a.result(first, plugin.CommandResult{Outcome: conversation.StatusSent})
		b.after(6 * time.Second)
		pb.want(t, "after the next reading", "from the log: 2")
	})
}

// A node that is killed with the earlier message must not let the later one overtake: it waits until
// the earlier one has been taken over, has gone out, and has its outcome.
func TestLaneOverNodesKilled(t *testing.T) {
	withOther(t, func(t *testing.T, a, b *house, pa, pb *port) {
		conv := conversation.NewID[conversation.ConversationID]()
		b.after(20 * time.Second) // n2 has kept its lease for long enough to take over
		first := a.post(conv, 1, "first")
		b.learn(conv, conversation.StatusAccepted, first)
		b.post(conv, 2, "second")
		pa.want(t, "before", "first")
		a.close()
		b.after(10 * time.Second)
		pb.want(t, "while it is not certain that the node is gone")
		b.after(20 * time.Second)
		pb.want(t, "taken over", "from the log: 1")
		b.result(first, plugin.CommandResult{Outcome: conversation.StatusSent})
		pb.want(t, "when it is sent", "from the log: 1", "second")
		a.open("n1") // for the end of the test
	})
}

// A node from which a row was taken must let later messages of the lane wait for that row, although
// it learns of the loss only when its plugin begins the command.
func TestLaneOverNodesTaken(t *testing.T) {
	withOther(t, func(t *testing.T, a, _ *house, pa, _ *port) {
		conv := conversation.NewID[conversation.ConversationID]()
		first := a.post(conv, 1, "first")
		a.post(conv, 2, "second")
		id := first.Row().CommandID
		give := func(u eventlog.OutboxUpdate) {
			t.Helper()
			u.CommandID, u.Node = id, "n3"
			if _, err := a.log.Append(a.ctx, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{u}}); err != nil {
				t.Fatal(err)
			}
		}
		give(eventlog.OutboxUpdate{})
		if a.begin(first, "g1") {
			t.Fatal("a command of another node was begun")
		}
		a.after(0)
		pa.want(t, "when the row is lost", "first")
		a.after(10 * time.Second)
		pa.want(t, "after readings", "first")
		give(eventlog.OutboxUpdate{State: eventlog.OutboxSettled, Attempt: 1})
		a.after(6 * time.Second)
		pa.want(t, "when the other node has sent it", "first", "second")
	})
}

// A row that is written for another node holds back this node's later rows of its lane.
func TestLaneOverNodesWrittenFor(t *testing.T) {
	withOther(t, func(t *testing.T, a, b *house, pa, pb *port) {
		conv := conversation.NewID[conversation.ConversationID]()
		row := a.o.Send(conv, a.account, &conversation.MessagePosted{ID: conversation.NewID[conversation.MessageID]()}, &conversation.Event{Seq: 1, At: time.Now()}).Row()
		row.Node = "n2"
		if _, err := a.log.Append(a.ctx, &eventlog.Batch{Outbox: []eventlog.OutboxRow{row}}); err != nil {
			t.Fatal(err)
		}
		a.o.AddRow(row)
		a.post(conv, 2, "second")
		pa.want(t, "behind the row of the other node")
		b.o.ReadAgain()
		b.after(0)
		pb.want(t, "at the other node", "from the log: 1")
		if a := b.resultOf(row.CommandID, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Committed {
			t.Fatalf("result: %+v", a)
		}
		a.after(6 * time.Second)
		pa.want(t, "after it", "second")
	})
}
