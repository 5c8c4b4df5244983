package router_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/clock"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// plainVault leaves bodies unsealed. Keys do not matter in these tests, and real ones need files,
// which would stop a bubble's clock.
type plainVault struct{ last atomic.Int64 }

func (v *plainVault) Assign() (int64, error) { return v.last.Add(1), nil }

func (v *plainVault) Seal(_ int64, _, plain []byte) ([]byte, error) {
	return append([]byte(nil), plain...), nil
}

func (v *plainVault) Open(_ int64, _, sealed []byte) ([]byte, error) {
	return append([]byte(nil), sealed...), nil
}

func (v *plainVault) Destroy(context.Context, ...int64) error { return nil }

func (v *plainVault) MAC(purpose string, parts ...[]byte) (sum [32]byte) {
	h := hmac.New(sha256.New, []byte(purpose))
	for _, p := range parts {
		_, _ = h.Write([]byte{byte(len(p))})
		_, _ = h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// fixedDirectory is a directory whose records never change.
type fixedDirectory struct{ snap *directory.Snapshot }

func (d fixedDirectory) Snapshot() *directory.Snapshot    { return d.snap }
func (fixedDirectory) Changes() (<-chan struct{}, func()) { return nil, func() {} }

// Contact finds every contact but the zero one.
func (fixedDirectory) Contact(_ context.Context, id conversation.ContactID) (directory.Contact, error) {
	if id.IsZero() {
		return directory.Contact{}, directory.ErrNotFound
	}
	return directory.Contact{ID: id}, nil
}

func (fixedDirectory) ContactByAddress(context.Context, string) (conversation.ContactID, error) {
	return conversation.ContactID{}, nil
}

// fullLog refuses to write while full is set.
type fullLog struct {
	*memlog.Log
	full  atomic.Bool
	after atomic.Int64 // number of appends until the log is full; 0 = it does not become full by itself
	slow  atomic.Int64 // how long finding a thread's conversation takes, in nanoseconds
	reads atomic.Int64 // how long reading events takes, in nanoseconds
	read  atomic.Int64 // how often events were read
}

func (l *fullLog) Read(ctx context.Context, s eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error) {
	l.read.Add(1)
	time.Sleep(time.Duration(l.reads.Load()))
	return l.Log.Read(ctx, s, after, limit)
}

func (l *fullLog) Thread(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error) {
	time.Sleep(time.Duration(l.slow.Load()))
	return l.Log.Thread(ctx, account, key)
}

func (l *fullLog) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	if l.after.Load() > 0 && l.after.Add(-1) == 0 {
		l.full.Store(true)
	}
	if l.full.Load() {
		return eventlog.Appended{}, eventlog.ErrFull
	}
	return l.Log.Append(ctx, b)
}

func (l *fullLog) AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (int64, bool, error) {
	if l.full.Load() {
		return 0, false, eventlog.ErrFull
	}
	return l.Log.AcquireLease(ctx, name, node, ttl)
}

// bubble is a world in a synctest bubble, in which the test lets time pass.
type bubble struct {
	*world
	r         *router.Router
	full      *atomic.Bool
	fullAfter *atomic.Int64
	slow      *atomic.Int64 // how long finding a thread's conversation takes; see fullLog
	slowReads *atomic.Int64 // how long reading events takes
	reads     *atomic.Int64 // how often events were read
	jumped    *atomic.Int64 // how far the system's clock is ahead, in nanoseconds
}

// inBubble runs a test with a new world and a router on synctest's clock.
func inBubble(t *testing.T, test func(t *testing.T, b *bubble)) {
	t.Helper()
	newWorld(t, nil).inBubble(t, test) // files must be opened outside the bubble
}

// inBubble runs a test with a router on synctest's clock, over the world's records.
func (w *world) inBubble(t *testing.T, test func(t *testing.T, b *bubble)) {
	t.Helper()
	snap := w.dir.Snapshot()
	synctest.Test(t, func(t *testing.T) {
		in := *w
		in.t, in.bus = t, bus.NewLocal()
		log := &fullLog{Log: memlog.New()}
		in.log = log
		jumped := &atomic.Int64{}
		now := clock.New(clock.Options{System: func() time.Time { return time.Now().Round(0).Add(time.Duration(jumped.Load())) }})
		ctx, cancel := context.WithCancel(t.Context())
		var clocks sync.WaitGroup
		clocks.Go(func() { now.Run(ctx) })
		r, err := router.New(router.Options{
			Node: "n1", Log: log, Vault: &plainVault{}, Directory: fixedDirectory{snap}, Bus: in.bus, Now: now.Now, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		must(t, r.Start(t.Context()))
		r.PluginReady("chat", "chat-1", &port{info: plugin.Info{ID: "chat", Capabilities: conversation.Capabilities{Text: true, Connected: true}}})
		test(t, &bubble{world: &in, r: r, full: &log.full, fullAfter: &log.after, slow: &log.slow, slowReads: &log.reads, reads: &log.read, jumped: jumped})
		in.stop(r)
		cancel()
		clocks.Wait()
		must(t, in.bus.Close())
	})
}

// after lets time pass and waits until everything that is due is done.
func (b *bubble) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *bubble) ready(login string) conversation.AgentID {
	b.t.Helper()
	id := b.agents[login]
	must(b.t, b.r.AgentConnected(b.t.Context(), id))
	must(b.t, b.r.Ready(b.t.Context(), id))
	synctest.Wait()
	return id
}

// accepted makes an agent a participant of a chat.
func (b *bubble) accepted(login string) (conversation.AgentID, conversation.ConversationID) {
	b.t.Helper()
	id := b.ready(login)
	b.startChat(b.r, "v", "Cora", "hello")
	synctest.Wait()
	conv, _, err := b.r.Accept(b.t.Context(), id, agentOf(b.t, b.r, id).Offer.Offer)
	must(b.t, err)
	synctest.Wait()
	return id, conv
}

func (b *bubble) display(conv conversation.ConversationID) conversation.Display {
	b.t.Helper()
	info, err := b.r.Info(b.t.Context(), conv)
	must(b.t, err)
	return info.State.Display()
}

func TestOfferExpires(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		ana := b.ready("ana")
		ack := b.startChat(b.r, "v", "", "hello")
		synctest.Wait()
		b.after(29 * time.Second)
		if agentOf(t, b.r, ana).Offer == nil {
			t.Fatal("A8: the offer is gone after 29 s, want it for 30 s")
		}
		ben := b.ready("ben")
		b.after(1100 * time.Millisecond)
		if s := agentOf(t, b.r, ana); s.Offer != nil || s.Status() != acd.StatusNotReady || s.Reason != acd.ReasonExpired {
			t.Errorf("A8: after 30 s the agent is %s (%s) with offer %v, want not_ready (expired) without", s.Status(), s.Reason, s.Offer)
		}
		b.after(time.Second)
		if o := agentOf(t, b.r, ben).Offer; o == nil || o.Conversation != ack.Conversation {
			t.Errorf("A16: the next agent holds %v, want an offer of %s", o, ack.Conversation)
		}
	})
}

