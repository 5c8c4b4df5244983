package readers_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/vault"
)

func newConversation() conversation.ConversationID {
	return conversation.NewID[conversation.ConversationID]()
}

func pairs(recs []readers.Record) (out [][2]uint64) {
	for _, rec := range recs {
		out = append(out, [2]uint64{rec.Prev, rec.Seq})
	}
	return out
}

// PR14: memory and the log must give the same records for every cursor, however events were
// published, and a reader who keeps up must not read the log.
func TestMemoryAndLogAgree(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		rng := rand.New(rand.NewPCG(7, 7))
		conv := newConversation()
		tail := h.Tail(conv)
		head := uint64(0)
		for head < 5*readers.TailSize {
			n := 1 + rng.IntN(readers.TailSize+8)
			batch := make([]conversation.Audience, n)
			for i := range batch {
				batch[i] = conversation.AudienceCustomer + conversation.Audience(rng.IntN(int(conversation.AudienceAudit)))
			}
			h.publish(conv, batch...)
			head += uint64(n)
			for a := conversation.AudienceCustomer; a <= conversation.AudienceAudit; a++ {
				for after := range head + 2 {
					limit := 1 + rng.IntN(40)
					want, err := h.r.Records(t.Context(), conv, a, after, limit)
					if err != nil {
						t.Fatal(err)
					}
					before := h.logReads()
					got, reached, err := tail.Read(t.Context(), a, after, limit)
					if err != nil {
						t.Fatal(err)
					}
					if after+min(head, readers.TailSize) >= head && h.logReads() != before {
						t.Fatalf("head %d, cursor %d: the log was read", head, after)
					}
					if fmt.Sprint(pairs(got)) != fmt.Sprint(pairs(want)) {
						t.Fatalf("head %d, audience %d, cursor %d, limit %d: memory has %v, the log %v", head, a, after, limit, pairs(got), pairs(want))
					}
					if n := len(got); reached < after || n > 0 && reached < got[n-1].Seq {
						t.Fatalf("head %d, cursor %d: looked up to %d only", head, after, reached)
					}
				}
			}
		}
	})
}

// Events that do not follow the tail, or that cannot be followed, must be read from the log.
func TestGapsAreReadFromTheLog(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		conv := newConversation()
		tail := h.Tail(conv)
		h.publish(conv, all(3)...)
		h.write(conv, all(2)...) // written by another node, so not published here
		h.publish(conv, all(2)...)
		read := func(want string) {
			t.Helper()
			recs, _, err := tail.Read(t.Context(), conversation.AudienceCustomer, 2, 100)
			if got := fmt.Sprint(pairs(recs)); err != nil || got != want {
				t.Errorf("got %s (%v), want %s", got, err, want)
			}
		}
		read("[[2 3] [3 4] [4 5] [5 6] [6 7]]")
		h.write(conv, all(1)...)
		read("[[2 3] [3 4] [4 5] [5 6] [6 7] [7 8]]") // the first event in memory does not follow the cursor: all are read from the log
		if recs, _, err := tail.Read(t.Context(), conversation.AudienceCustomer, 7, 100); err != nil || len(recs) > 0 {
			t.Errorf("beyond the head that is known: got %v (%v), want nothing", pairs(recs), err)
		}
		tail.Unknown()
		if recs, _, err := tail.Read(t.Context(), conversation.AudienceCustomer, 7, 100); err != nil || len(recs) != 1 {
			t.Errorf("with the head unknown: got %v (%v), want seq 8", pairs(recs), err)
		}
	})
}

