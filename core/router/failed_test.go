package router_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	intake "github.com/parley-gateway/parley/core/ingest"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
)

// failures returns the records of the text account's commands that failed for good.
func (w *world) failures(v readers.Opener) (heads []intake.FailedHead, bodies []intake.FailedBody) {
	w.t.Helper()
	recs, err := w.log.Read(context.Background(), eventlog.StreamID(w.text.ID), 0, 0)
	must(w.t, err)
	for _, rec := range recs {
		if rec.Type != intake.TypeFailed {
			continue
		}
		var h intake.FailedHead
		var b intake.FailedBody
		must(w.t, json.Unmarshal(rec.Head, &h))
		body, err := readers.OpenBody(v, rec)
		must(w.t, err)
		must(w.t, json.Unmarshal(body, &b))
		heads, bodies = append(heads, h), append(bodies, b)
	}
	return heads, bodies
}

// DESIGN.md 4: a deferred item that fails for good leaves a record, and only one however often the
// plugin reports the failure. Its carrier was answered 2xx long ago and will not send it again.
func TestFailedProcessIsRecorded(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	p := newPort(textInfo())
	r.PluginReady("text", "g1", p)
	if a := ingest(r, plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+1", DedupeKey: "media-1", Deferred: []byte("fetch this")}); a.Status != plugin.Committed {
		t.Fatalf("deferred: %+v", a)
	}
	cmd := p.next(t, 0)
	// A deferred item may be processed twice, so an unknown outcome is tried again.
	if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusUnknown}); a.Status != plugin.Committed {
		t.Fatalf("unknown: %+v", a)
	}
	if again := p.next(t, 1); again.Command != cmd.Command || again.Attempt != 2 {
		t.Errorf("after an unknown outcome: got %+v, want the item again", again)
	}
	for range 2 {
		w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusFailed, Kind: "permanent", Code: "404", Text: "no such file"})
	}
	heads, bodies := w.failures(w.vault)
	if len(heads) != 1 {
		t.Fatalf("%d records, want 1", len(heads))
	}
	want := intake.FailedHead{Plugin: "text", Command: conversation.MessageID(cmd.Command), Kind: "process", Outcome: conversation.StatusFailed, Reason: "permanent", Code: "404", Attempt: 2}
	if heads[0] != want || bodies[0] != (intake.FailedBody{Thread: "+1", Text: "no such file"}) {
		t.Errorf("got %+v %+v, want %+v", heads[0], bodies[0], want)
	}
	if got := w.rowState(cmd); got != eventlog.OutboxSettled {
		t.Errorf("row: got %s, want settled", got)
	}
}

// A message that fails for good and that its conversation does not follow leaves a record, too.
func TestFailedSendThatNobodyFollowsIsRecorded(t *testing.T) {
	c := newCarrier(t)
	real := c.sends(t)
	c.result(c.r, real, plugin.CommandResult{Outcome: conversation.StatusSent})
	row, err := c.log.OutboxRow(context.Background(), real.Command)
	must(t, err)
	row.CommandID, row.State = [16]byte(conversation.NewID[conversation.MessageID]()), eventlog.OutboxQueued
	_, err = c.log.Append(context.Background(), &eventlog.Batch{Outbox: []eventlog.OutboxRow{row}})
	must(t, err)
	cmd := c.port.next(t, 1) // the node found the row by reading the log
	if cmd.Command != row.CommandID {
		t.Fatalf("got %+v, want the row that only the log has", cmd)
	}
	c.result(c.r, cmd, plugin.CommandResult{Outcome: conversation.StatusFailed, Code: "30003"})
	heads, _ := c.failures(c.vault)
	if len(heads) != 1 || heads[0].Kind != "send" || heads[0].Conversation != c.conv || heads[0].Code != "30003" {
		t.Errorf("records: %+v, want one of the message", heads)
	}
}