// A deadline that passes while the disk is full is carried out as soon as there is room (PR16).
func TestOfferExpiresOnceThereIsRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		ana := b.ready("ana")
		b.startChat(b.r, "v", "", "hello")
		synctest.Wait()
		b.full.Store(true)
		if a := b.message(b.r, "v", "m1", "hi"); a.Status != plugin.Retry {
			t.Errorf("message on a full disk: got %+v, want retry", a)
		}
		b.after(time.Minute)
		if agentOf(t, b.r, ana).Offer == nil {
			t.Fatal("the offer ended on a full disk")
		}
		b.full.Store(false)
		b.after(2 * time.Second)
		if s := agentOf(t, b.r, ana); s.Offer != nil {
			t.Error("the offer has not expired 2 s after there was room")
		}
		if a := b.message(b.r, "v", "m1", "hi"); a.Status != plugin.Committed {
			t.Errorf("message afterwards: got %+v, want committed", a)
		}
	})
}

func TestLostConnection(t *testing.T) {
	for _, c := range []struct {
		name    string
		back    time.Duration // when the agent comes back; 0 = never
		at      time.Duration // when the test looks at the agent
		status  acd.Status
		reason  acd.Reason
		display conversation.Display
	}{
		{"in the grace", 0, 29 * time.Second, acd.StatusBusy, "", conversation.DisplayActive},
		{"back in the grace", 20 * time.Second, 5 * time.Minute / 2, acd.StatusBusy, "", conversation.DisplayActive},
		{"after the grace", 0, 31 * time.Second, acd.StatusBusy, acd.ReasonConnection, conversation.DisplayActive},
		{"before the requeue", 0, 119 * time.Second, acd.StatusBusy, acd.ReasonConnection, conversation.DisplayActive},
		{"after the requeue", 0, 122 * time.Second, acd.StatusNotReady, acd.ReasonConnection, conversation.DisplayQueued},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				ana, conv := b.accepted("ana")
				b.r.AgentDisconnected(ana)
				if c.back > 0 {
					b.after(c.back)
					must(t, b.r.AgentConnected(t.Context(), ana))
				}
				b.after(c.at - c.back)
				s := agentOf(t, b.r, ana)
				if s.Status() != c.status || s.Reason != c.reason || b.display(conv) != c.display {
					t.Errorf("A20: %s after the loss: agent %s (%q), conversation %s; want %s (%q), %s",
						c.at, s.Status(), s.Reason, b.display(conv), c.status, c.reason, c.display)
				}
			})
		})
	}
}

