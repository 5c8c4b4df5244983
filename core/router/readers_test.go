package router_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
)

// sink keeps the records that a subscription delivers, and checks their order.
type sink struct {
	t    testing.TB
	mu   sync.Mutex
	recs []readers.Record
	live int
	sigs []plugin.AgentSignal
	ends []string
}

func (s *sink) Records(recs []readers.Record, live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rec := range recs {
		if n := len(s.recs); n > 0 && s.recs[n-1].Conversation == rec.Conversation && rec.Prev != s.recs[n-1].Seq {
			s.t.Errorf("seq %d says that seq %d came before, the reader has %d", rec.Seq, rec.Prev, s.recs[n-1].Seq)
		}
		s.recs = append(s.recs, rec)
	}
	if live {
		s.live++
	}
}

func (s *sink) Signal(a plugin.AgentSignal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sigs = append(s.sigs, a)
}

func (s *sink) End(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, code)
}

func (s *sink) messages() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.recs {
		if r.Type == conversation.TypeMessage {
			n++
		}
	}
	return n
}

func (w *world) subscribe(r *router.Router, th string, credit int, after conversation.ConversationID, seq uint64) (*sink, plugin.Reader) {
	w.t.Helper()
	s := &sink{t: w.t}
	rd, err := r.Subscribe(context.Background(), plugin.SubscriptionSpec{Plugin: "chat", Account: w.chat.ID, Thread: th, Credit: credit, After: after, AfterSeq: seq}, s)
	if err != nil {
		w.t.Fatalf("subscribe: %v", err)
	}
	w.t.Cleanup(rd.Close)
	return s, rd
}

func TestSubscriptionFollowsTheThread(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	s, _ := w.subscribe(r, "v", 1000, conversation.ConversationID{}, 0)
	eventually(t, "word that nothing is there yet", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.live == 1 })
	first := w.startChat(r, "v", "Cora", "one").Conversation
	for i := range 200 {
		w.message(r, "v", fmt.Sprint(i), "text")
	}
	eventually(t, "all messages", func() bool { return s.messages() == 201 })
	ingest(r, plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", Action: &plugin.CustomerAction{End: true}})
	second := ingest(r, plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", DedupeKey: "again",
		Action: &plugin.CustomerAction{Start: &plugin.StartAction{Parts: textParts("two")}}}).Conversation
	eventually(t, "the next conversation of the thread", func() bool { return s.messages() == 202 })
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[conversation.ConversationID]uint64{}
	for _, rec := range s.recs {
		if rec.Seq <= seen[rec.Conversation] {
			t.Errorf("seq %d after seq %d", rec.Seq, seen[rec.Conversation])
		}
		seen[rec.Conversation] = rec.Seq
		if h, err := conversation.DecodeHead(rec.Type, rec.Head); err != nil || h.Audience() != conversation.AudienceCustomer {
			t.Errorf("a customer's reader got %s (%v)", rec.Type, err)
		}
	}
	if len(seen) != 2 || seen[first] == 0 || seen[second] == 0 {
		t.Errorf("conversations seen: %v, want %s and %s", seen, first, second)
	}
}

func TestSubscriptionHonoursCredit(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	w.startChat(r, "v", "", "one")
	for i := range 20 {
		w.message(r, "v", fmt.Sprint(i), "text")
	}
	s, rd := w.subscribe(r, "v", 5, conversation.ConversationID{}, 0)
	count := func() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.recs) }
	eventually(t, "five records", func() bool { return count() == 5 })
	w.message(r, "v", "more", "text")
	if got := count(); got != 5 {
		t.Errorf("with credit 5: got %d records", got)
	}
	rd.Credit(1000)
	eventually(t, "the rest", func() bool { return s.messages() == 22 })
}

