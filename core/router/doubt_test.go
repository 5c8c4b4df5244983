package router_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	intake "github.com/parley-gateway/parley/core/ingest"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// has reports whether a batch brings an event of a type.
func has(typ string) func(*eventlog.Batch) bool {
	return func(b *eventlog.Batch) bool {
		return slices.ContainsFunc(b.Streams, func(s eventlog.StreamAppend) bool {
			return slices.ContainsFunc(s.Events, func(e eventlog.Event) bool { return e.Type == typ })
		})
	}
}

// inDoubt runs a test twice for appends that are written although the answer is lost: once with the
// append written at once, and once with the append written when the test calls write.
func inDoubt(t *testing.T, test func(t *testing.T, w *world, lose func(chosen func(*eventlog.Batch) bool) (write func()))) {
	for name, f := range map[string]fate{"written at once": lostWritten, "written later": lostLate} {
		t.Run(name, func(t *testing.T) {
			log := newLossyLog()
			t.Cleanup(func() { must(t, log.Close()) })
			test(t, newWorld(t, log), func(chosen func(*eventlog.Batch) bool) func() {
				write := log.lose(f, chosen)
				t.Cleanup(write)
				return write
			})
		})
	}
}

// PR1, FT15: a customer's first message that was written although it was answered "not durable" is
// offered to an agent, even before the carrier sends it again.
func TestStartInDoubtIsQueued(t *testing.T) {
	inDoubt(t, func(t *testing.T, w *world, lose func(func(*eventlog.Batch) bool) func()) {
		r := w.start("n1")
		ctx, ana := context.Background(), w.agents["ana"]
		must(t, r.AgentConnected(ctx, ana))
		must(t, r.Ready(ctx, ana))
		write := lose(has("message/1"))
		in := plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+1", DedupeKey: "in-1",
			Message: &plugin.InboundMessage{Address: "+1", Parts: textParts("hello")}}
		r.PluginReady("text", "g1", newPort(textInfo()))
		if a := ingest(r, in); a.Status != plugin.Retry {
			t.Fatalf("the answer was lost: got %+v, want retry", a)
		}
		write()
		offer := offerTo(t, r, ana)
		if open, err := r.OpenConversation(ctx, w.text.ID, "+1"); err != nil || open != offer.Conversation {
			t.Errorf("the thread's conversation: got %s, %v, want the offered %s", open, err, offer.Conversation)
		}
		if a := ingest(r, in); a.Status != plugin.Duplicate || a.Conversation != offer.Conversation {
			t.Errorf("the carrier's repeat: got %+v, want a duplicate in %s", a, offer.Conversation)
		}
	})
}

// PR4, FT15: an agent's message that was written although it was answered "unavailable" is sent
// once, and the agent's next message is sent after it.
func TestSendInDoubtIsSent(t *testing.T) {
	inDoubt(t, func(t *testing.T, w *world, lose func(func(*eventlog.Batch) bool) func()) {
		r := w.start("n1")
		p := newPort(textInfo())
		r.PluginReady("text", "g1", p)
		conv := w.textChat(r)
		write := lose(has("message/1"))
		say := func(id string) (router.Sent, error) {
			return r.Send(context.Background(), router.SendRequest{Conversation: conv, Agent: w.agents["ana"], ClientID: id, Parts: textParts(id)})
		}
		if _, err := say("a"); router.Code(err) != "unavailable" {
			t.Fatalf("the answer was lost: got %v, want unavailable", err)
		}
		write()
		again, err := say("a") // the second message must not come before the repeat of the first
		must(t, err)
		second, err := say("b")
		must(t, err)
		first := p.next(t, 0)
		if first.Send == nil || first.Send.Parts[0].Text != "a" {
			t.Fatalf("first command: got %+v, want the message in doubt", first.Send)
		}
		if [16]byte(again.Message) != first.Command {
			t.Errorf("the retry is message %s, want the one that was sent", again.Message)
		}
		w.result(r, first, plugin.CommandResult{Outcome: conversation.StatusSent})
		if cmd := p.next(t, 1); cmd.Command != [16]byte(second.Message) {
			t.Errorf("second command: got %+v, want the second message", cmd.Send)
		}
	})
}

// A message of unknown outcome is sent even if the agent neither repeats it nor writes again.
func TestSendInDoubtNeedsNobody(t *testing.T) {
	inDoubt(t, func(t *testing.T, w *world, lose func(func(*eventlog.Batch) bool) func()) {
		r := w.start("n1")
		p := newPort(textInfo())
		r.PluginReady("text", "g1", p)
		conv := w.textChat(r)
		write := lose(has("message/1"))
		_, err := r.Send(context.Background(), router.SendRequest{Conversation: conv, Agent: w.agents["ana"], ClientID: "a", Parts: textParts("a")})
		if router.Code(err) != "unavailable" {
			t.Fatalf("the answer was lost: got %v, want unavailable", err)
		}
		write()
		if cmd := p.next(t, 0); cmd.Send == nil || cmd.Send.Parts[0].Text != "a" {
			t.Errorf("got %+v, want the message in doubt", cmd.Send)
		}
	})
}