// A feed must wake once until it was emptied, and say when its reader is up to date.
func TestFeedWakesOnce(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		agent, conv := conversation.NewID[conversation.AgentID](), newConversation()
		h.publish(conv, all(2)...)
		woken := 0
		f := h.r.NewFeed(agent, conversation.AudienceAgent, func() { woken++ })
		poll := func() (out []string) {
			t.Helper()
			for {
				items, err := f.Poll(t.Context(), 64)
				if err != nil {
					t.Fatal(err)
				}
				if len(items) == 0 {
					return out
				}
				for _, it := range items {
					switch {
					case it.Record != nil:
						out = append(out, fmt.Sprint(it.Record.Seq))
					case it.Signal != nil:
						out = append(out, fmt.Sprint(it.Signal.Kind, it.Signal.On))
					case it.Agent:
						out = append(out, "agent")
					case it.Recent:
						out = append(out, "recent")
					default:
						out = append(out, "live")
					}
				}
			}
		}
		check := func(wantWoken int, want string) {
			t.Helper()
			if woken != wantWoken {
				t.Errorf("woken %d times, want %d", woken, wantWoken)
			}
			if got := fmt.Sprint(poll()); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			woken = 0
		}
		f.Add(conv, 0)
		h.publish(conv, conversation.AudienceAgent)
		check(1, "[1 2 3 live]")
		check(0, "[]")
		h.r.AgentChanged(agent)
		h.r.AgentChanged(agent)
		h.r.AgentChanged(conversation.NewID[conversation.AgentID]())
		check(1, "[agent]")
		typing := readers.Signal{Conversation: conv, Kind: plugin.SignalTyping, On: true, Who: conversation.Author{Kind: conversation.Customer}}
		h.Tail(conv).Signal(typing)
		typing.On = false
		h.Tail(conv).Signal(typing)
		check(1, "[typingfalse]")
		f.Remove(conv)
		h.publish(conv, all(1)...)
		check(0, "[]")
		if h.Tail(conv).Watched() {
			t.Error("removed from the only feed, the conversation still has a reader")
		}
		f.Add(conv, 3)
		f.Close()
		woken = 0
		h.publish(conv, all(1)...)
		h.r.AgentChanged(agent)
		if woken > 0 || h.Tail(conv).Watched() {
			t.Errorf("after Close: woken %d times, watched %v", woken, h.Tail(conv).Watched())
		}
	})
}

// A conversation about which memory knows nothing must be read up to the end of the log, and a
// reader must be told at once that the customer is away.
func TestFirstReaderOfAConversation(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		conv := newConversation()
		tail := h.Tail(conv)
		tail.Signal(readers.Signal{Conversation: conv, Kind: plugin.SignalPresence, Who: conversation.Author{Kind: conversation.Customer}})
		if !tail.Away() {
			t.Error("a customer who has gone is not away")
		}
		f := h.r.NewFeed(conversation.AgentID{1}, conversation.AudienceAgent, func() {})
		defer f.Close()
		f.Add(conv, 0)
		if len(h.asked) != 1 || h.asked[0] != conv {
			t.Errorf("asked to catch up: %v, want %s once", h.asked, conv)
		}
		items, err := f.Poll(t.Context(), 64)
		if err != nil || len(items) == 0 || items[0].Signal == nil || items[0].Signal.Kind != plugin.SignalPresence || items[0].Signal.On {
			t.Errorf("got %+v (%v), want word that the customer is away", items, err)
		}
		if tail.End(); tail.Away() {
			t.Error("in a conversation that is over nobody is away")
		}
	})
}

// exchange is a thread that calls the subscription when it is told that the subscription was
// closed. This would hang if the subscription called Left with its own lock held.
type exchange struct{ left int }

func (e *exchange) Left(s *readers.Subscription) {
	s.Credit(0)
	e.left++
}

// A subscription must read the thread's conversations one after the other, never take more than its
// credit, and receive ephemeral signals.
func TestSubscriptionReadsInOrder(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		one, two := newConversation(), newConversation()
		h.publish(one, conversation.AudienceCustomer, conversation.AudienceAgent, conversation.AudienceCustomer, conversation.AudienceCustomer)
		var th exchange
		out := &sink{name: map[conversation.ConversationID]string{one: "a", two: "b"}}
		s := h.r.NewSubscription(&th, 0, 2, out)
		s.Attach(h.Tail(one), 0)
		s.Start()
		check := func(want string) {
			t.Helper()
			if got := out.take(); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		check("[a1<0 a3<1]")
		s.Credit(10)
		check("[a4<3 live]")
		h.Tail(one).End()
		h.publish(two, all(2)...)
		s.Attach(h.Tail(two), 0)
		s.Attach(h.Tail(one), 0) // it was attached before
		check("[b1<0 b2<1 live]")
		if h.Tail(one).Watched() {
			t.Error("the conversation that was read to its end is still watched")
		}
		h.Tail(two).Place(3, time.Second)
		h.Tail(two).Signal(readers.Signal{Conversation: two, Kind: plugin.SignalTyping, On: true, Who: conversation.Author{Kind: conversation.Agent}})
		h.Tail(two).Signal(readers.Signal{Conversation: two, Kind: plugin.SignalTyping, On: true, Who: conversation.Author{Kind: conversation.Customer}})
		check("[b queue true 3 b typing true 0]")
		h.publish(two, all(1)...)
		check("[b3<2]")
		s.Close()
		h.publish(two, all(1)...)
		h.Tail(two).Place(2, time.Second)
		check("[]")
		if th.left != 1 || h.Tail(two).Watched() {
			t.Errorf("after Close: the thread heard of it %d times, watched %v", th.left, h.Tail(two).Watched())
		}
	})
}

