package router_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	intake "github.com/parley-gateway/parley/core/ingest"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/sessionwork"
)

// readsInfo describes a store-and-forward channel that takes read marks.
func readsInfo() plugin.Info {
	info := textInfo()
	info.MarkRead = true
	return info
}

// callsInfo describes a channel that carries calls, too.
func callsInfo() plugin.Info {
	info := readsInfo()
	info.Calls = []string{"dial", "answer", "hold", "mute", "digits", "hang_up"}
	return info
}

// customerLeg is the id of the customer's leg in calls that tests append.
var customerLeg = conversation.NewID[conversation.LegID]()

// calls appends an active call of an account to a conversation, as another node would, and waits
// until the router knows of it.
func (w *world) calls(r *router.Router, conv conversation.ConversationID, account conversation.AccountID, pin conversation.Pin) conversation.SessionID {
	w.t.Helper()
	id := w.rings(conv, account)
	w.picksUp(conv, id, pin)
	eventually(w.t, "session in the router", func() bool {
		info, err := r.Info(context.Background(), conv)
		must(w.t, err)
		s := info.State.Session(id)
		return s != nil && s.Pin == pin && len(s.Legs) == 1
	})
	return id
}

// rings appends a call that is asked for.
func (w *world) rings(conv conversation.ConversationID, account conversation.AccountID) conversation.SessionID {
	w.t.Helper()
	id := conversation.NewID[conversation.SessionID]()
	w.wrote(conv, string(conversation.TypeSessionRequested),
		fmt.Sprintf(`{"session":%q,"kind":"call","plugin":"text","account":%q,"by":{"kind":"customer"},"audience":"customer"}`, id, account), nil)
	return id
}

// picksUp appends that such a call becomes active.
func (w *world) picksUp(conv conversation.ConversationID, id conversation.SessionID, pin conversation.Pin) {
	w.t.Helper()
	w.wrote(conv, string(conversation.TypeSessionChanged),
		fmt.Sprintf(`{"session":%q,"state":"active","pin":{"node":%q,"instance":%q},"audience":"customer"}`, id, pin.Node, pin.Instance), nil)
	w.wrote(conv, string(conversation.TypeSessionLeg),
		fmt.Sprintf(`{"session":%q,"leg":{"id":%q,"party":{"kind":"customer"},"kind":"sip","state":"up"}}`, id, customerLeg), nil)
}

// press sends digits to the customer's leg, for Ana.
func (w *world) press(r *router.Router, conv conversation.ConversationID, session conversation.SessionID, d string) (conversation.MessageID, error) {
	got, err := r.Call(context.Background(), w.pressing(conv, session, d))
	return got.Command, err
}

func (w *world) pressing(conv conversation.ConversationID, session conversation.SessionID, d string) sessionwork.CallRequest {
	return sessionwork.CallRequest{Conversation: conv, Agent: w.agents["ana"],
		Do: plugin.CallCommand{Session: session, Digits: &plugin.CallDigits{Leg: customerLeg, Digits: d}}}
}

// heads returns the heads of one type in a conversation.
func heads[H any](t *testing.T, r *router.Router, conv conversation.ConversationID, typ conversation.Type) (out []H) {
	t.Helper()
	recs, err := r.Records(context.Background(), conv, conversation.AudienceAudit, 0, 1000)
	must(t, err)
	for _, rec := range recs {
		if rec.Type == typ {
			var h H
			must(t, json.Unmarshal(rec.Head, &h))
			out = append(out, h)
		}
	}
	return out
}