// PR1: a deferred item whose answer was lost is processed. Its repeat is answered as a duplicate,
// so the plugin brings it no third time.
func TestDeferredInDoubtIsProcessed(t *testing.T) {
	inDoubt(t, func(t *testing.T, w *world, lose func(func(*eventlog.Batch) bool) func()) {
		r := w.start("n1")
		p := newPort(textInfo())
		r.PluginReady("text", "g1", p)
		write := lose(has(intake.TypeDeferred))
		in := plugin.Inbound{Plugin: "text", Account: w.text.ID, DedupeKey: "media-1", Deferred: []byte("fetch this")}
		if a := ingest(r, in); a.Status != plugin.Retry {
			t.Fatalf("the answer was lost: got %+v, want retry", a)
		}
		write()
		if a := ingest(r, in); a.Status != plugin.Duplicate {
			t.Errorf("the repeat: got %+v, want duplicate", a)
		}
		if cmd := p.next(t, 0); string(cmd.Process) != "fetch this" {
			t.Errorf("got %q, want the deferred item", cmd.Process)
		}
	})
}

// PR8, FT15: a node that stops while it does not know whether an append was written leaves that to
// the other nodes, which then show what was written.
func TestStopInDoubt(t *testing.T) {
	for name, test := range map[string]func(w *world, one, two *router.Router, id conversation.ConversationID, lose func(func(*eventlog.Batch) bool) func()) (write func(), shown func() bool){
		"message": func(w *world, one, two *router.Router, id conversation.ConversationID, lose func(func(*eventlog.Batch) bool) func()) (func(), func() bool) {
			seq := func() uint64 {
				info, err := two.Info(context.Background(), id) // the other node now has the conversation in memory
				must(w.t, err)
				return info.State.Seq
			}
			before := seq()
			write := lose(has("message/1"))
			if a := w.message(one, "v", "m", "text"); a.Status != plugin.Retry {
				w.t.Fatalf("the answer was lost: got %+v, want retry", a)
			}
			return write, func() bool { return seq() > before }
		},
		"agent": func(w *world, one, two *router.Router, _ conversation.ConversationID, lose func(func(*eventlog.Batch) bool) func()) (func(), func() bool) {
			ana := w.agents["ana"]
			write := lose(func(b *eventlog.Batch) bool { return len(b.Agents) > 0 })
			if err := one.Ready(context.Background(), ana); router.Code(err) != "unavailable" {
				w.t.Fatalf("the answer was lost: got %v, want unavailable", err)
			}
			return write, func() bool { s, _ := two.Agent(context.Background(), ana); return s.Status() != acd.StatusNotReady }
		},
	} {
		t.Run(name, func(t *testing.T) {
			inDoubt(t, func(t *testing.T, w *world, lose func(func(*eventlog.Batch) bool) func()) {
				one, two := w.start("n1"), w.start("n2")
				must(t, one.AgentConnected(context.Background(), w.agents["ana"]))
				id := w.startChat(one, "v", "", "hi").Conversation
				write, shown := test(w, one, two, id, lose)
				w.stop(one)
				write()
				eventually(t, "word of what was written on the other node", shown)
			})
		})
	}
}

// PR4: an agent's "send it again" whose answer was lost is carried out, since a second try would be
// told that the message is not unknown any more.
func TestResendInDoubtIsSent(t *testing.T) {
	inDoubt(t, func(t *testing.T, w *world, lose func(func(*eventlog.Batch) bool) func()) {
		ctx, r := context.Background(), w.start("n1")
		c := &carrier{world: w, r: r, port: newPort(textInfo())}
		r.PluginReady("text", "g1", c.port)
		c.conv = w.textChat(r)
		cmd := c.sends(t)
		w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusUnknown})
		write := lose(has("message.settled/1"))
		_, err := r.SettleMessage(ctx, w.agents["ana"], c.conv, conversation.MessageID(cmd.Command), conversation.OutcomeResend)
		if router.Code(err) != "unavailable" {
			t.Fatalf("the answer was lost: got %v, want unavailable", err)
		}
		write()
		if again := c.port.next(t, 1); again.Command != cmd.Command || !again.MaybeSent {
			t.Errorf("got %+v, want the message again, marked as maybe sent", again)
		}
	})
}

