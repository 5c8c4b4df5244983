package router_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	intake "github.com/parley-gateway/parley/core/ingest"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// readsInfo describes a store-and-forward channel that takes read marks.
func readsInfo() plugin.Info {
	info := textInfo()
	info.MarkRead = true
	return info
}

// calls appends an active call of an account to a conversation, as another node would, and waits
// until the router knows of it.
func (w *world) calls(r *router.Router, conv conversation.ConversationID, account conversation.AccountID, pin conversation.Pin) conversation.SessionID {
	w.t.Helper()
	id := conversation.NewID[conversation.SessionID]()
	w.wrote(conv, string(conversation.TypeSessionRequested),
		fmt.Sprintf(`{"session":%q,"kind":"call","plugin":"text","account":%q,"by":{"kind":"customer"},"audience":"customer"}`, id, account), nil)
	w.wrote(conv, string(conversation.TypeSessionChanged),
		fmt.Sprintf(`{"session":%q,"state":"active","pin":{"node":%q,"instance":%q},"audience":"customer"}`, id, pin.Node, pin.Instance), nil)
	eventually(w.t, "session in the router", func() bool {
		info, err := r.Info(context.Background(), conv)
		must(w.t, err)
		s := info.State.Session(id)
		return s != nil && s.Pin == pin
	})
	return id
}

func digits(session conversation.SessionID, d string) *plugin.CallCommand {
	return &plugin.CallCommand{Session: session, Digits: &plugin.CallDigits{Digits: d}}
}

// A command for a call reaches the generation that holds the call, past a text that waits for its
// carrier. What it says is sealed in its row.
func TestCallCommand(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx, p := context.Background(), newPort(readsInfo())
	r.PluginReady("text", "g1", p)
	conv := w.textChat(r)
	session := w.calls(r, conv, w.text.ID, conversation.Pin{Node: "n1", Instance: "g1"})
	next := newPort(readsInfo())
	r.PluginReady("text", "g2", next) // the latest generation is not the one that has the call
	w.say(r, conv, "a")
	text := next.next(t, 0)
	w.result(r, text, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true, RetryAfter: time.Hour})
	began := time.Now()
	command, err := r.Call(ctx, conv, digits(session, "4711"), 5*time.Second)
	must(t, err)
	cmd := p.next(t, 0)
	if cmd.Command != command || cmd.Conversation != conv || cmd.Account != w.text.ID || cmd.Thread != "+49301234" || cmd.Attempt != 1 ||
		cmd.Call == nil || cmd.Call.Session != session || cmd.Call.Digits.Digits != "4711" {
		t.Fatalf("got %+v %+v, want the call's command", cmd, cmd.Call)
	}
	if d := cmd.Deadline.Sub(began); d < 4*time.Second || d > 6*time.Second {
		t.Errorf("deadline in %s, want 5 s", d)
	}
	row, err := w.log.OutboxRow(ctx, command)
	must(t, err)
	if row.Kind != outbox.KindCall || row.Route != "g1" || row.Node != "n1" || row.KeyID == 0 || bytes.Contains(row.Payload, []byte("4711")) || bytes.Contains(row.Payload, []byte("4930")) {
		t.Errorf("row: %+v, want it pinned and sealed", row)
	}
	if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Committed {
		t.Errorf("result: %+v", a)
	}
	if got := w.rowState(cmd); got != eventlog.OutboxSettled {
		t.Errorf("row after the result: %s, want settled", got)
	}
	if heads, _ := w.failures(w.vault); len(heads) != 0 {
		t.Errorf("records of failures: %+v, want none", heads)
	}
	for name, ask := range map[string]struct {
		cmd  *plugin.CallCommand
		conv conversation.ConversationID
		want error
	}{
		"no such session":      {digits(conversation.NewID[conversation.SessionID](), "1"), conv, conversation.ErrNoSuchSession},
		"no such conversation": {digits(session, "1"), conversation.NewID[conversation.ConversationID](), router.ErrNotFound},
	} {
		if _, err := r.Call(ctx, ask.conv, ask.cmd, 0); !errors.Is(err, ask.want) {
			t.Errorf("%s: %v, want %v", name, err, ask.want)
		}
	}
}