// PR14: a reader that resumes from any cursor gets exactly the events that it missed.
func TestResumeFromEveryCursor(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	ana := w.agents["ana"]
	must(t, r.AgentConnected(ctx, ana))
	must(t, r.Ready(ctx, ana))
	id := w.startChat(r, "v", "", "hi").Conversation
	_, _, err := r.Accept(ctx, ana, offerTo(t, r, ana).Offer)
	must(t, err)
	for i := range 100 { // more events than the tail in memory holds
		w.message(r, "v", fmt.Sprint(i), "text")
	}
	all, err := r.Records(ctx, id, conversation.AudienceCustomer, 0, 1000)
	must(t, err)
	for i := 0; i <= len(all); i++ {
		cursor := uint64(0)
		if i > 0 {
			cursor = all[i-1].Seq
		}
		f := r.NewFeed(ana, conversation.AudienceCustomer, func() {})
		f.Add(id, cursor)
		var got []uint64
		last := cursor
		for live := false; !live; {
			items, err := f.Poll(ctx, 16)
			must(t, err)
			for _, it := range items {
				switch {
				case it.Record != nil:
					if it.Record.Prev != last && i > 0 {
						t.Errorf("cursor %d: seq %d names %d as the one before, the reader has %d", cursor, it.Record.Seq, it.Record.Prev, last)
					}
					last = it.Record.Seq
					got = append(got, last)
				case !it.Live.IsZero():
					live = true
				}
			}
		}
		f.Close()
		if len(got) != len(all)-i {
			t.Fatalf("cursor %d: got %d events, want %d", cursor, len(got), len(all)-i)
		}
		for j, seq := range got {
			if seq != all[i+j].Seq {
				t.Fatalf("cursor %d: event %d is seq %d, want %d", cursor, j, seq, all[i+j].Seq)
			}
		}
	}
}

// Readers on another node see what this node writes, of which only hints tell that node.
func TestFeedOnAnotherNode(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.start("n1"), w.start("n2")
	id := w.startChat(a, "v", "", "hi").Conversation
	woken := make(chan struct{}, 1)
	f := b.NewFeed(w.agents["ana"], conversation.AudienceAgent, func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	defer f.Close()
	f.Add(id, 0)
	for i := range 50 {
		w.message(a, "v", fmt.Sprint(i), "text")
	}
	got := 0
	eventually(t, "all messages on the other node", func() bool {
		items, err := f.Poll(context.Background(), 64)
		must(t, err)
		for _, it := range items {
			if it.Record != nil && it.Record.Type == conversation.TypeMessage {
				got++
			}
		}
		return got == 51
	})
}

func TestTypingReachesTheOtherSide(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	ana := w.agents["ana"]
	must(t, r.AgentConnected(ctx, ana))
	must(t, r.Ready(ctx, ana))
	s, _ := w.subscribe(r, "v", 100, conversation.ConversationID{}, 0)
	id := w.startChat(r, "v", "", "hi").Conversation
	_, _, err := r.Accept(ctx, ana, offerTo(t, r, ana).Offer)
	must(t, err)
	f := r.NewFeed(ana, conversation.AudienceAgent, func() {})
	defer f.Close()
	f.Add(id, 0)
	r.Typing(ana, id, true)
	eventually(t, "the agent's typing", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, g := range s.sigs {
			if g.Kind == plugin.SignalTyping && g.On && g.Name == "Agent ana" {
				return true
			}
		}
		return false
	})
	r.Signal(plugin.CustomerSignal{Account: w.chat.ID, Thread: "v", Kind: plugin.SignalTyping, On: true})
	eventually(t, "the customer's typing", func() bool {
		items, err := f.Poll(ctx, 64)
		must(t, err)
		for _, it := range items {
			if it.Signal != nil && it.Signal.Kind == plugin.SignalTyping && it.Signal.Who.Kind == conversation.Customer {
				return true
			}
		}
		return false
	})
	// Ephemeral signals are not in the log.
	for _, typ := range types(t, r, id) {
		if typ == "typing/1" {
			t.Error("typing is in the log")
		}
	}
}
