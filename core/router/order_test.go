package router_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
)

// heldLog makes appends wait while hold is locked.
type heldLog struct {
	*memlog.Log
	hold sync.RWMutex
}

func (l *heldLog) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	l.hold.RLock()
	defer l.hold.RUnlock()
	return l.Log.Append(ctx, b)
}

func (w *world) smsMessage(thread, id string) plugin.Inbound {
	return plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: thread, DedupeKey: thread + "/" + id,
		Message: &plugin.InboundMessage{Address: thread, Parts: textParts(id)}}
}

// Y3: texts that were on their way to a conversation when it ended go to the next conversation, in
// the order in which they came, and no later text overtakes them.
func TestOrderOverTheEnd(t *testing.T) {
	log := &heldLog{Log: memlog.New()}
	t.Cleanup(func() { _ = log.Close() })
	w := newWorld(t, log)
	r := w.start("n1")
	r.PluginReady("text", "text-1", newPort(textInfo()))
	ctx := context.Background()
	for round := range 20 {
		th := fmt.Sprint("+49", round)
		first := ingest(r, w.smsMessage(th, "first"))
		var wg sync.WaitGroup
		send := func(in plugin.Inbound) {
			wg.Add(1)
			r.Ingest(ctx, in, func(a plugin.Ack) {
				if a.Status != plugin.Committed {
					t.Errorf("event: got %+v, want committed", a)
				}
				wg.Done()
			})
		}
		log.hold.Lock()
		send(plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: th, Action: &plugin.CustomerAction{End: true}})
		var want []string
		for i := range 40 {
			if i == 20 {
				log.hold.Unlock() // from here on the answers come between further texts
			}
			want = append(want, fmt.Sprint(i))
			send(w.smsMessage(th, fmt.Sprint(i)))
		}
		wg.Wait()
		next, err := r.OpenConversation(ctx, w.text.ID, th)
		must(t, err)
		if next == first.Conversation {
			t.Fatal("the conversation has not ended")
		}
		var got []string
		recs, err := r.Records(ctx, next, conversation.AudienceAudit, 0, 1000)
		must(t, err)
		for _, rec := range recs {
			if rec.Type == conversation.TypeMessage {
				got = append(got, partText(t, rec))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: the next conversation has %v, want %v", round, got, want)
		}
	}
}

// A reader that waits on a thread does not disturb the start of a conversation there.
func TestStartUnderReaders(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	for i := range 100 {
		s, reader := w.subscribe(r, thread(i), 100, conversation.ConversationID{}, 0)
		if a := w.startChat(r, thread(i), "", "hello"); a.Status != plugin.Committed {
			t.Fatalf("start %d: got %+v, want committed", i, a)
		}
		eventually(t, "message at the reader", func() bool { return s.messages() == 1 })
		reader.Close()
	}
}