// A20: an offer to an agent whose connection is lost goes to another agent after the grace period.
func TestLostConnectionDuringOffer(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		ana := b.ready("ana")
		ack := b.startChat(b.r, "v", "", "hello")
		b.after(5 * time.Second) // the offer has 25 s left, so it expires or is withdrawn within the grace period
		b.r.AgentDisconnected(ana)
		b.after(31 * time.Second)
		if s := agentOf(t, b.r, ana); s.Offer != nil || s.Status() != acd.StatusNotReady {
			t.Errorf("after the grace: %s with offer %v, want not_ready without", s.Status(), s.Offer)
		}
		if got := b.display(ack.Conversation); got != conversation.DisplayQueued {
			t.Errorf("conversation is %s, want queued", got)
		}
	})
}

func TestInactivity(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		_, conv := b.accepted("ana")
		warned := func() bool {
			info, err := b.r.Info(t.Context(), conv)
			must(t, err)
			return !info.State.WarnedAt.IsZero()
		}
		b.after(299 * time.Second)
		if warned() {
			t.Error("Q1: warned before 5 min")
		}
		b.r.Signal(plugin.CustomerSignal{Account: b.chat.ID, Thread: "v", Kind: plugin.SignalTyping, On: true})
		b.after(10 * time.Second)
		if warned() {
			t.Error("Q3: warned although the customer typed 10 s ago")
		}
		b.after(291 * time.Second)
		if !warned() {
			t.Error("Q1: no warning 5 min after the last sign of life")
		}
		b.message(b.r, "v", "m1", "still here")
		if warned() {
			t.Error("Q3: the warning is in force after a message")
		}
		b.after(301 * time.Second)
		if !warned() {
			t.Error("Q1: no second warning")
		}
		b.after(300 * time.Second)
		if got := b.display(conv); got != conversation.DisplayWrapup {
			t.Errorf("Q2: 10 min after the customer's last message the conversation is %s, want wrapup", got)
		}
	})
}

func TestWrapupLimit(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		ana, conv := b.accepted("ana")
		_, err := b.r.Leave(t.Context(), ana, conv, false)
		must(t, err)
		b.after(59 * time.Second)
		if got := agentOf(t, b.r, ana).Status(); got != acd.StatusACW {
			t.Errorf("R4: after 59 s the agent is %s, want acw", got)
		}
		b.after(2 * time.Second)
		if got := agentOf(t, b.r, ana).Status(); got != acd.StatusReady {
			t.Errorf("R4: after 61 s the agent is %s, want ready", got)
		}
		if got := b.display(conv); got != conversation.DisplayConcluded {
			t.Errorf("R4: the conversation is %s, want concluded", got)
		}
	})
}

// Conversations that Logout could not hand on are handed on as soon as there is room.
func TestLogoutOnAFullDisk(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		ana, conv := b.accepted("ana")
		b.fullAfter.Store(2) // the logout itself is written, and then the disk is full
		if err := b.r.Logout(t.Context(), ana); !errors.Is(err, eventlog.ErrFull) {
			t.Errorf("logout: got %v, want ErrFull", err)
		}
		b.after(time.Minute)
		b.full.Store(false)
		b.after(3 * time.Second)
		if got := b.display(conv); got != conversation.DisplayQueued {
			t.Errorf("conversation of the agent who left is %s, want queued", got)
		}
	})
}

// Stop waits for commits that have begun, and their callers get the answers.
func TestErrStoppedAfterStop(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.startChat(b.r, "v", "", "hello")
		b.stop(b.r)
		if a := b.message(b.r, "v", "m1", "late"); a.Status != plugin.Retry {
			t.Errorf("message to a stopped router: got %+v, want retry", a)
		}
		if err := b.r.Ready(t.Context(), b.agents["ana"]); !errors.Is(err, router.ErrStopped) {
			t.Errorf("ready on a stopped router: got %v, want ErrStopped", err)
		}
	})
}

// PR3, Y1: a text that comes again a day later, after its exchange has ended, is recognised as the
// same event and begins no exchange (FT31).
func TestRepeatADayLater(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.r.PluginReady("text", "text-1", &port{info: textInfo(), room: -1})
		first := plugin.Inbound{Plugin: "text", Account: b.text.ID, Thread: "+49301234", DedupeKey: "in-1",
			Message: &plugin.InboundMessage{Address: "+49301234", Parts: textParts("hello")}}
		committed := ingest(b.r, first)
		end := plugin.Inbound{Plugin: "text", Account: b.text.ID, Thread: "+49301234", DedupeKey: "end-1", Action: &plugin.CustomerAction{End: true}}
		if a := ingest(b.r, end); committed.Status != plugin.Committed || a.Status != plugin.Committed {
			t.Fatalf("text: %+v, end: %+v, want both committed", committed, a)
		}
		b.after(25 * time.Hour)
		if a := ingest(b.r, first); a.Status != plugin.Duplicate || a.Conversation != committed.Conversation || a.Seq != committed.Seq {
			t.Errorf("the repeat: got %+v, want a duplicate of %+v", a, committed)
		}
		rows, err := b.log.Conversations(t.Context(), eventlog.ConversationQuery{})
		if err != nil || len(rows) != 1 {
			t.Errorf("conversations after the repeat: %d, %v, want 1", len(rows), err)
		}
	})
}
