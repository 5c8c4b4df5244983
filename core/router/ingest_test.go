package router_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/plugin"
)

func TestStartAndMessages(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ack := w.startChat(r, "v1", "Cora", "hello")
	if ack.Status != plugin.Committed {
		t.Fatalf("start: got %+v, want committed", ack)
	}
	for i := range 5 {
		if a := w.message(r, "v1", fmt.Sprint(i), "text"); a.Status != plugin.Committed || a.Conversation != ack.Conversation {
			t.Fatalf("message %d: got %+v, want committed in %s", i, a, ack.Conversation)
		}
	}
	// B1: the text of the form is the first message; PR3: a repeat is the same event.
	again := w.message(r, "v1", "3", "text")
	if again.Status != plugin.Duplicate || again.Conversation != ack.Conversation || again.Seq == 0 {
		t.Errorf("repeat: got %+v, want duplicate in %s", again, ack.Conversation)
	}
	n := 0
	for _, typ := range types(t, r, ack.Conversation) {
		if typ == string(conversation.TypeMessage) {
			n++
		}
	}
	if n != 6 {
		t.Errorf("messages: got %d, want 6", n)
	}
}

// PR3: the same event five times at once over two nodes is one event.
func TestRepeatsAtOnceOnTwoNodes(t *testing.T) {
	w := newWorld(t, nil)
	nodes := []interface {
		Ingest(context.Context, plugin.Inbound, func(plugin.Ack))
	}{w.start("n1"), w.start("n2")}
	in := plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", DedupeKey: "start",
		Action: &plugin.CustomerAction{Start: &plugin.StartAction{Body: conversation.StartedBody{Address: "web:v"}, Parts: textParts("x")}}}
	acks := make([]plugin.Ack, 10)
	var wg sync.WaitGroup
	for i := range acks {
		wg.Add(1)
		nodes[i%2].Ingest(context.Background(), in, func(a plugin.Ack) { acks[i] = a; wg.Done() })
	}
	wg.Wait()
	committed := 0
	for i, a := range acks {
		if a.Status == plugin.Committed {
			committed++
		} else if a.Status != plugin.Duplicate {
			t.Errorf("ack %d: got %+v, want committed or duplicate", i, a)
		}
		if a.Conversation != acks[0].Conversation {
			t.Errorf("ack %d is about conversation %s, the first about %s", i, a.Conversation, acks[0].Conversation)
		}
	}
	if committed != 1 {
		t.Errorf("committed %d times, want once", committed)
	}
}

