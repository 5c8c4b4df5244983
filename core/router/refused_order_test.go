package router_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// moodyLog refuses at random while it is bad: appends before or after they are written, and reads.
type moodyLog struct {
	*memlog.Log
	bad atomic.Bool
	mu  sync.Mutex
	rng *rand.Rand
}

func (l *moodyLog) fails(percent int) bool {
	if !l.bad.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(100) < percent
}

func (l *moodyLog) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	if l.fails(25) {
		return eventlog.Appended{}, fmt.Errorf("append: %w", eventlog.ErrFull)
	}
	done, err := l.Log.Append(ctx, b)
	if err == nil && l.fails(10) {
		return eventlog.Appended{}, fmt.Errorf("append: %w", eventlog.ErrUnavailable)
	}
	return done, err
}

func (l *moodyLog) Read(ctx context.Context, s eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error) {
	if l.fails(5) {
		return nil, fmt.Errorf("read: %w", eventlog.ErrUnavailable)
	}
	return l.Log.Read(ctx, s, after, limit)
}

func (l *moodyLog) Conversation(ctx context.Context, id eventlog.StreamID) (eventlog.ConversationRow, error) {
	if l.fails(10) {
		return eventlog.ConversationRow{}, fmt.Errorf("read: %w", eventlog.ErrUnavailable)
	}
	return l.Log.Conversation(ctx, id)
}

func (l *moodyLog) Thread(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error) {
	if l.fails(20) {
		return eventlog.StreamID{}, fmt.Errorf("read: %w", eventlog.ErrUnavailable)
	}
	return l.Log.Thread(ctx, account, key)
}

func (l *moodyLog) External(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, uint64, error) {
	if l.fails(20) {
		return eventlog.StreamID{}, 0, fmt.Errorf("read: %w", eventlog.ErrUnavailable)
	}
	return l.Log.External(ctx, account, key)
}

// order returns the client ids that begin with prefix, in the order of the log.
func (l *moodyLog) order(t *testing.T, prefix string) (ids []string) {
	t.Helper()
	recs, err := l.Tail(context.Background(), 0, 0)
	must(t, err)
	for _, rec := range recs {
		var h struct {
			ClientID string `json:"client_id"`
		}
		if rec.Type != string(conversation.TypeMessage) {
			continue
		}
		must(t, json.Unmarshal(rec.Head, &h))
		if strings.HasPrefix(h.ClientID, prefix) {
			ids = append(ids, h.ClientID)
		}
	}
	return ids
}

// repeater sends as clients do (the SDK for a plugin, the desk for an agent): in order and many at
// a time. It sends an item that was refused for now again before all later ones. Items that are
// under way at that moment go on.
type repeater struct {
	mu    sync.Mutex
	cond  *sync.Cond
	queue []int // items to be sent, in order
	out   int   // number of items sent and not answered
}

// run sends items 0..n-1, at most window at a time. call hands over one item, in order; it must
// call answer at once or later, with true when the item was refused for now.
func (p *repeater) run(n, window int, call func(item int, answer func(again bool))) {
	p.cond = sync.NewCond(&p.mu)
	for i := range n {
		p.queue = append(p.queue, i)
	}
	way := make(chan int, window)
	var wg sync.WaitGroup
	wg.Go(func() {
		for item := range way {
			call(item, func(again bool) {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.out--
				if again {
					at, _ := slices.BinarySearch(p.queue, item)
					p.queue = slices.Insert(p.queue, at, item)
				}
				p.cond.Broadcast()
			})
		}
	})
	p.mu.Lock()
	for len(p.queue) > 0 || p.out > 0 {
		if len(p.queue) == 0 || p.out >= window {
			p.cond.Wait()
			continue
		}
		item := p.queue[0]
		p.queue = p.queue[1:]
		p.out++
		p.mu.Unlock()
		way <- item
		p.mu.Lock()
	}
	p.mu.Unlock()
	close(way)
	wg.Wait()
}

// Y3, DESIGN.md 6: what a client sends in order is stored in order, even if the store refuses some
// of it and the client repeats that.
func TestOrderUnderRefusals(t *testing.T) {
	log := &moodyLog{Log: memlog.New(), rng: rand.New(rand.NewPCG(16, 9))}
	t.Cleanup(func() { _ = log.Close() })
	w := newWorld(t, log)
	r := w.start("n1")
	r.PluginReady("text", "text-1", newPort(textInfo()))
	ctx := context.Background()
	ana := w.agents["ana"]
	must(t, r.AgentConnected(ctx, ana))
	must(t, r.Ready(ctx, ana))
	id := w.startChat(r, "chat", "", "hi").Conversation
	_, _, err := r.Accept(ctx, ana, offerTo(t, r, ana).Offer)
	must(t, err)
	log.bad.Store(true)

	const each = 150
	var wg sync.WaitGroup
	for i := range 4 { // customers of a store-and-forward channel, whose exchanges end and begin again
		th := fmt.Sprint("+49", i)
		wg.Go(func() {
			(&repeater{}).run(each, 16, func(item int, answer func(bool)) {
				in := w.smsMessage(th, fmt.Sprint(item))
				in.Repeats, in.Message.ClientID = true, fmt.Sprint(th, "/", item)
				if item%40 == 39 {
					in.Message, in.Action = nil, &plugin.CustomerAction{End: true}
				}
				r.Ingest(ctx, in, func(a plugin.Ack) { go answer(a.Status == plugin.Retry) })
			})
		})
	}
	wg.Go(func() { // a customer of a connected channel
		(&repeater{}).run(each, 16, func(item int, answer func(bool)) {
			in := w.chatMessage("chat", fmt.Sprint("c", item), "text")
			in.Repeats = true
			r.Ingest(ctx, in, func(a plugin.Ack) { go answer(a.Status == plugin.Retry) })
		})
	})
	wg.Go(func() { // the agent, whose socket carries out commands one after the other
		(&repeater{}).run(each, 16, func(item int, answer func(bool)) {
			_, err := r.Send(ctx, router.SendRequest{Conversation: id, Agent: ana, ClientID: fmt.Sprint("a", item), Parts: textParts("text")})
			if err != nil && router.Code(err) != "unavailable" {
				t.Errorf("send: %v", err)
			}
			go answer(err != nil)
		})
	})
	wg.Wait()
	log.bad.Store(false)

	check := func(prefix string, skip int) {
		var want []string
		for i := range each {
			if skip == 0 || i%skip != skip-1 {
				want = append(want, fmt.Sprint(prefix, i))
			}
		}
		if got := log.order(t, prefix); !slices.Equal(got, want) {
			t.Errorf("the log has %v, want the order of sending, each once", got)
		}
	}
	for i := range 4 {
		check(fmt.Sprint("+49", i, "/"), 40)
	}
	check("c", 0)
	check("a", 0)
}

