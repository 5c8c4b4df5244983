package readers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
)

// house stands for the router and its log: it keeps conversations, writes events
// and publishes them.
type house struct {
	t *testing.T
	r *readers.Readers

	mu     sync.Mutex
	broken bool // the log cannot be read
	reads  int  // how often the log was read
	log    map[eventlog.StreamID][]eventlog.Record
	last   map[conversation.ConversationID]conversation.ByAudience // last sequence visible to each audience
	tails  map[conversation.ConversationID]*readers.Tail
	asked  []conversation.ConversationID // conversations for which CatchUp was called
}

// inHouse runs a test in a synctest bubble, while subscriptions are served.
func inHouse(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &house{
			t: t, log: map[eventlog.StreamID][]eventlog.Record{},
			last:  map[conversation.ConversationID]conversation.ByAudience{},
			tails: map[conversation.ConversationID]*readers.Tail{},
		}
		h.r = readers.New(h, h, clear{}, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { h.r.Run(ctx) })
		}
		test(t, h)
		stop()
		wg.Wait()
	})
}

// clear needs no keys: sealed is the plain text.
type clear struct{}

func (clear) Open(_ int64, _, sealed []byte) ([]byte, error) { return sealed, nil }

// Tail implements readers.Conversations.
func (h *house) Tail(conv conversation.ConversationID) *readers.Tail {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tails[conv] == nil {
		h.tails[conv] = h.r.NewTail(conv, true)
	}
	return h.tails[conv]
}

// CatchUp implements readers.Conversations.
func (h *house) CatchUp(conv conversation.ConversationID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, conv)
}

// Read implements readers.Log.
func (h *house) Read(_ context.Context, stream eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	if h.broken {
		return nil, errors.New("the log is away")
	}
	recs := h.log[stream]
	recs = recs[min(after, uint64(len(recs))):]
	return recs[:min(limit, len(recs))], nil
}

// write adds events for the audiences to the log of a conversation, and returns the records with
// which its tail can be told of them.
func (h *house) write(conv conversation.ConversationID, audiences ...conversation.Audience) (recs []readers.TailRecord) {
	h.t.Helper()
	for _, a := range audiences {
		head := &conversation.SessionEnded{Circle: a} // its audience is its own
		if head.Audience() != a {
			h.t.Fatalf("%s is for audience %d, want %d", head.Type(), head.Audience(), a)
		}
		b, err := conversation.Encode(conversation.Event{Head: head})
		if err != nil {
			h.t.Fatal(err)
		}
		h.mu.Lock()
		stream := eventlog.StreamID(conv)
		rec := eventlog.Record{Stream: stream, Seq: uint64(len(h.log[stream]) + 1)}
		rec.Type, rec.At, rec.Head = string(head.Type()), time.Now(), b
		rec.Body = fmt.Appendf(nil, "%d", rec.Seq)
		h.log[stream] = append(h.log[stream], rec)
		prev := h.last[conv]
		seen := prev
		for c := range seen {
			if conversation.Audience(c).Sees(a) {
				seen[c] = rec.Seq
			}
		}
		h.last[conv] = seen
		h.mu.Unlock()
		tr, _, err := h.r.Open(rec)
		if err != nil {
			h.t.Fatal(err)
		}
		tr.Prev = prev
		recs = append(recs, tr)
	}
	return recs
}

// publish writes events and publishes them to readers.
func (h *house) publish(conv conversation.ConversationID, audiences ...conversation.Audience) {
	h.t.Helper()
	recs := h.write(conv, audiences...)
	h.Tail(conv).Publish(recs, recs[len(recs)-1].Record.Seq, false)
}

func (h *house) logReads() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reads
}

// all returns n times the customer's audience.
func all(n int) []conversation.Audience {
	out := make([]conversation.Audience, n)
	for i := range out {
		out[i] = conversation.AudienceCustomer
	}
	return out
}

// sink remembers what a subscription delivers.
type sink struct {
	mu   sync.Mutex
	got  []string // records as conversation/seq, "live", signals, "end code"
	name map[conversation.ConversationID]string
}

func (s *sink) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, fmt.Sprintf(format, args...))
}

func (s *sink) Records(recs []readers.Record, live bool) {
	for _, rec := range recs {
		s.add("%s%d<%d", s.name[rec.Conversation], rec.Seq, rec.Prev)
	}
	if live {
		s.add("live")
	}
}

func (s *sink) Signal(g plugin.AgentSignal) {
	s.add("%s %s %v %d", s.name[g.Conversation], g.Kind, g.On, g.Position)
}

func (s *sink) End(code string) { s.add("end %s", code) }

// take returns what came since the last call, once every goroutine is idle.
func (s *sink) take() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := fmt.Sprint(s.got)
	s.got = nil
	return got
}