// Events are acknowledged with the published codes.
func TestAcknowledgements(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	r.PluginReady("text", "text-1", newPort(textInfo()))
	w.startChat(r, "open", "", "hello")
	w.startChat(r, "over", "", "hello")
	end := func(th string) plugin.Inbound {
		return plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: th, Action: &plugin.CustomerAction{End: true}}
	}
	ingest(r, end("over"))
	long := w.chatMessage("open", "long", string(make([]byte, 65<<10)))
	many := w.chatMessage("open", "many", "x")
	many.Message.Parts = slices.Repeat(textParts("x"), 33)
	foreign := w.chatMessage("open", "foreign", "x")
	foreign.Plugin = "text"
	file := w.chatMessage("open", "file", "")
	file.Message.Parts = []conversation.Part{{Kind: conversation.PartFile, File: &conversation.File{Blob: conversation.NewID[conversation.BlobID]()}}}
	result := plugin.Inbound{Plugin: "text", Account: w.text.ID, Result: &plugin.CommandResult{Command: [16]byte{1}, Outcome: conversation.StatusSent}}
	status := plugin.Inbound{Plugin: "text", Account: w.text.ID, Status: &plugin.DeliveryStatus{ProviderID: "never seen", Status: conversation.StatusDelivered}}
	deferred := plugin.Inbound{Plugin: "text", Account: w.text.ID, DedupeKey: "d1", Deferred: []byte("opaque")}
	for _, c := range []struct {
		name   string
		in     plugin.Inbound
		status plugin.AckStatus
		code   string
	}{
		{"message", w.chatMessage("open", "m1", "hi"), plugin.Committed, ""},
		{"repeat", w.chatMessage("open", "m1", "hi"), plugin.Duplicate, ""},
		{"second start", plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "open", Action: &plugin.CustomerAction{Start: &plugin.StartAction{}}}, plugin.Duplicate, ""},
		{"after the end", w.chatMessage("over", "late", "hi"), plugin.Refused, "ended"},
		{"without a chat", w.chatMessage("nobody", "m1", "hi"), plugin.Refused, "ended"},
		{"end", end("open"), plugin.Committed, ""},
		{"second end", end("open"), plugin.Refused, "ended"},
		{"too long", long, plugin.Refused, "too_large"},
		{"too many parts", many, plugin.Refused, "too_large"},
		{"no parts", plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "open", Message: &plugin.InboundMessage{}}, plugin.Refused, "invalid"},
		{"no thread", w.chatMessage("", "m1", "hi"), plugin.Refused, "invalid"},
		{"not UTF-8", w.chatMessage("open", "bad", "\xff"), plugin.Refused, "invalid"},
		{"unknown account", plugin.Inbound{Plugin: "chat", Thread: "open", Message: &plugin.InboundMessage{Parts: textParts("x")}}, plugin.Refused, "unknown_account"},
		{"another plugin's account", foreign, plugin.Refused, "unknown_account"},
		{"unknown command", result, plugin.Refused, "unknown_command"},
		{"status before its id is known", status, plugin.Committed, ""},
		{"text opens a conversation", w.smsMessage("+491", "m1"), plugin.Committed, ""},
		{"deferred", deferred, plugin.Committed, ""},
		{"deferred again", deferred, plugin.Duplicate, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ingest(r, c.in); got.Status != c.status || got.Code != c.code {
				t.Errorf("got %v %q, want %v %q", got.Status, got.Code, c.status, c.code)
			}
		})
	}
	w.startChat(r, "files", "", "hello")
	file.Thread = "files"
	if got := ingest(r, file); got.Status != plugin.Committed {
		t.Errorf("a file where none are kept: got %v %q, want committed, with a part that says so", got.Status, got.Code)
	}
}

func partText(t *testing.T, rec readers.Record) string {
	t.Helper()
	var m conversation.MessageBody
	unmarshal(t, rec.Body, &m)
	return m.Parts[0].Text
}

// Messages are stored as encoding/json writes them, whichever way they were encoded.
func TestMessageEncoding(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	w.startChat(r, "v", "", "")
	for i, c := range []conversation.MessageBody{
		{Parts: textParts("plain")},
		{Parts: textParts("plain"), Name: "Cora Lee"},
		{Parts: textParts("plain"), Name: "Zoë"},
		{Parts: textParts(`quo"ted`)},
		{Parts: textParts(`back\slash`)},
		{Parts: textParts("a < b & c > d")},
		{Parts: textParts("two\nlines\tand a tab")},
		{Parts: textParts("grüße \U0001F600 \u2028")},
		{Parts: append(textParts("one"), textParts("two")...)},
		{Parts: []conversation.Part{{Kind: conversation.PartRichText, Text: "bold", HTML: "<b>bold</b>"}}},
		{Parts: []conversation.Part{{Kind: conversation.PartText, Text: "here", Location: &conversation.Location{}}}},
	} {
		in := w.chatMessage("v", fmt.Sprint(i), "")
		in.Message.Parts, in.Message.Name = c.Parts, c.Name
		a := ingest(r, in)
		if a.Status != plugin.Committed {
			t.Errorf("message %d: got %+v, want committed", i, a)
			continue
		}
		recs, err := r.Records(context.Background(), a.Conversation, conversation.AudienceAgent, a.Seq-1, 1)
		must(t, err)
		if got, want := string(recs[0].Body), encoded(t, c); got != want {
			t.Errorf("message %d:\n got %s\nwant %s", i, got, want)
		}
	}
}
