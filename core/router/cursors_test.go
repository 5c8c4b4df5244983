package router_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
)

// mixed makes a conversation in which events that the customer sees and events that only agents see
// come in runs of random length.
func (w *world) mixed(r *router.Router, th string, events int) conversation.ConversationID {
	rng := rand.New(rand.NewPCG(uint64(events), 12))
	id := w.startChat(r, th, "Cora", "hi").Conversation
	for i := 0; i < events; {
		page := rng.IntN(2) == 0
		for range 1 + rng.IntN(12) {
			i++
			if !page {
				w.message(r, th, fmt.Sprint(i), "text")
				continue
			}
			ingest(r, plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: th, DedupeKey: fmt.Sprint(th, "/page/", i),
				Action: &plugin.CustomerAction{Page: &conversation.PageBody{URL: "https://example.com/" + fmt.Sprint(i)}}})
		}
	}
	return id
}

// expected is a naive model of a reader: of all events after a cursor those that the audience may
// see, each with the event before it that the audience may see.
func expected(t *testing.T, all []readers.Record, a conversation.Audience, after uint64, limit int) (out [][2]uint64) {
	t.Helper()
	prev := uint64(0)
	for _, rec := range all {
		h, err := conversation.DecodeHead(rec.Type, rec.Head)
		must(t, err)
		if !a.Sees(h.Audience()) {
			continue
		}
		if rec.Seq > after && len(out) < limit {
			out = append(out, [2]uint64{prev, rec.Seq})
		}
		prev = rec.Seq
	}
	return out
}

// PR14, DESIGN.md 3: a record's prev is the last sequence that its reader could see, and a reader
// gets no more records than it asked for, whichever event the cursor names and whether memory or
// the log is read.
func TestReadersAgreeForEveryCursor(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	id := w.mixed(r, "v", 200)
	all, err := r.Records(ctx, id, conversation.AudienceAudit, 0, 1000)
	must(t, err)
	if len(all) < 200 {
		t.Fatalf("%d events, want 200 at least", len(all))
	}
	for _, a := range []conversation.Audience{conversation.AudienceCustomer, conversation.AudienceBot, conversation.AudienceAgent, conversation.AudienceSupervisor, conversation.AudienceAudit} {
		for after := range uint64(len(all) + 2) {
			for _, limit := range []int{1, 5, 500} {
				want := fmt.Sprint(expected(t, all, a, after, limit))
				recs, err := r.Records(ctx, id, a, after, limit)
				must(t, err)
				if got := fmt.Sprint(pairs(recs)); got != want {
					t.Fatalf("from the log, audience %v, cursor %d, limit %d: got [prev seq] %s, want %s", a, after, limit, got, want)
				}
				if got := fmt.Sprint(pairs(poll(t, r, id, a, after, limit))); got != want {
					t.Fatalf("a feed, audience %v, cursor %d, limit %d: got [prev seq] %s, want %s", a, after, limit, got, want)
				}
			}
		}
	}
}

// poll returns the records of a new feed's first Poll from a cursor on.
func poll(t *testing.T, r *router.Router, id conversation.ConversationID, a conversation.Audience, after uint64, limit int) (recs []readers.Record) {
	t.Helper()
	f := r.NewFeed(conversation.AgentID{1}, a, func() {})
	defer f.Close()
	f.Add(id, after)
	items, err := f.Poll(context.Background(), limit)
	must(t, err)
	for _, it := range items {
		if it.Record != nil {
			recs = append(recs, *it.Record)
		}
	}
	return recs
}

func pairs(recs []readers.Record) (out [][2]uint64) {
	for _, rec := range recs {
		out = append(out, [2]uint64{rec.Prev, rec.Seq})
	}
	return out
}

// A subscription that resumes after any event is never given more records than its credit.
func TestNoMoreRecordsThanCredit(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	id := w.mixed(r, "v", 200)
	all, err := r.Records(context.Background(), id, conversation.AudienceAudit, 0, 1000)
	must(t, err)
	for after := uint64(0); after < uint64(len(all)); after += 3 {
		want := len(expected(t, all, conversation.AudienceCustomer, after, 1000))
		credit := min(5, want)
		s, rd := w.subscribe(r, "v", credit, id, after)
		count := func() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.recs) }
		for ; credit < want; credit = min(credit+5, want) {
			eventually(t, "records for all credit", func() bool { return count() >= credit })
			if got := count(); got > credit {
				t.Fatalf("cursor %d: %d records for a credit of %d", after, got, credit)
			}
			rd.Credit(min(5, want-credit))
		}
		eventually(t, "the rest", func() bool { return count() == want })
		rd.Close()
	}
}
