package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/plugin"
)

func unmarshal(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}

// A full window costs no appends while it stays full, and does not keep other accounts waiting.
func TestOutboxFullWindow(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	p := newPort(textInfo())
	p.full = true
	r.PluginReady("text", "text-1", p)
	for i := range 100 { // more rows than are picked at a time; each is a command of its own
		if a := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, DedupeKey: fmt.Sprint(i), Deferred: []byte("x")}); a.Status != plugin.Committed {
			t.Fatalf("deferred: %+v", a)
		}
	}
	before := w.log.Stats().Appends
	for range 10 {
		r.PluginRoom("text", "text-1") // the window is still full
		<-time.After(10 * time.Millisecond)
	}
	if n := w.log.Stats().Appends - before; n > 100 {
		t.Errorf("%d appends while the window was full", n)
	}
	p.mu.Lock()
	p.full = false
	p.mu.Unlock()
	r.PluginRoom("text", "text-1")
	p.next(t, 99)
}

// Behind a small window every lane gets its turn: a lane is not passed over because the window was
// full when it came. A deferred item names its thread.
func TestOutboxSmallWindow(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	const items, window = 60, 3
	for i := range items {
		if a := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: fmt.Sprint("t", i), DedupeKey: fmt.Sprint(i), Deferred: fmt.Append(nil, i)}); a.Status != plugin.Committed {
			t.Fatalf("deferred: %+v", a)
		}
	}
	p := newPort(textInfo())
	p.room = window
	r.PluginReady("text", "text-1", p)
	for i := range items {
		cmd := p.next(t, i)
		if string(cmd.Process) != fmt.Sprint(i) || cmd.Thread != fmt.Sprint("t", i) {
			t.Fatalf("command %d: got %q of thread %q, want the items in their order", i, cmd.Process, cmd.Thread)
		}
		p.mu.Lock()
		p.room++
		p.mu.Unlock()
		if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Committed {
			t.Fatalf("result %d: %+v", i, a)
		}
	}
}

// A Result for a message that its conversation no longer follows settles the row, too: otherwise a
// restart would send the message again (PR4).
func TestResultOfAForgottenMessage(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	p := newPort(textInfo())
	r.PluginReady("text", "text-1", p)
	conv := w.textChat(r)
	for i := range 120 {
		w.say(r, conv, fmt.Sprint(i))
	}
	for i := range 120 {
		cmd := p.next(t, i)
		if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Committed {
			t.Fatalf("result %d: got %+v, want committed", i, a)
		}
		if got := w.rowState(cmd); got != eventlog.OutboxSettled {
			t.Fatalf("row %d after its result: got %s, want settled", i, got)
		}
	}
}

// A provider that gives two messages the same id does not leave a command pending.
func TestResultWithAKnownID(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	p := newPort(textInfo())
	r.PluginReady("text", "text-1", p)
	conv := w.textChat(r)
	for i := range 2 {
		w.say(r, conv, fmt.Sprint(i))
		cmd := p.next(t, i)
		for range 2 { // the second time stands for a repeat after a lost answer
			if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: []string{"SM1"}}); a.Status != plugin.Committed {
				t.Fatalf("result %d: got %+v, want committed", i, a)
			}
		}
		if got := w.rowState(cmd); got != eventlog.OutboxSettled {
			t.Errorf("row %d: got %s, want settled", i, got)
		}
	}
	info, err := r.Info(context.Background(), conv)
	must(t, err)
	for _, m := range info.State.Pending {
		if m.Status != conversation.StatusSent {
			t.Errorf("message %d is %s, want sent", m.Seq, m.Status)
		}
	}
}

// A retryable failure that is reported twice leads to one more attempt, not to two.
func TestRetryToldTwice(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	p := newPort(textInfo())
	r.PluginReady("text", "text-1", p)
	w.say(r, w.textChat(r), "1")
	cmd := p.next(t, 0)
	for range 2 {
		w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true})
	}
	if got := p.next(t, 1); got.Attempt != 2 {
		t.Errorf("attempt after the failure: got %d, want 2", got.Attempt)
	}
}