// A command for a call reaches the generation that holds the call, past a text that waits for its
// carrier. The conversation's event names it, in the same append, and what it says is sealed in its row.
func TestCallCommand(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx, p := context.Background(), newPort(callsInfo())
	r.PluginReady("text", "g1", p)
	conv := w.textChat(r)
	session := w.calls(r, conv, w.text.ID, conversation.Pin{Node: "n1", Instance: "g1"})
	next := newPort(callsInfo())
	r.PluginReady("text", "g2", next) // the latest generation is not the one that has the call
	w.say(r, conv, "a")
	text := next.next(t, 0)
	w.result(r, text, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true, RetryAfter: time.Hour})
	began := time.Now()
	ask := w.pressing(conv, session, "4711")
	ask.Within, ask.ClientID = 5*time.Second, "c1"
	done, err := r.Call(ctx, ask)
	must(t, err)
	command := [16]byte(done.Command)
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
	if again, err := r.Call(ctx, ask); err != nil || again != done {
		t.Errorf("a retry: %+v, %v, want %+v", again, err, done)
	}
	w.wrote(conv, string(conversation.TypeSessionEnded), fmt.Sprintf(`{"session":%q,"kind":"call","by":{"kind":"customer"},"cause":"hangup","audience":"customer"}`, session), nil)
	if again, err := r.Call(ctx, ask); err != nil || again != done {
		t.Errorf("a retry after the end of the call: %+v, %v, want %+v", again, err, done)
	}
	if _, err := w.press(r, conv, session, "1"); !errors.Is(err, conversation.ErrNoSuchSession) {
		t.Errorf("after the end of the call: %v", err)
	}
	if _, err := w.press(r, conversation.NewID[conversation.ConversationID](), session, "1"); !errors.Is(err, router.ErrNotFound) {
		t.Errorf("in no conversation: %v", err)
	}
	named := heads[conversation.SessionCommand](t, r, conv, conversation.TypeSessionCommand)
	if len(named) != 1 || named[0].Command != done.Command || named[0].What != "digits" || named[0].Leg != customerLeg || named[0].By.Agent != w.agents["ana"] {
		t.Errorf("events: %+v, want one of the command", named)
	}
	if recs, _ := w.failures(w.vault); len(recs) != 0 {
		t.Errorf("records of failures: %+v, want none", recs)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) != 1 {
		t.Errorf("the plugin got %+v, want one command", p.got)
	}
}

// A call's command that fails for good is told to its conversation, with the reason. With the process that
// had the call the call is lost, and the conversation goes on (FT2).
func TestCallCommandThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *world, r *router.Router, cmd plugin.Outbound)
		code string
		lost bool
	}{
		"the plugin says so": {func(w *world, r *router.Router, cmd plugin.Outbound) {
			w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "content", Code: "no_such_leg"})
		}, "no_such_leg", false},
		"nobody knows": {func(w *world, r *router.Router, cmd plugin.Outbound) {
			w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusUnknown, Code: "timeout"})
		}, "timeout", false},
		"the plugin is killed": {func(_ *world, r *router.Router, _ plugin.Outbound) { r.PluginGone("text", "g1") },
			outbox.CodeInstanceGone, true},
		"the plugin is killed after Begin": {func(w *world, r *router.Router, cmd plugin.Outbound) {
			ok, err := r.Begin(context.Background(), w.text.ID, cmd.Command, "g1")
			if !ok || err != nil {
				w.t.Errorf("begin: %v, %v", ok, err)
			}
			r.PluginGone("text", "g1")
		}, outbox.CodeInstanceGone, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			r := w.start("n1")
			p := newPort(callsInfo())
			r.PluginReady("text", "g1", p)
			conv := w.textChat(r)
			session := w.calls(r, conv, w.text.ID, conversation.Pin{Node: "n1", Instance: "g1"})
			command, err := w.press(r, conv, session, "1")
			must(t, err)
			cmd := p.next(t, 0)
			c.end(w, r, cmd)
			eventually(t, "settled row", func() bool { return w.rowState(cmd) == eventlog.OutboxSettled })
			failed := heads[conversation.SessionCommandFailed](t, r, conv, conversation.TypeSessionCommandFailed)
			if len(failed) != 1 || failed[0].Command != command || failed[0].Session != session || failed[0].What != "digits" || failed[0].Code != c.code {
				t.Errorf("events: %+v, want one of the command with code %s", failed, c.code)
			}
			eventually(t, "end of the call, if its process is gone", func() bool {
				ended := heads[conversation.SessionEnded](t, r, conv, conversation.TypeSessionEnded)
				return !c.lost || len(ended) == 1 && ended[0].Cause == conversation.CauseLost
			})
			if ended := heads[conversation.SessionEnded](t, r, conv, conversation.TypeSessionEnded); !c.lost && len(ended) != 0 {
				t.Errorf("the call ended: %+v", ended)
			}
			if info, err := r.Info(context.Background(), conv); err != nil || info.State.Display() != conversation.DisplayActive {
				t.Errorf("the conversation is %s, %v", info.State.Display(), err)
			}
			if recs, _ := w.failures(w.vault); len(recs) != 0 {
				t.Errorf("records on the account: %+v, want none", recs)
			}
		})
	}
}