// A call's command that fails for good leaves a record on the account, with the reason.
func TestCallCommandThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *world, r *router.Router, cmd plugin.Outbound)
		code string
		out  conversation.Status
	}{
		"the plugin says so": {func(w *world, r *router.Router, cmd plugin.Outbound) {
			w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "content", Code: "no_such_leg"})
		}, "no_such_leg", conversation.StatusFailed},
		"nobody knows": {func(w *world, r *router.Router, cmd plugin.Outbound) {
			w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusUnknown, Code: "timeout"})
		}, "timeout", conversation.StatusUnknown},
		"the plugin is killed": {func(_ *world, r *router.Router, _ plugin.Outbound) { r.PluginGone("text", "g1") },
			outbox.CodeInstanceGone, conversation.StatusFailed},
		"the plugin is killed after Begin": {func(w *world, r *router.Router, cmd plugin.Outbound) {
			ok, err := r.Begin(context.Background(), w.text.ID, cmd.Command, "g1")
			if !ok || err != nil {
				w.t.Errorf("begin: %v, %v", ok, err)
			}
			r.PluginGone("text", "g1")
		}, outbox.CodeInstanceGone, conversation.StatusFailed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			r := w.start("n1")
			p := newPort(textInfo())
			r.PluginReady("text", "g1", p)
			conv := w.textChat(r)
			_, err := r.Call(context.Background(), conv, digits(w.calls(r, conv, w.text.ID, conversation.Pin{Node: "n1", Instance: "g1"}), "1"), 0)
			must(t, err)
			cmd := p.next(t, 0)
			c.end(w, r, cmd)
			eventually(t, "settled row", func() bool { return w.rowState(cmd) == eventlog.OutboxSettled })
			heads, bodies := w.failures(w.vault)
			if len(heads) != 1 || heads[0].Kind != outbox.KindCall || heads[0].Conversation != conv || heads[0].Code != c.code || heads[0].Outcome != c.out ||
				bodies[0].Thread != "+49301234" {
				t.Errorf("records: %+v %+v, want one of the call's command", heads, bodies)
			}
		})
	}
}

// A command whose session is pinned to another node is handed out there, at once.
func TestCallOnAnotherNode(t *testing.T) {
	w := newWorld(t, nil)
	callOnAnotherNode(t, w, w.start("n1"), w.start("n2"))
}