// PR4: a command whose row says "unknown" is settled when the provider says later that it failed,
// even if its conversation does not follow it.
func TestFailureAfterUnknownThatNobodyFollows(t *testing.T) {
	for name, failed := range map[string]func(*carrier, plugin.Outbound){
		"result": func(c *carrier, cmd plugin.Outbound) {
			c.result(c.r, cmd, plugin.CommandResult{Outcome: conversation.StatusFailed, Code: "30003"})
		},
		"status": func(c *carrier, cmd plugin.Outbound) {
			c.said(plugin.DeliveryStatus{Command: cmd.Command, Status: conversation.StatusFailed, Code: "30003"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCarrier(t)
			real := c.sends(t)
			row, err := c.log.OutboxRow(context.Background(), real.Command)
			must(t, err)
			cmd := real
			cmd.Command = [16]byte(conversation.NewID[conversation.MessageID]())
			row.CommandID = cmd.Command
			_, err = c.log.Append(context.Background(), &eventlog.Batch{Outbox: []eventlog.OutboxRow{row}})
			must(t, err)
			c.result(c.r, cmd, plugin.CommandResult{Outcome: conversation.StatusUnknown})
			if got := c.rowState(cmd); got != eventlog.OutboxUnknown {
				t.Fatalf("row after an unknown outcome: %s, want unknown", got)
			}
			failed(c, cmd)
			if got := c.rowState(cmd); got != eventlog.OutboxSettled {
				t.Errorf("row after word of a failure: %s, want settled", got)
			}
			if heads, _ := c.failures(c.vault); len(heads) != 1 {
				t.Errorf("%d records, want one", len(heads))
			}
		})
	}
}

// texting makes Ana a participant of an exchange of texts; the text plugin's generation is g1.
func (b *bubble) texting(info plugin.Info) (conv conversation.ConversationID, status func(conversation.MessageID) conversation.Status) {
	t := b.t
	t.Helper()
	b.r.PluginReady("text", "g1", newPort(info))
	ana := b.ready("ana")
	ingest(b.r, plugin.Inbound{Plugin: "text", Account: b.text.ID, Thread: "+1", DedupeKey: "in-1",
		Message: &plugin.InboundMessage{Address: "+1", Parts: textParts("hello")}})
	synctest.Wait()
	conv, _, err := b.r.Accept(t.Context(), ana, agentOf(t, b.r, ana).Offer.Offer)
	must(t, err)
	return conv, func(m conversation.MessageID) conversation.Status {
		info, err := b.r.Info(t.Context(), conv)
		must(t, err)
		for _, p := range info.State.Pending {
			if p.ID == m {
				return p.Status
			}
		}
		return ""
	}
}

// begun lets Ana write a message and the plugin begin it (Begin).
func (b *bubble) begun(conv conversation.ConversationID) conversation.MessageID {
	b.t.Helper()
	sent := b.say(b.r, conv, "reply")
	synctest.Wait()
	if ok, err := b.r.Begin(b.t.Context(), b.text.ID, sent.Message, "g1"); !ok || err != nil {
		b.t.Fatalf("begin: %v, %v", ok, err)
	}
	return sent.Message
}

// A message that a plugin has begun and never reports on ends as unknown (PR4).
func TestDeadlineOfASilentPlugin(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		conv, status := b.texting(textInfo())
		m := b.begun(conv)
		b.after(4*time.Hour + time.Minute)
		if got := status(m); got != conversation.StatusAccepted {
			t.Errorf("message that the plugin may still answer for: %s, want accepted", got)
		}
		b.after(10 * time.Minute)
		if got := status(m); got != conversation.StatusUnknown {
			t.Errorf("message of a plugin that says nothing: %s, want unknown", got)
		}
	})
}

// Commands that were handed to a plugin which goes and never comes back end at their deadline: a
// message that had begun ends as unknown (PR4), a deferred item with a record.
func TestDeadlineOfAPluginThatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		looking := textInfo()
		looking.CanLookup = true
		conv, status := b.texting(looking)
		m := b.begun(conv)
		b.r.PluginGone("text", "g1") // a plugin that came back could look the message up
		if a := ingest(b.r, plugin.Inbound{Plugin: "text", Account: b.text.ID, Thread: "+1", DedupeKey: "media-1", Deferred: []byte("fetch this")}); a.Status != plugin.Committed {
			t.Fatalf("deferred: %+v", a)
		}
		b.after(4*time.Hour + time.Minute)
		if got := status(m); got != conversation.StatusUnknown {
			t.Errorf("message that passed Begin: %s, want unknown", got)
		}
		b.after(20 * time.Hour)
		heads, _ := b.failures(&plainVault{})
		if len(heads) != 1 || heads[0].Kind != "process" || heads[0].Code != "deadline" {
			t.Errorf("records: %+v, want one of the deferred item", heads)
		}
		rows, err := b.log.Outbox(t.Context(), eventlog.StreamID{}, false, 0)
		must(t, err)
		if len(rows) != 0 {
			t.Errorf("%d rows are still pending", len(rows))
		}
	})
}

// The Result of a message is recorded although its account was switched off meanwhile, since the
// message was sent.
func TestResultOfADisabledAccount(t *testing.T) {
	c := newCarrier(t)
	cmd := c.sends(t)
	acc := c.text
	acc.Enabled = false
	_, err := c.dir.PutAccount(context.Background(), acc, nil)
	must(t, err)
	if a := c.result(c.r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent}); a.Status != plugin.Committed {
		t.Errorf("result: %+v, want committed", a)
	}
	if got := c.rowState(cmd); got != eventlog.OutboxSettled {
		t.Errorf("row: got %s, want settled", got)
	}
}

// A provider's status settles a row while the loss of the row's plugin is still to be recorded as
// "unknown". That record is then out of date, and the router must not try to write it for ever
// (PR4).
func TestStatusDuringDoubt(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		conv, status := b.texting(textInfo())
		m := b.begun(conv)
		b.full.Store(true) // "unknown" cannot be written now and is tried again later
		b.r.PluginGone("text", "g1")
		synctest.Wait()
		b.full.Store(false)
		a := ingest(b.r, plugin.Inbound{Plugin: "text", Account: b.text.ID, Status: &plugin.DeliveryStatus{Command: m, Status: conversation.StatusDelivered}})
		if a.Status != plugin.Committed {
			t.Fatalf("callback: %+v", a)
		}
		b.after(10 * time.Second)
		before := b.log.Stats().Conflicts
		b.after(10 * time.Minute)
		if n := b.log.Stats().Conflicts - before; n != 0 {
			t.Errorf("%d attempts to write unknown over a settled row in ten minutes", n)
		}
		row, err := b.log.OutboxRow(t.Context(), m)
		must(t, err)
		if row.State != eventlog.OutboxSettled || status(m) != conversation.StatusDelivered {
			t.Errorf("row %s, message %s, want settled and delivered", row.State, status(m))
		}
	})
}
