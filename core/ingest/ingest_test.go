package ingest_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/ingest"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/vault"
)

// house stands in for the router: it keeps what Ingest asks of conversations, and runs everything
// on the caller's goroutine.
type house struct {
	t        *testing.T
	log      *memlog.Log
	text     directory.Account
	g        *ingest.Ingest
	arrivals []plugin.Inbound
	words    []ingest.Word
}

func newHouse(t *testing.T) *house {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	v, err := vault.Open(ctx, vault.Options{Path: filepath.Join(dir, "keys.db"), Master: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	d, err := directory.Open(ctx, directory.Options{DSN: filepath.Join(dir, "records.db"), Vault: v, Poll: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	h := &house{t: t, log: memlog.New()}
	t.Cleanup(func() { _ = h.log.Close() })
	sales, err := d.PutService(ctx, directory.Service{Name: "Sales", Rules: directory.DefaultRules()})
	if err != nil {
		t.Fatal(err)
	}
	if h.text, err = d.PutAccount(ctx, directory.Account{Plugin: "text", Name: "text", Service: sales.ID, Enabled: true}, nil); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	h.g = ingest.New(ingest.Options{
		Node: "n1", Log: h.log, Vault: v, Directory: d, Conversations: h, Runner: h, Logger: logger, Now: time.Now,
		Messages: messages.New(h.log, nil, logger), Outbox: outbox.New(outbox.Options{Node: "n1", Log: h.log, Runner: h, Logger: logger, Now: time.Now}),
	})
	return h
}

// Arrive implements ingest.Conversations.
func (h *house) Arrive(_ directory.Account, in plugin.Inbound, done func(plugin.Ack)) {
	h.arrivals = append(h.arrivals, in)
	done(plugin.Ack{Status: plugin.Committed})
}

// Bot implements ingest.Conversations.
func (h *house) Bot(acc directory.Account, in plugin.Inbound, done func(plugin.Ack)) {
	h.Arrive(acc, in, done)
}

// SetStatus implements ingest.Conversations.
func (h *house) SetStatus(_ conversation.ConversationID, w ingest.Word) {
	h.words = append(h.words, w)
}

// Tool implements ingest.Conversations.
func (h *house) Tool(in plugin.Inbound, done func(plugin.Ack)) {
	h.Arrive(directory.Account{}, in, done)
}

func (h *house) Channel(string) string    { return "text" }
func (h *house) Go(f func()) bool         { f(); return true }
func (h *house) Running() context.Context { return h.t.Context() }
func (h *house) Commits() context.Context { return h.t.Context() }

func (h *house) After(time.Duration, func()) {}

// take returns the acknowledgement of an event, which must be answered exactly once.
func (h *house) take(in plugin.Inbound) (ack plugin.Ack) {
	h.t.Helper()
	answered := 0
	h.g.Take(in, func(a plugin.Ack) { ack = a; answered++ })
	if answered != 1 {
		h.t.Fatalf("answered %d times, want once", answered)
	}
	return ack
}

// word returns the last Word that Ingest sent to a conversation.
func (h *house) word() ingest.Word {
	h.t.Helper()
	if len(h.words) == 0 {
		h.t.Fatal("no conversation was asked")
	}
	return h.words[len(h.words)-1]
}

func (h *house) message(text string) plugin.Inbound {
	return plugin.Inbound{Plugin: "text", Account: h.text.ID, Thread: "+49", Message: &plugin.InboundMessage{
		Address: "+49", Parts: []conversation.Part{{Kind: conversation.PartText, Text: text}}}}
}

func (h *house) status(id string, s conversation.Status) plugin.Inbound {
	return plugin.Inbound{Plugin: "text", Account: h.text.ID, Status: &plugin.DeliveryStatus{ProviderID: id, Status: s, Code: "30003", Text: "no such handset"}}
}

func TestChecks(t *testing.T) {
	h := newHouse(t)
	records := func() int {
		recs, err := h.log.Read(t.Context(), eventlog.StreamID(h.text.ID), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(recs)
	}
	for name, tt := range map[string]struct {
		change func(*plugin.Inbound)
		code   string // "": the event reaches the router
		kept   int    // records that the event adds to the account's stream
	}{
		"well":              {func(*plugin.Inbound) {}, "", 0},
		"unknown account":   {func(in *plugin.Inbound) { in.Account = conversation.AccountID{1} }, "unknown_account", 0},
		"another's account": {func(in *plugin.Inbound) { in.Plugin = "chat" }, "unknown_account", 1},
		"no thread":         {func(in *plugin.Inbound) { in.Thread = "" }, "invalid", 1},
		"long thread":       {func(in *plugin.Inbound) { in.Thread = strings.Repeat("1", 5000) }, "invalid", 1},
		"long id":           {func(in *plugin.Inbound) { in.DedupeKey = strings.Repeat("1", 5000) }, "invalid", 1},
		"long name":         {func(in *plugin.Inbound) { in.Message.Name = strings.Repeat("1", 5000) }, "invalid", 1},
		"no parts":          {func(in *plugin.Inbound) { in.Message.Parts = nil }, "invalid", 1},
		"long text":         {func(in *plugin.Inbound) { in.Message.Parts[0].Text = strings.Repeat("1", 70_000) }, "too_large", 1},
		"status of no kind": {func(in *plugin.Inbound) {
			in.Message, in.Status = nil, &plugin.DeliveryStatus{ProviderID: "m", Status: "x"}
		}, "invalid", 1},
		"status of nobody's": {func(in *plugin.Inbound) { in.Message, in.Status = nil, &plugin.DeliveryStatus{Status: "sent"} }, "invalid", 1},
	} {
		t.Run(name, func(t *testing.T) {
			before := records()
			h.arrivals = nil
			in := h.message("hello")
			tt.change(&in)
			ack := h.take(in)
			if refused := ack.Status == plugin.Refused; refused != (tt.code != "") || ack.Code != tt.code {
				t.Errorf("got %+v, want code %q", ack, tt.code)
			}
			if arrived := len(h.arrivals) == 1; arrived != (tt.code == "") {
				t.Errorf("it arrived: %v", arrived)
			}
			if kept := records() - before; kept != tt.kept {
				t.Errorf("%d records on the account's stream, want %d", kept, tt.kept)
			}
		})
	}
}

// FT32: early receipts of an id are joined when the id becomes known, and the status that goes
// furthest wins.
func TestEarlyReceiptIsJoined(t *testing.T) {
	h := newHouse(t)
	for _, s := range []conversation.Status{conversation.StatusDelivered, conversation.StatusSent} {
		if ack := h.take(h.status("m1", s)); ack.Status != plugin.Committed {
			t.Fatalf("early receipt %s: got %+v, want committed", s, ack)
		}
	}
	command := [16]byte{7}
	row := eventlog.OutboxRow{CommandID: command, Account: eventlog.StreamID(h.text.ID), Conversation: eventlog.StreamID{9}, Seq: 4}
	res := plugin.CommandResult{Command: command, Outcome: conversation.StatusUnknown, ProviderIDs: []string{"m1", "m2", "m1", ""}}
	update := eventlog.OutboxUpdate{CommandID: command, State: eventlog.OutboxUnknown}
	var answer error
	h.g.Tell(row, res, update, func(_ uint64, err error) { answer = err })
	w := h.word()
	if len(w.Keys) != 2 || w.Message != 4 {
		t.Fatalf("got %d keys for message %d, want 2 for 4", len(w.Keys), w.Message)
	}
	for range 2 { // Decide is called anew after a conflict, and must decide the same
		d, err := w.Decide(&conversation.State{}, w.Keys)
		if err != nil {
			t.Fatal(err)
		}
		if d.Status.Message != command || d.Status.Status != conversation.StatusDelivered || d.Status.Code != "30003" {
			t.Errorf("status: got %+v, want delivered with the receipt's code", d.Status)
		}
		if len(d.Outbox) != 1 || d.Outbox[0].State != eventlog.OutboxSettled {
			t.Errorf("row: got %+v, want settled: the provider has the message", d.Outbox)
		}
		if len(d.Receipts) != 2 || d.Receipts[0].Seen != 2 || d.Receipts[1].Seen != 0 {
			t.Errorf("joins: got %+v, want 2 seen of the first id and none of the second", d.Receipts)
		}
	}
	w.Done(0, ingest.ErrNotFollowed)
	if !errors.Is(answer, outbox.ErrNotFollowed) {
		t.Errorf("answer: got %v, want ErrNotFollowed", answer)
	}
}

// A key that is bound says nothing of a message's other keys, so the status is written again with
// those that are left.
func TestBoundKeysAreLeftOut(t *testing.T) {
	h := newHouse(t)
	row := eventlog.OutboxRow{CommandID: [16]byte{7}, Account: eventlog.StreamID(h.text.ID), Conversation: eventlog.StreamID{9}, Seq: 1}
	res := plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: []string{"m1", "m2"}}
	told := 0
	h.g.Tell(row, res, eventlog.OutboxUpdate{}, func(seq uint64, err error) {
		if told++; seq != 5 || err != nil {
			t.Errorf("answer: got %d, %v, want 5", seq, err)
		}
	})
	first := h.word()
	_, err := h.log.Append(t.Context(), &eventlog.Batch{
		Streams:  []eventlog.StreamAppend{{Stream: row.Conversation, Events: []eventlog.Event{{Type: "x/1", At: time.Now(), Head: []byte("{}")}}}},
		External: []eventlog.ExternalID{{Account: row.Account, Key: first.Keys[0], Stream: row.Conversation, Index: 0}},
	})
	if err != nil {
		t.Fatal(err)
	}
	first.Done(0, ingest.ErrBound)
	again := h.word()
	if len(h.words) != 2 || len(again.Keys) != 1 || again.Keys[0] != first.Keys[1] {
		t.Fatalf("after %d words: keys %x, want the second one only", len(h.words), again.Keys)
	}
	again.Done(5, nil)
	if told != 1 {
		t.Errorf("answered %d times, want once", told)
	}
}
