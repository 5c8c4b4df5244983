package router_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// gauge reads a metric of the router that has no labels, a gauge or a counter.
func gauge(t *testing.T, r *router.Router, name string) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	must(t, reg.Register(r.Collector()))
	families, err := reg.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// Memory holds only what is in use: open conversations and their threads leave it when nobody uses
// them, and are the same when somebody uses them again. A conversation with a reader stays.
func TestIdleConversationsLeaveMemory(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		const idle = 50
		var ids []conversation.ConversationID
		for i := range idle {
			ids = append(ids, b.startChat(b.r, thread(i), "", "hi").Conversation)
		}
		read := b.startChat(b.r, "read", "", "hi").Conversation
		s, reader := b.subscribe(b.r, "read", 100, conversation.ConversationID{}, 0)
		defer reader.Close()
		// One customer is known to be away.
		b.r.Signal(plugin.CustomerSignal{Account: b.chat.ID, Thread: thread(0), Kind: "presence", On: false})
		b.after(2 * time.Minute)
		if lives, threads := gauge(t, b.r, "parley_router_conversations_in_memory"), gauge(t, b.r, "parley_router_threads_in_memory"); lives != 1 || threads != 1 {
			t.Errorf("%v conversations and %v threads are in memory, want the one that is read", lives, threads)
		}
		if got := b.r.Board(t.Context()).Queues[0].Waiting; got != idle+1 {
			t.Errorf("%d wait for an agent, want all %d", got, idle+1)
		}

		f := b.r.NewFeed(b.agents["ana"], conversation.AudienceAgent, func() {})
		defer f.Close()
		f.Add(ids[0], 0)
		items, err := f.Poll(t.Context(), 64)
		must(t, err)
		away := false
		for _, it := range items {
			away = away || it.Signal != nil && it.Signal.Kind == "presence" && !it.Signal.On
		}
		if !away {
			t.Error("the customer who is away is shown as present after the conversation left memory")
		}

		for i, id := range ids {
			if a := b.message(b.r, thread(i), "more", "text"); a.Status != plugin.Committed || a.Conversation != id {
				t.Errorf("thread %d: got %+v, want committed in %s", i, a, id)
			}
		}
		if a := b.message(b.r, "read", "more", "text"); a.Conversation != read {
			t.Errorf("the conversation that is read: got %+v, want %s", a, read)
		}
		synctest.Wait()
		if got := s.messages(); got != 2 {
			t.Errorf("the reader has %d messages, want 2", got)
		}
	})
}

// A timer wakes a conversation that has left memory, so that its deadline is kept.
func TestTimersOfIdleConversations(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		_, id := b.accepted("ana")
		b.after(4 * time.Minute)
		if lives := gauge(t, b.r, "parley_router_conversations_in_memory"); lives != 0 {
			t.Errorf("%v conversations are in memory, want none", lives)
		}
		seen := false
		for range 24 * 60 { // long enough for the service's inactivity rules, whatever they are
			b.after(time.Minute)
			recs, err := b.r.Records(t.Context(), id, conversation.AudienceAudit, 0, 1000)
			must(t, err)
			for _, rec := range recs {
				seen = seen || rec.Type == conversation.TypeInactivityWarned || rec.Type == conversation.TypeEnded || rec.Type == conversation.TypeParked
			}
			if seen {
				return
			}
		}
		t.Error("nothing was done about an idle conversation in a day, want its timer to wake it")
	})
}

// A thread on which messages come while the janitor frees threads stays routed to one conversation.
func TestThreadsComeBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		id := b.startChat(b.r, "v", "", "hi").Conversation
		for i := range 60 {
			b.after(time.Duration(29+i%4) * time.Second)
			if a := b.message(b.r, "v", fmt.Sprint(i), "text"); a.Status != plugin.Committed || a.Conversation != id {
				t.Fatalf("message %d: got %+v, want committed in %s", i, a, id)
			}
		}
	})
}

// Start reads unfinished conversations page by page and finds all of them.
func TestStartFindsEveryConversation(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	const waiting = 2300 // three pages of rows
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := part; i < waiting; i += 8 {
				w.startChat(r, thread(i), "", "hi")
			}
		})
	}
	wg.Wait()
	w.stop(r)
	r = w.start("n1")
	if got := r.Board(t.Context()).Queues[0].Waiting; got != waiting {
		t.Errorf("%d wait for an agent after the start, want all %d", got, waiting)
	}
}

// FT14: a caller that waits for the log for longer than threads stay in memory still has the thread
// to which messages are routed. A reader gets what comes, and a conversation that an agent begins,
// or that OpenConversation returns, leaves memory as others do.
func TestThreadStaysForWhoWaits(t *testing.T) {
	long := int64(2 * time.Minute)
	t.Run("reader", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bubble) {
			b.slow.Store(long)
			s, reader := b.subscribe(b.r, "v", 100, conversation.ConversationID{}, 0)
			defer reader.Close()
			b.slow.Store(0)
			b.startChat(b.r, "v", "", "hi")
			synctest.Wait()
			if got := s.messages(); got != 1 {
				t.Errorf("the reader has %d messages, want 1", got)
			}
		})
	})
	none := func(t *testing.T, b *bubble) {
		t.Helper()
		b.slow.Store(0)
		b.after(2 * time.Minute)
		if lives, threads := gauge(t, b.r, "parley_router_conversations_in_memory"), gauge(t, b.r, "parley_router_threads_in_memory"); lives != 0 || threads != 0 {
			t.Errorf("%v conversations and %v threads are in memory, want none", lives, threads)
		}
	}
	t.Run("agent's start", func(t *testing.T) {
		w := newWorld(t, nil)
		w.inBubble(t, func(t *testing.T, b *bubble) {
			b.r.PluginReady("text", "g1", newPort(textInfo()))
			ana := b.ready("ana")
			b.slow.Store(long)
			_, err := b.r.StartOutbound(t.Context(), router.OutboundRequest{Agent: ana, Account: b.text.ID, To: "+49301234"})
			must(t, err)
			none(t, b)
		})
	})
	t.Run("question", func(t *testing.T) {
		inBubble(t, func(t *testing.T, b *bubble) {
			id := b.startChat(b.r, "v", "", "hi").Conversation
			b.after(2 * time.Minute)
			b.slow.Store(long)
			got, err := b.r.OpenConversation(t.Context(), b.chat.ID, "v")
			must(t, err)
			if got != id {
				t.Errorf("got %s, want %s", got, id)
			}
			none(t, b)
		})
	})
}