// Events of a carrier's webhooks do not wait for one that was refused, since the carrier sends each
// again when it likes; but events that had arrived before the refusal are refused along with it
// (Y3, PR2).
func TestWebhooksBehindARefusedOne(t *testing.T) {
	log := &onceLog{Log: memlog.New()}
	t.Cleanup(func() { _ = log.Close() })
	w := newWorld(t, log)
	r := w.start("n1")
	r.PluginReady("text", "text-1", newPort(textInfo()))
	ingest(r, w.smsMessage("+491", "zero"))
	log.block()
	acks := make([]plugin.Ack, 3)
	var wg sync.WaitGroup
	for i, id := range []string{"one", "two", "three"} {
		wg.Add(1)
		r.Ingest(context.Background(), w.smsMessage("+491", id), func(a plugin.Ack) { acks[i] = a; wg.Done() })
		if i == 0 {
			<-log.waits // the first text is alone in its append; the others queue behind it
		}
	}
	log.answer(eventlog.ErrUnavailable)
	wg.Wait()
	for i, a := range acks {
		if a.Status != plugin.Retry {
			t.Errorf("text %d: got %+v, want to come again", i, a)
		}
	}
	for _, id := range []string{"four", "one", "two"} {
		if a := ingest(r, w.smsMessage("+491", id)); a.Status != plugin.Committed {
			t.Errorf("text %s after the store is well: got %+v, want committed", id, a)
		}
	}
}

// onceLog makes one append wait for the answer that the test gives.
type onceLog struct {
	*memlog.Log
	mu    sync.Mutex
	armed bool
	waits chan struct{}
	reply chan error
}

func (l *onceLog) block() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.waits, l.reply = true, make(chan struct{}), make(chan error, 1)
}

func (l *onceLog) answer(err error) { l.reply <- err }

func (l *onceLog) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	l.mu.Lock()
	armed := l.armed
	l.armed = false
	l.mu.Unlock()
	if !armed {
		return l.Log.Append(ctx, b)
	}
	close(l.waits)
	return eventlog.Appended{}, fmt.Errorf("append: %w", <-l.reply)
}

// Items of an author that never repeats a refused one are held back for 15 s after the refusal, and
// no other author is held up.
func TestAuthorThatNeverRepeats(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.startChat(b.r, "v", "", "hi")
		send := func(id string) plugin.AckStatus {
			in := b.chatMessage("v", id, "text")
			in.Repeats = true
			return ingest(b.r, in).Status
		}
		b.full.Store(true)
		if got := send("lost"); got != plugin.Retry {
			t.Fatalf("with a full disk: got %v, want to come again", got)
		}
		b.full.Store(false)
		for range 14 {
			if got := send("next"); got != plugin.Retry {
				t.Errorf("what follows: got %v, want it to wait for what was refused", got)
			}
			b.after(time.Second)
		}
		if a := b.startChat(b.r, "other", "", "hi"); a.Status != plugin.Committed {
			t.Errorf("another customer: got %+v, want committed", a)
		}
		b.after(2 * time.Second)
		if got := send("next"); got != plugin.Committed {
			t.Errorf("16 s after the refusal: got %v, want committed", got)
		}
	})
}

// A start without a message that comes before items which its author must send again is refused and
// counted, as everything else is that comes too early.
func TestStartBehindARefusedMessageIsCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.startChat(b.r, "v", "", "hi")
		refused := b.chatMessage("v", "m", "text")
		refused.Repeats = true
		b.full.Store(true)
		if a := ingest(b.r, refused); a.Status != plugin.Retry {
			t.Fatalf("message on a full disk: %+v", a)
		}
		b.full.Store(false)
		a := ingest(b.r, plugin.Inbound{Plugin: "chat", Account: b.chat.ID, Thread: "v", DedupeKey: "again", Repeats: true,
			Action: &plugin.CustomerAction{Start: &plugin.StartAction{}}})
		if n := gauge(t, b.r, "parley_router_behind_total"); a.Status != plugin.Retry || n != 1 {
			t.Errorf("start before the message came again: got %+v and a count of %v, want retry and 1", a, n)
		}
	})
}