// An agent's own command that was written although its answer was lost takes effect without a
// further command: the ACD makes an offer.
func TestAgentInDoubt(t *testing.T) {
	inDoubt(t, func(t *testing.T, w *world, lose func(func(*eventlog.Batch) bool) func()) {
		ctx, r, ana := context.Background(), w.start("n1"), w.agents["ana"]
		must(t, r.AgentConnected(ctx, ana))
		w.startChat(r, "v", "Cora", "hello")
		write := lose(func(b *eventlog.Batch) bool { return len(b.Agents) > 0 })
		if err := r.Ready(ctx, ana); router.Code(err) != "unavailable" {
			t.Fatalf("the answer was lost: got %v, want unavailable", err)
		}
		write()
		offerTo(t, r, ana)
		// The same in a conversation's append: the acceptance of the offer.
		offer := offerTo(t, r, ana)
		write = lose(func(b *eventlog.Batch) bool { return len(b.Agents) > 0 })
		if _, _, err := r.Accept(ctx, ana, offer.Offer); router.Code(err) != "unavailable" {
			t.Fatalf("the answer was lost: got %v, want unavailable", err)
		}
		write()
		eventually(t, "agent at work", func() bool { s := agentOf(t, r, ana); return s.Status() == acd.StatusBusy && s.Offer == nil })
	})
}

// An append that was never written has no effect: no conversation and no message comes of it, and
// the repeat is committed as the first.
func TestNeverWritten(t *testing.T) {
	log := newLossyLog()
	t.Cleanup(func() { must(t, log.Close()) })
	w := newWorld(t, log)
	r := w.start("n1")
	p := newPort(textInfo())
	r.PluginReady("text", "g1", p)
	in := plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+1", DedupeKey: "in-1",
		Message: &plugin.InboundMessage{Address: "+1", Parts: textParts("hello")}}
	log.lose(lostNever, has("message/1"))
	if a := ingest(r, in); a.Status != plugin.Retry {
		t.Fatalf("got %+v, want retry", a)
	}
	if a := ingest(r, in); a.Status != plugin.Committed {
		t.Errorf("the repeat: got %+v, want committed", a)
	}
	rows, err := w.log.Conversations(context.Background(), eventlog.ConversationQuery{})
	must(t, err)
	if len(rows) != 1 {
		t.Errorf("%d conversations, want 1", len(rows))
	}
}

// promises.md 4.10, FT18: of two nodes on one log only the node that a row names hands the row out,
// whichever node reads it. When that node is gone, the other one takes over.
func TestRowsBelongToANode(t *testing.T) {
	w := newWorld(t, nil)
	one := w.start("n1")
	conv := w.textChatOn(one)
	w.say(one, conv, "a")
	two := w.start("n2") // node n2 reads all rows when it starts
	other := newPort(textInfo())
	two.PluginReady("text", "g2", other)
	p := newPort(textInfo())
	one.PluginReady("text", "g1", p)
	cmd := p.next(t, 0)
	w.say(two, conv, "b") // a row of n2 in the same conversation, which waits for n1's
	if ok, err := two.Begin(context.Background(), w.text.ID, cmd.Command, "g2"); ok || err != nil {
		t.Errorf("begin on the other node: got %v, %v, want it refused", ok, err)
	}
	other.mu.Lock()
	early := len(other.got)
	other.mu.Unlock()
	if early != 0 {
		t.Errorf("node n2 hands out %d commands before n1's is sent, want none", early)
	}
	w.result(one, cmd, plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: []string{"SM1"}})
	if own := other.next(t, 0); own.Command == cmd.Command {
		t.Errorf("node n2 hands out a row of n1's")
	}
}

// textChatOn is textChat on a node that has no text plugin afterwards.
func (w *world) textChatOn(r *router.Router) conversation.ConversationID {
	w.t.Helper()
	r.PluginReady("text", "g0", newPort(textInfo()))
	conv := w.textChat(r)
	r.PluginGone("text", "g0")
	return conv
}

