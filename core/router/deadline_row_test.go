package router_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// botTakes lets a bot handle a conversation that waits for an agent, as another node would write it.
func (b *bubble) botTakes(id conversation.ConversationID) {
	b.t.Helper()
	row, err := b.log.Conversation(b.t.Context(), eventlog.StreamID(id))
	must(b.t, err)
	s, err := conversation.DecodeState(row.State)
	must(b.t, err)
	recs, err := b.log.Read(b.t.Context(), eventlog.StreamID(id), s.Seq, 100)
	must(b.t, err)
	if len(recs) > 0 {
		b.t.Fatalf("the row lacks %d events", len(recs))
	}
	bot := conversation.Author{Kind: conversation.Bot, Bot: conversation.NewID[conversation.AccountID]()}
	post := &conversation.MessagePosted{ID: conversation.NewID[conversation.MessageID](), Author: bot, Kinds: []conversation.PartKind{conversation.PartText}}
	stream := eventlog.StreamAppend{Stream: eventlog.StreamID(id), Expect: s.Seq}
	for _, head := range []conversation.Head{
		&conversation.RoutingCancelled{Request: s.Requests[0].ID, Cause: conversation.CauseWithdrawn}, &conversation.ParticipantJoined{Who: bot}, post,
	} {
		ev := conversation.Event{Seq: s.Seq + 1, At: time.Now().UTC().Truncate(time.Millisecond), Head: head}
		text, err := conversation.Encode(ev)
		must(b.t, err)
		must(b.t, s.Apply(ev))
		stream.Events = append(stream.Events, eventlog.Event{Type: string(head.Type()), At: ev.At, Head: text})
	}
	row.Seq = s.Seq
	row.State, err = conversation.EncodeState(s)
	must(b.t, err)
	_, err = b.log.Append(b.t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{stream}, Conversations: []eventlog.ConversationRow{row}})
	must(b.t, err)
	b.bus.Publish(bus.Hint{Node: "another", Kind: bus.Conversation, Stream: id, Seq: s.Seq})
	synctest.Wait()
}

// A17: a start reads rows only, and a question to a bot is a message, which alone writes no row. A
// bot that is gone after a restart still hands the conversation over when its time is up.
func TestSilentBotHandsOverAfterRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		conv := b.startChat(b.r, "v", "Cora", "hello").Conversation
		synctest.Wait()
		b.botTakes(conv)
		b.message(b.r, "v", "m1", "Can you help me?")
		b.after(30 * time.Second)
		b.restart(0)
		b.after(31 * time.Second)
		if got := b.display(conv); got != conversation.DisplayQueued {
			t.Errorf("a minute after the question: %s, want queued", got)
		}
	})
}

// Q3: a customer who was warned, wrote, and falls silent again is warned in time, also when the
// gateway restarted meanwhile.
func TestWarnedAgainAfterRestart(t *testing.T) {
	w := newWorld(t, nil)
	svc := w.service
	svc.Rules.InactivityWarn, svc.Rules.InactivityEnd = 60_000, 600_000
	_, err := w.dir.PutService(t.Context(), svc)
	must(t, err)
	w.inBubble(t, func(t *testing.T, b *bubble) {
		ana, conv := b.accepted("ana")
		warnings := func() (n int) {
			for _, typ := range types(t, b.r, conv) {
				if typ == string(conversation.TypeInactivityWarned) {
					n++
				}
			}
			return n
		}
		b.after(61 * time.Second)
		if n := warnings(); n != 1 {
			t.Fatalf("%d warnings after a minute, want 1", n)
		}
		b.message(b.r, "v", "m1", "Here I am.")
		b.restart(0)
		must(t, b.r.AgentConnected(t.Context(), ana))
		b.after(61 * time.Second)
		if n := warnings(); n != 2 {
			t.Errorf("%d warnings a minute after the customer wrote, want 2", n)
		}
	})
}