// PR7: a hundred first messages of one visitor over two nodes open one conversation.
func TestOneOpenConversationPerThread(t *testing.T) {
	w := newWorld(t, nil)
	a, b := w.start("n1"), w.start("n2")
	var mu sync.Mutex
	seen := map[conversation.ConversationID]int{}
	var wg sync.WaitGroup
	for i := range 100 {
		r := a
		if i%2 == 1 {
			r = b
		}
		wg.Add(1)
		in := plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", DedupeKey: fmt.Sprint("start", i),
			Action: &plugin.CustomerAction{Start: &plugin.StartAction{Body: conversation.StartedBody{Address: "web:v"}, Parts: textParts(fmt.Sprint(i))}}}
		r.Ingest(context.Background(), in, func(ack plugin.Ack) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			if ack.Status != plugin.Committed {
				t.Errorf("first message: got %+v, want committed", ack)
			}
			seen[ack.Conversation]++
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Fatalf("conversations: got %d, want 1", len(seen))
	}
	for id := range seen {
		msgs := 0
		for _, typ := range types(t, a, id) {
			if typ == string(conversation.TypeMessage) {
				msgs++
			}
		}
		if msgs != 100 {
			t.Errorf("messages: got %d, want 100", msgs)
		}
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	huge := make([]byte, 65<<10)
	for i := range huge {
		huge[i] = 'a'
	}
	for name, c := range map[string]struct {
		in   plugin.Inbound
		code string
	}{
		"unknown account":  {plugin.Inbound{Plugin: "chat", Account: conversation.NewID[conversation.AccountID](), Thread: "x", Message: &plugin.InboundMessage{Parts: textParts("x")}}, "unknown_account"},
		"other's account":  {plugin.Inbound{Plugin: "text", Account: w.chat.ID, Thread: "x", Message: &plugin.InboundMessage{Parts: textParts("x")}}, "unknown_account"},
		"no thread":        {plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Message: &plugin.InboundMessage{Parts: textParts("x")}}, "invalid"},
		"no parts":         {w.chatMessage("x", "0", ""), "invalid"},
		"too large":        {w.chatMessage("x", "1", string(huge)), "too_large"},
		"broken UTF-8":     {w.chatMessage("x", "2", "a\xffb"), "invalid"},
		"no conversation":  {w.chatMessage("x", "3", "hi"), "ended"},
		"result of nobody": {plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Result: &plugin.CommandResult{Command: [16]byte{9}, Outcome: conversation.StatusSent}}, "unknown_command"},
		"status of nobody": {plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Status: &plugin.DeliveryStatus{Command: [16]byte{9}, Status: conversation.StatusDelivered}}, "unknown_message"},
		"status unknown":   {plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Status: &plugin.DeliveryStatus{ProviderID: "x", Status: "eaten"}}, "invalid"},
		"status of what":   {plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Status: &plugin.DeliveryStatus{Status: conversation.StatusSent}}, "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			if a := ingest(r, c.in); a.Status != plugin.Refused || a.Code != c.code {
				t.Errorf("got %+v, want refused %q", a, c.code)
			}
		})
	}
	// N7, Y5: a refusal on a known account is recorded in the account's stream.
	recs, err := w.log.Read(context.Background(), eventlog.StreamID(w.chat.ID), 0, 100)
	if err != nil || len(recs) == 0 {
		t.Fatalf("account's log: %d records, %v", len(recs), err)
	}
	for _, rec := range recs {
		if rec.Type != "account.refused/1" || !json.Valid(rec.Head) {
			t.Errorf("account's log has %s with head %s", rec.Type, rec.Head)
		}
	}
}

// A refused event is taken when it is sent again and can be taken now (B9), as one message however
// often it is repeated (PR3). A repeat of an event on the account's own stream is answered without
// a conversation.
func TestRefusedBefore(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	r.PluginReady("text", "text-1", newPort(textInfo()))
	refused := w.chatMessage("v", "m1", "anybody there?")
	for range 2 {
		if a := ingest(r, refused); a.Status != plugin.Refused || a.Code != "ended" {
			t.Fatalf("without a conversation: got %+v, want refused", a)
		}
	}
	if recs, err := w.log.Read(context.Background(), eventlog.StreamID(w.chat.ID), 0, 100); err != nil || len(recs) != 1 {
		t.Errorf("the account's log has %d refusals, want one for two tries (%v)", len(recs), err)
	}
	start := w.startChat(r, "v", "", "hello")
	first := ingest(r, refused)
	if first.Status != plugin.Committed || first.Conversation != start.Conversation {
		t.Errorf("now that one is open: got %+v, want committed in %s", first, start.Conversation)
	}
	if again := ingest(r, refused); again.Status != plugin.Duplicate || again.Conversation != start.Conversation || again.Seq != first.Seq {
		t.Errorf("a repeat: got %+v, want the message of %+v", again, first)
	}

	stop := plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: "+491", DedupeKey: "stop",
		Action: &plugin.CustomerAction{OptOut: &plugin.OptOut{Out: true, Keyword: "STOP"}}}
	if a := ingest(r, stop); a.Status != plugin.Committed {
		t.Fatalf("an opt-out without a conversation: got %+v, want committed", a)
	}
	ingest(r, w.smsMessage("+491", "hi"))
	if a := ingest(r, stop); a.Status != plugin.Duplicate || !a.Conversation.IsZero() || a.Seq != 0 {
		t.Errorf("its repeat while one is open: got %+v, want a duplicate of no conversation's record", a)
	}
}