// A node that stays away loses its commands to another node. That node sends those that had not
// begun; the outcome of the others is unknown (PR4). When the first node comes back, it cannot
// begin commands that are no longer its own.
func TestRowsOfANodeThatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		const away = 30 * time.Second
		other := newPort(textInfo())
		two, err := router.New(router.Options{Node: "n2", Log: b.log, Vault: &plainVault{}, Directory: fixedDirectory{b.dir.Snapshot()}, Bus: b.bus, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		must(t, two.Start(t.Context()))
		two.PluginReady("text", "g2", other) // either node may be the one that takes over, so both hand out to the same plugin
		b.r.PluginReady("text", "g1", other)
		given := func() (got []string) {
			other.mu.Lock()
			defer other.mu.Unlock()
			for _, cmd := range other.got {
				got = append(got, fmt.Sprintf("%d maybe sent %t", cmd.Command[0], cmd.MaybeSent))
			}
			slices.Sort(got)
			return got
		}
		command := func(n byte, s eventlog.OutboxState) eventlog.OutboxRow {
			return eventlog.OutboxRow{CommandID: [16]byte{n}, Account: eventlog.StreamID(b.text.ID), Index: -1, Kind: "process", State: s,
				Attempt: 1, Payload: []byte{0, n}, KeyID: 1, Node: "n0"}
		}
		_, held, err := b.log.AcquireLease(t.Context(), "outbox/n0", "n0", away)
		must(t, err)
		if !held {
			t.Fatal("no lease for the node that will be gone")
		}
		_, err = b.log.Append(t.Context(), &eventlog.Batch{Outbox: []eventlog.OutboxRow{command(1, eventlog.OutboxQueued), command(2, eventlog.OutboxBegun)}})
		must(t, err)
		b.after(away - 1)
		if got := given(); len(got) != 0 {
			t.Fatalf("commands of a node that keeps its lease were handed out: %q", got)
		}
		b.after(away)
		got := given()
		if want := []string{"1 maybe sent false", "2 maybe sent true"}; !slices.Equal(got, want) {
			t.Errorf("after the takeover: got %q, want %q", got, want)
		}
		_, err = b.log.Append(t.Context(), &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: [16]byte{1}, State: eventlog.OutboxBegun, Node: "n0"}}})
		if err == nil {
			t.Error("the node that was away began a command that is not its own any more")
		}
		b.stop(two)
	})
}

// brokenLog writes one append and answers it with ErrUnavailable. From then on it cannot decode
// that append's stream.
type brokenLog struct {
	eventlog.Log
	mu     sync.Mutex
	broken eventlog.StreamID
	chosen func(*eventlog.Batch) bool
	reads  int // number of reads of the broken stream
}

func (l *brokenLog) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	done, err := l.Log.Append(ctx, b)
	if err == nil && l.chosen(b) {
		l.broken, l.chosen = b.Streams[0].Stream, func(*eventlog.Batch) bool { return false }
		return eventlog.Appended{}, eventlog.ErrUnavailable
	}
	return done, err
}

func (l *brokenLog) Read(ctx context.Context, s eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s != l.broken {
		return l.Log.Read(ctx, s, after, limit)
	}
	l.reads++
	return nil, errors.New("event cannot be decoded")
}

// lines counts the log lines whose message contains text.
type lines struct {
	slog.Handler
	text string
	n    atomic.Int32
}

func (h *lines) Enabled(context.Context, slog.Level) bool { return true }

func (h *lines) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.text) {
		h.n.Add(1)
	}
	return nil
}

// FT13, FT15: a stream that stays unreadable is reported in the log, and is not read every second:
// neither by a node that is in doubt about it, nor by one that got a hint of news in it.
func TestStreamThatCannotBeRead(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		log := &brokenLog{Log: b.log, chosen: has("message/1")}
		said := &lines{Handler: slog.DiscardHandler, text: "stream cannot be read"}
		two, err := router.New(router.Options{Node: "n2", Log: log, Vault: &plainVault{}, Directory: fixedDirectory{b.dir.Snapshot()}, Bus: b.bus, Logger: slog.New(said)})
		must(t, err)
		must(t, two.Start(t.Context()))
		two.PluginReady("chat", "chat-2", &port{info: plugin.Info{ID: "chat", Capabilities: conversation.Capabilities{Text: true, Connected: true}}})
		if a := b.startChat(two, "v", "", "hi"); a.Status != plugin.Retry {
			t.Fatalf("the answer was lost: got %+v, want retry", a)
		}
		quiet := func(what string) {
			t.Helper()
			b.after(2 * time.Minute)
			log.mu.Lock()
			before := log.reads
			log.mu.Unlock()
			lines := said.n.Load()
			b.after(10 * time.Minute)
			log.mu.Lock()
			defer log.mu.Unlock()
			if reads, more := log.reads-before, said.n.Load()-lines; reads > 60 || more == 0 || more > 60 {
				t.Errorf("%s: %d reads and %d lines in ten minutes, want some and at most six a minute", what, reads, more)
			}
		}
		quiet("in doubt")
		b.bus.Publish(bus.Hint{Node: "n1", Kind: bus.Conversation, Stream: conversation.ConversationID(log.broken), Seq: 99})
		quiet("with a hint of news")
		b.stop(two)
	})
}