// What fails of what a supervisor asked of a call is told to those who were told of the command (H3).
func TestSupervisorsCallCommandThatFails(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx, p := context.Background(), newPort(callsInfo())
	r.PluginReady("text", "g1", p)
	conv := w.textChat(r)
	session := w.calls(r, conv, w.text.ID, conversation.Pin{Node: "n1", Instance: "g1"})
	sue := w.withSupervisor("sue")
	must(t, r.AgentConnected(ctx, sue))
	_, err := r.Supervise(ctx, sue, conv, conversation.ModeBarge)
	must(t, err)
	req := w.pressing(conv, session, "1")
	req.Agent = sue
	_, err = r.Call(ctx, req)
	must(t, err)
	cmd := p.next(t, 0)
	w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "content", Code: "no_such_leg"})
	eventually(t, "settled row", func() bool { return w.rowState(cmd) == eventlog.OutboxSettled })
	asked := heads[conversation.SessionCommand](t, r, conv, conversation.TypeSessionCommand)
	failed := heads[conversation.SessionCommandFailed](t, r, conv, conversation.TypeSessionCommandFailed)
	if len(asked) != 1 || len(failed) != 1 || asked[0].Circle != conversation.AudienceSupervisor || failed[0].Circle != asked[0].Circle {
		t.Errorf("asked %+v, failed %+v, want both for supervisors only", asked, failed)
	}
}