// A subscription that cannot read the log must end.
func TestSubscriptionEndsWithoutLog(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		conv := newConversation()
		h.write(conv, all(1)...)
		h.broken = true
		out := &sink{}
		s := h.r.NewSubscription(&exchange{}, 0, 10, out)
		s.Attach(h.Tail(conv), 0)
		s.Start()
		if got := out.take(); got != "[end unavailable]" {
			t.Errorf("got %s, want its end", got)
		}
		s.Credit(1)
		if got := out.take(); got != "[]" {
			t.Errorf("after its end: got %s", got)
		}
		s.Close()
	})
}

// keys fail with err, and record the additional data that they were given.
type keys struct {
	err error
	aad []byte
}

func (k *keys) Open(_ int64, aad, sealed []byte) ([]byte, error) {
	k.aad = aad
	return sealed, k.err
}

func TestOpenBody(t *testing.T) {
	rec := eventlog.Record{Stream: eventlog.StreamID{1}, Seq: 2}
	rec.Type, rec.Body = "message/1", []byte("x")
	account := rec
	account.Type = "account.refused/1"
	for _, tt := range []struct {
		name string
		rec  eventlog.Record
		err  error
		body string
		fail bool
		aad  string
	}{
		{"conversation", rec, nil, "x", false, string(readers.BodyAAD(rec.Stream, 2))},
		{"account", account, nil, "x", false, string(rec.Stream[:])},
		{"destroyed key", rec, fmt.Errorf("w: %w", vault.ErrDestroyed), "", false, string(readers.BodyAAD(rec.Stream, 2))},
		{"damaged key", rec, vault.ErrDamaged, "", false, string(readers.BodyAAD(rec.Stream, 2))},
		{"damaged body", rec, vault.ErrSealed, "", true, string(readers.BodyAAD(rec.Stream, 2))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := &keys{err: tt.err}
			body, err := readers.OpenBody(k, tt.rec)
			if string(body) != tt.body || (err != nil) != tt.fail || tt.fail && !errors.Is(err, tt.err) || string(k.aad) != tt.aad {
				t.Errorf("got %q, error %v, aad %x", body, err, k.aad)
			}
		})
	}
}

// Recent is listed by owner, newest first, and the owner's feeds must be told of changes only.
func TestRecentByOwner(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		ana, ben := conversation.NewID[conversation.AgentID](), conversation.NewID[conversation.AgentID]()
		woken := map[string]int{}
		for name, id := range map[string]conversation.AgentID{"ana": ana, "ben": ben} {
			defer h.r.NewFeed(id, conversation.AudienceAgent, func() { woken[name]++ }).Close()
		}
		old, young := newConversation(), newConversation()
		at := time.Now()
		sync := func(id conversation.ConversationID, u *conversation.Unread) {
			h.r.SyncRecent(&conversation.State{ID: id, Unread: u})
		}
		sync(old, &conversation.Unread{Owner: ana, Count: 2, At: at, Seq: 5})
		sync(old, &conversation.Unread{Owner: ana, Count: 2, At: at, Seq: 5})
		sync(young, &conversation.Unread{Owner: ana, Count: 1, At: at.Add(time.Second), Seq: 9})
		if got := h.r.Recent(ana); got.Unread != 3 || len(got.Items) != 2 || got.Items[0].Conversation != young || got.Items[1].Unread != 2 {
			t.Errorf("got %+v, want 3 in two, the newest first", got)
		}
		if woken["ana"] != 1 || woken["ben"] != 0 {
			t.Errorf("woken: %v, want ana once", woken)
		}
		sync(young, &conversation.Unread{Owner: ben, Count: 1, At: at, Seq: 9})
		sync(old, nil)
		if a, b := h.r.Recent(ana), h.r.Recent(ben); a.Unread != 0 || len(a.Items) != 0 || b.Unread != 1 || woken["ben"] != 1 {
			t.Errorf("ana has %+v, ben %+v, woken %v; want one that is ben's", a, b, woken)
		}
	})
}