// A repeat of a message that was committed before the conversation ended is answered with that
// message's record, and is not refused.
func TestRepeatAfterTheEnd(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	start := w.startChat(r, "v", "", "")
	first := w.message(r, "v", "m1", "hi")
	end := ingest(r, plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", Action: &plugin.CustomerAction{End: true}})
	if end.Status != plugin.Committed {
		t.Fatalf("end: %+v", end)
	}
	if again := w.message(r, "v", "m1", "hi"); again.Status != plugin.Duplicate || again.Seq != first.Seq || again.Conversation != start.Conversation {
		t.Errorf("repeat after the end: got %+v, want duplicate of seq %d", again, first.Seq)
	}
	if late := w.message(r, "v", "m2", "hi"); late.Status != plugin.Refused || late.Code != "ended" {
		t.Errorf("new message after the end: got %+v, want refused ended", late)
	}
	if next := w.startChat(r, "v2", "", "again"); next.Conversation == start.Conversation || next.Status != plugin.Committed {
		t.Errorf("a new chat: got %+v", next)
	}
}

// A start that is repeated is answered with its own record, whether its conversation is open, has
// ended, or was followed by another one. A second start is not answered before the first one, which
// is on its way to the disk, is stored.
func TestStartAgain(t *testing.T) {
	log := &heldLog{Log: memlog.New()}
	t.Cleanup(func() { _ = log.Close() })
	w := newWorld(t, log)
	r := w.start("n1")
	start := func(key string) plugin.Inbound {
		return plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", DedupeKey: key, Action: &plugin.CustomerAction{Start: &plugin.StartAction{}}}
	}
	log.hold.Lock()
	acks := make(chan plugin.Ack, 2)
	r.Ingest(t.Context(), start("s"), func(a plugin.Ack) { acks <- a })
	r.Ingest(t.Context(), start("other"), func(a plugin.Ack) { acks <- a })
	<-time.After(50 * time.Millisecond)
	if n := len(acks); n > 0 {
		t.Errorf("before the first is stored: %d answers, want none", n)
	}
	log.hold.Unlock()
	first, second := <-acks, <-acks
	if first.Status != plugin.Committed || second.Status != plugin.Duplicate || second.Conversation != first.Conversation || second.Seq != 0 {
		t.Errorf("start, and another beside it: got %+v and %+v, want it committed and no record for the other", first, second)
	}
	if again := ingest(r, start("s")); again.Status != plugin.Duplicate || again.Conversation != first.Conversation || again.Seq != first.Seq {
		t.Errorf("again: got %+v, want a duplicate of %+v", again, first)
	}
	ingest(r, plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", Action: &plugin.CustomerAction{End: true}})
	if next := ingest(r, start("t")); next.Status != plugin.Committed || next.Conversation == first.Conversation {
		t.Fatalf("after the end: got %+v, want another conversation", next)
	}
	if again := ingest(r, start("s")); again.Status != plugin.Duplicate || again.Conversation != first.Conversation || again.Seq != first.Seq {
		t.Errorf("again beside the next one: got %+v, want a duplicate of %+v", again, first)
	}
}

// DESIGN.md 5: a conversation's row, which a start reads, equals the fold of its events.
func TestRowsEqualTheFold(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	id := w.startChat(r, "v", "Cora", "hello").Conversation
	for i := range 300 { // enough events for the row to be written again
		w.message(r, "v", fmt.Sprint(i), "text")
	}
	row, err := w.log.Conversation(ctx, eventlog.StreamID(id))
	if err != nil {
		t.Fatal(err)
	}
	var state conversation.State
	if err := json.Unmarshal(row.State, &state); err != nil {
		t.Fatal(err)
	}
	recs, err := w.log.Read(ctx, eventlog.StreamID(id), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var fold conversation.State
	for _, rec := range recs[:row.Seq] {
		h, err := conversation.DecodeHead(conversation.Type(rec.Type), rec.Head)
		if err != nil {
			t.Fatal(err)
		}
		if fold.ID.IsZero() {
			fold.ID = id
		}
		if err := fold.Apply(conversation.Event{Seq: rec.Seq, At: rec.At.UTC(), Head: h}); err != nil {
			t.Fatal(err)
		}
	}
	a, _ := json.Marshal(state)
	b, _ := json.Marshal(fold)
	if string(a) != string(b) {
		t.Errorf("row and fold differ:\nrow  %s\nfold %s", a, b)
	}
	if row.Seq < 200 {
		t.Errorf("row at seq %d of %d: a load would fold too much", row.Seq, len(recs))
	}
}