// A call that its conversation ends is ended at its plugin, too; one that the plugin itself says is over
// is not.
func TestCallEndsWithItsConversation(t *testing.T) {
	for name, said := range map[string]bool{"the conversation ends": false, "the plugin says so": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			r := w.start("n1")
			ctx, p := context.Background(), newPort(callsInfo())
			r.PluginReady("text", "g1", p)
			conv := w.textChat(r)
			session := w.calls(r, conv, w.text.ID, conversation.Pin{Node: "n1", Instance: "g1"})
			if said {
				over := plugin.CallEvent{Session: session, Ended: &plugin.CallEnded{Cause: conversation.CauseBusy, Code: "486"}}
				if a := ingest(r, plugin.Inbound{Plugin: "text", Instance: "g1", Account: w.text.ID, Thread: "+49301234", DedupeKey: "over", Call: &over}); a.Status != plugin.Committed {
					t.Fatalf("end: %+v", a)
				}
			}
			if a := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+49301234", DedupeKey: "end", Action: &plugin.CustomerAction{End: true}}); a.Status != plugin.Committed {
				t.Fatalf("end: %+v", a)
			}
			ended := heads[conversation.SessionEnded](t, r, conv, conversation.TypeSessionEnded)
			if len(ended) != 1 || said && (ended[0].Cause != conversation.CauseBusy || ended[0].Code != "486") {
				t.Errorf("ends of the call: %+v, want one", ended)
			}
			rows, err := w.log.Outbox(ctx, eventlog.StreamID{}, false, 0)
			must(t, err)
			if said {
				if len(rows) != 0 {
					t.Errorf("rows: %+v, want none", rows)
				}
				return
			}
			cmd := p.next(t, 0)
			if cmd.Call == nil || cmd.Call.Session != session || cmd.Call.HangUp == nil || cmd.Thread != "+49301234" || len(rows) != 1 || rows[0].Route != "g1" {
				t.Errorf("got %+v from %+v, want the end of the call", cmd, rows)
			}
			r.PluginGone("text", "g1") // the call ends with its process, as was asked
			eventually(t, "settled row", func() bool { return w.rowState(cmd) == eventlog.OutboxSettled })
			if failed := heads[conversation.SessionCommandFailed](t, r, conv, conversation.TypeSessionCommandFailed); len(failed) != 0 {
				t.Errorf("failures: %+v, want none", failed)
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
	here, there := newPort(callsInfo()), newPort(callsInfo())
	one.PluginReady("text", "g1", here)
	two.PluginReady("text", "g2", there)
	conv := w.textChat(one)
	session := w.calls(one, conv, w.text.ID, conversation.Pin{Node: "n2", Instance: "g2"})
	command, err := w.press(one, conv, session, "1")
	must(t, err)
	cmd := there.next(t, 0)
	if cmd.Command != [16]byte(command) || cmd.Call == nil || cmd.Call.Session != session {
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

// A command that the state in memory refuses is decided again if another node has written meanwhile.
func TestCallCommandOverAStaleState(t *testing.T) {
	w := newWorld(t, nil)
	r, p := w.start("n1"), newPort(callsInfo())
	r.PluginReady("text", "g1", p)
	conv := w.textChat(r)
	session := w.rings(conv, w.text.ID)
	if _, err := w.press(r, conv, session, "1"); !errors.Is(err, sessionwork.ErrNoLeg) {
		t.Fatalf("before the call is up: %v, want ErrNoLeg", err)
	}
	heard := w.bus
	w.bus = bus.NewLocal() // the router does not hear of this
	w.picksUp(conv, session, conversation.Pin{Node: "n1", Instance: "g1"})
	must(t, w.bus.Close())
	w.bus = heard
	if _, err := w.press(r, conv, session, "1"); err != nil {
		t.Errorf("after another node has written that it is up: %v", err)
	}
}

// A read mark waits for its plugin, also over a restart, and only the newest one does.
func TestReadMark(t *testing.T) {
	w := newWorld(t, nil).withFeatures(directory.FeatureRead)
	r := w.start("n1")
	ctx := context.Background()
	r.PluginReady("text", "g1", newPort(readsInfo()))
	conv := w.textChat(r)
	r.PluginGone("text", "g1")
	must(t, w.reads(r, conv, "secret-1"))
	must(t, w.reads(r, conv, "secret-2"))
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
	must(t, w.reads(r, conv, "secret-3"))
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
		r := w.withFeatures(directory.FeatureRead).start("n1")
		p := newPort(readsInfo())
		r.PluginReady("text", "g1", p)
		conv := w.textChat(r)
		write := lose(func(b *eventlog.Batch) bool { return len(b.Outbox) > 0 })
		err := w.reads(r, conv, "m1")
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
		r := w.withFeatures(directory.FeatureRead).start("n1")
		r.PluginReady("text", "g1", newPort(readsInfo()))
		conv := w.textChat(r)
		r.PluginGone("text", "g1")
		must(t, w.reads(r, conv, "m1"))
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
		conv, _ := b.texting(callsInfo())
		info, err := b.r.Info(t.Context(), conv)
		must(t, err)
		id := conversation.NewID[conversation.SessionID]()
		head := fmt.Sprintf(`{"session":%q,"kind":"call","plugin":"text","account":%q,"by":{"kind":"customer"},"audience":"customer"}`, id, info.State.Endpoints[0].Account)
		b.wrote(conv, string(conversation.TypeSessionRequested), head, nil)
		synctest.Wait()
		b.r.PluginGone("text", "g1")
		_, err = b.r.Call(t.Context(), sessionwork.CallRequest{Conversation: conv, Agent: b.agents["ana"],
			Do: plugin.CallCommand{Session: id, HangUp: &plugin.CallHangUp{}}, Within: 2 * time.Second})
		must(t, err)
		b.after(2 * time.Second)
		if failed := heads[conversation.SessionCommandFailed](t, b.r, conv, conversation.TypeSessionCommandFailed); len(failed) != 0 {
			t.Errorf("failed at the deadline: %+v, want none", failed)
		}
		b.after(100 * time.Millisecond)
		if failed := heads[conversation.SessionCommandFailed](t, b.r, conv, conversation.TypeSessionCommandFailed); len(failed) != 1 || failed[0].Code != "deadline" {
			t.Errorf("failed after the deadline: %+v, want one", failed)
		}
	})
}