// A command is lost with its plugin, and a full disk keeps "unknown" from being recorded. The
// message becomes unknown as soon as there is room, and its lane goes on (PR4, PR16).
func TestDoubtOnAFullDisk(t *testing.T) {
	log := &fullLog{Log: memlog.New()}
	t.Cleanup(func() { _ = log.Close() })
	w := newWorld(t, log)
	r := w.start("n1")
	p := newPort(textInfo())
	r.PluginReady("text", "text-1", p)
	conv := w.textChat(r)
	w.say(r, conv, "1")
	w.say(r, conv, "2")
	cmd := p.next(t, 0)
	if ok, err := r.Begin(context.Background(), w.text.ID, cmd.Command, "text-1"); !ok || err != nil {
		t.Fatalf("begin: %v %v", ok, err)
	}
	log.full.Store(true)
	r.PluginGone("text", "text-1")
	next := newPort(textInfo())
	r.PluginReady("text", "text-2", next)
	<-time.After(20 * time.Millisecond)
	log.full.Store(false)
	if got := next.next(t, 0); got.Command == cmd.Command {
		t.Errorf("PR4: the doubtful command was sent again")
	}
	if got := w.rowState(cmd); got != eventlog.OutboxUnknown {
		t.Errorf("row of the lost command: got %s, want unknown", got)
	}
}

// A gateway that starts while its disk is full can read, and sends what waits as soon as there is
// room (PR16, FT12).
func TestStartOnAFullDisk(t *testing.T) {
	log := &fullLog{Log: memlog.New()}
	t.Cleanup(func() { _ = log.Close() })
	w := newWorld(t, log)
	first := w.start("n1")
	first.PluginReady("text", "text-0", newPort(textInfo()))
	conv := w.textChat(first)
	first.PluginGone("text", "text-0")
	sent := w.say(first, conv, "1")
	w.stop(first)
	log.full.Store(true)
	r := w.start("n1")
	if info, err := r.Info(t.Context(), conv); err != nil || info.State.Phase != conversation.PhaseOpen {
		t.Errorf("conversation on a full disk: got phase %q, %v, want it open", info.State.Phase, err)
	}
	p := newPort(textInfo())
	r.PluginReady("text", "text-1", p)
	cmd := p.next(t, 0)
	if cmd.Command != [16]byte(sent.Message) {
		t.Errorf("command after the start: got %x, want the waiting message's", cmd.Command)
	}
	if ok, err := r.Begin(t.Context(), w.text.ID, cmd.Command, "text-1"); ok || !errors.Is(err, eventlog.ErrFull) {
		t.Errorf("begin on a full disk: got %v, %v, want ErrFull", ok, err)
	}
	log.full.Store(false)
	if ok, err := r.Begin(t.Context(), w.text.ID, cmd.Command, "text-1"); !ok || err != nil {
		t.Errorf("begin with room again: got %v, %v, want leave to send", ok, err)
	}
}

// A row that was settled without this node's knowledge does not hold up other commands.
func TestOutboxSettledElsewhere(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	p := newPort(textInfo())
	r.PluginReady("text", "text-0", newPort(textInfo()))
	conv := w.textChat(r)
	r.PluginGone("text", "text-0")
	sent := w.say(r, conv, "1")
	second := w.say(r, conv, "2")
	_, err := w.log.Append(ctx, &eventlog.Batch{OutboxUpdates: []eventlog.OutboxUpdate{{CommandID: sent.Message, State: eventlog.OutboxSettled}}})
	must(t, err)
	r.PluginReady("text", "text-1", p)
	first := p.next(t, 0)
	if ok, err := r.Begin(ctx, w.text.ID, first.Command, "text-1"); ok || err != nil {
		t.Errorf("begin of a settled command: got %v, %v, want it refused", ok, err)
	}
	if got := p.next(t, 1); got.Command != [16]byte(second.Message) {
		t.Errorf("next command: got %x, want the second message's", got.Command)
	}
}