func callOnAnotherNode(t *testing.T, w *world, one, two *router.Router) {
	t.Helper()
	here, there := newPort(textInfo()), newPort(textInfo())
	one.PluginReady("text", "g1", here)
	two.PluginReady("text", "g2", there)
	conv := w.textChat(one)
	session := w.calls(one, conv, w.text.ID, conversation.Pin{Node: "n2", Instance: "g2"})
	command, err := one.Call(context.Background(), conv, digits(session, "1"), 0)
	must(t, err)
	cmd := there.next(t, 0)
	if cmd.Command != command || cmd.Call == nil || cmd.Call.Session != session {
		t.Errorf("got %+v, want the call's command", cmd)
	}
	if ok, err := one.Begin(context.Background(), w.text.ID, command, "g1"); ok || err != nil {
		t.Errorf("begin on the node that asked: %v, %v, want it refused", ok, err)
	}
	if ok, err := two.Begin(context.Background(), w.text.ID, command, "g2"); !ok || err != nil {
		t.Errorf("begin on the node of the call: %v, %v", ok, err)
	}
	if a := w.result(two, cmd, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Committed {
		t.Errorf("result: %+v", a)
	}
	here.mu.Lock()
	defer here.mu.Unlock()
	if len(here.got) != 0 {
		t.Errorf("on the node that asked: %+v", here.got)
	}
}

// A read mark waits for its plugin, also over a restart, and only the newest one does.
func TestReadMark(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	r.PluginReady("text", "g1", newPort(readsInfo()))
	conv := w.textChat(r)
	r.PluginGone("text", "g1")
	mark := func(id string) {
		must(t, r.MarkRead(ctx, conv, w.text.ID, &plugin.MarkReadCommand{Message: conversation.NewID[conversation.MessageID](), ProviderIDs: []string{id}}))
	}
	mark("secret-1")
	mark("secret-2")
	w.stop(r)
	rows, err := w.log.Outbox(ctx, eventlog.StreamID{}, false, 0)
	must(t, err)
	for _, row := range rows {
		if row.Kind != outbox.KindMarkRead || bytes.Contains(row.Payload, []byte("secret")) {
			t.Errorf("row: %+v, want a sealed read mark", row)
		}
	}
	r = w.start("n1")
	p := newPort(readsInfo())
	r.PluginReady("text", "g2", p)
	cmd := p.next(t, 0)
	if cmd.MarkRead == nil || len(cmd.MarkRead.ProviderIDs) != 1 || cmd.MarkRead.ProviderIDs[0] != "secret-2" || cmd.Thread != "+49301234" || cmd.Conversation != conv {
		t.Fatalf("got %+v %+v, want the newest mark", cmd, cmd.MarkRead)
	}
	if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Committed {
		t.Errorf("result: %+v", a)
	}
	eventually(t, "end of all marks", func() bool {
		rows, err := w.log.Outbox(ctx, eventlog.StreamID{}, true, 0)
		must(t, err)
		return len(rows) == 0
	})
	if heads, _ := w.failures(w.vault); len(heads) != 0 {
		t.Errorf("records of failures: %+v, want none", heads)
	}
	r.PluginReady("text", "g3", newPort(textInfo())) // it takes no read marks
	mark("secret-3")
	rows, err = w.log.Outbox(ctx, eventlog.StreamID{}, true, 0)
	must(t, err)
	if len(rows) != 0 {
		t.Errorf("rows for a plugin that takes no read marks: %+v", rows)
	}
}

// A command whose append got no answer is carried out if it was written, although no message tells
// of it.
func TestReadMarkInDoubt(t *testing.T) {
	inDoubt(t, func(t *testing.T, w *world, lose func(func(*eventlog.Batch) bool) func()) {
		r := w.start("n1")
		p := newPort(readsInfo())
		r.PluginReady("text", "g1", p)
		conv := w.textChat(r)
		write := lose(func(b *eventlog.Batch) bool { return len(b.Outbox) > 0 })
		err := r.MarkRead(context.Background(), conv, w.text.ID, &plugin.MarkReadCommand{ProviderIDs: []string{"m1"}})
		if router.Code(err) != "unavailable" {
			t.Fatalf("the answer was lost: got %v, want unavailable", err)
		}
		write()
		if cmd := p.next(t, 0); cmd.MarkRead == nil {
			t.Errorf("got %+v, want the mark in doubt", cmd)
		}
	})
}

// FT13: a command whose payload was sealed under a key that is lost fails with a record, and holds
// nothing up.
func TestCommandUnderALostKey(t *testing.T) {
	lostKey(t, func(t *testing.T, w *world, lost error) {
		r := w.start("n1")
		r.PluginReady("text", "g1", newPort(readsInfo()))
		conv := w.textChat(r)
		r.PluginGone("text", "g1")
		must(t, r.MarkRead(context.Background(), conv, w.text.ID, &plugin.MarkReadCommand{ProviderIDs: []string{"m1"}}))
		w.stop(r)
		w.loseKeyOf(conv, lost)
		r = w.start("n1")
		r.PluginReady("text", "g2", newPort(readsInfo()))
		var heads []intake.FailedHead
		eventually(t, "record of the failure", func() bool {
			heads, _ = w.failures(w.vault)
			return len(heads) > 0
		})
		if len(heads) != 1 || heads[0].Kind != outbox.KindMarkRead || heads[0].Code != "unreadable" {
			t.Errorf("records: %+v, want one of the mark", heads)
		}
	})
}

// Deadlines of calls are kept to the second, whatever else the outbox does.
func TestCallDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		conv, _ := b.texting(textInfo())
		info, err := b.r.Info(t.Context(), conv)
		must(t, err)
		id := conversation.NewID[conversation.SessionID]()
		head := fmt.Sprintf(`{"session":%q,"kind":"call","plugin":"text","account":%q,"by":{"kind":"customer"},"audience":"customer"}`, id, info.State.Endpoints[0].Account)
		b.wrote(conv, string(conversation.TypeSessionRequested), head, nil)
		synctest.Wait()
		b.r.PluginGone("text", "g1")
		_, err = b.r.Call(t.Context(), conv, &plugin.CallCommand{Session: id, HangUp: &plugin.CallHangUp{}}, 2*time.Second)
		must(t, err)
		b.after(2 * time.Second)
		if heads, _ := b.failures(&plainVault{}); len(heads) != 0 {
			t.Errorf("records at the deadline: %+v, want none", heads)
		}
		b.after(100 * time.Millisecond)
		if heads, _ := b.failures(&plainVault{}); len(heads) != 1 || heads[0].Code != "deadline" || heads[0].Kind != outbox.KindCall {
			t.Errorf("records after the deadline: %+v, want one", heads)
		}
	})
}
