package router_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

// PR3: two sockets of one visitor send the same start and the same end at once, in every order that
// keeps each socket's own. Every event is answered, and one start and one end are stored.
func TestStartAndEndTwiceAtOnce(t *testing.T) {
	for _, text := range []string{"", "hello"} {
		for _, c := range []string{"aabb", "abab", "abba"} {
			t.Run(fmt.Sprintf("%q in the order %s", text, c), func(t *testing.T) {
				w := newWorld(t, nil)
				r := w.start("n1")
				for i := range 20 {
					w.twice(r, fmt.Sprintf("v%d", i), text, c)
				}
			})
		}
	}
}

// twice sends the start and the end of a thread twice, a's and b's, without waiting for an answer.
func (w *world) twice(r *router.Router, thread, text, turns string) {
	w.t.Helper()
	event := func(key string, action plugin.CustomerAction) plugin.Inbound {
		return plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: thread, DedupeKey: thread + "/" + key, Repeats: true, Action: &action}
	}
	start := plugin.StartAction{Body: conversation.StartedBody{Name: "Z", Address: "web:" + thread}, ClientID: "A"}
	if text != "" {
		start.Parts = textParts(text)
	}
	both := []plugin.Inbound{event("A", plugin.CustomerAction{Start: &start}), event("E", plugin.CustomerAction{End: true})}
	type item struct {
		in  plugin.Inbound
		ack plugin.Ack
	}
	var waiting []item // not answered for good, in the order of the first sending
	sent := map[rune]int{}
	for _, socket := range turns {
		waiting = append(waiting, item{in: both[sent[socket]]})
		sent[socket]++
	}
	committed := 0
	deadline := time.Now().Add(10 * time.Second)
	for len(waiting) > 0 {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not answered for good after 10 s: %+v", thread, waiting)
		}
		acks := make(chan int, len(waiting))
		for i := range waiting {
			r.Ingest(context.Background(), waiting[i].in, func(a plugin.Ack) {
				waiting[i].ack = a
				acks <- i
			})
		}
		for range waiting {
			<-acks
		}
		rest := waiting[:0:0]
		for _, it := range waiting {
			switch it.ack.Status {
			case plugin.Committed:
				committed++
			case plugin.Retry:
				w.t.Logf("%s: %s is to come again: %s", thread, it.in.DedupeKey, it.ack.Code)
				rest = append(rest, it)
			}
		}
		waiting = rest
	}
	if committed > 2 {
		w.t.Errorf("%s: %d committed, want a start and an end", thread, committed)
	}
}

// PR3: a thread that a conversation of an earlier version still holds in the log, although it has
// ended, is freed for the customer's next start.
func TestThreadHeldByEndedConversation(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	ctx := context.Background()
	first := w.startChat(r, "v", "", "hello").Conversation
	row, err := w.log.Conversation(ctx, eventlog.StreamID(first))
	must(t, err)
	s, err := conversation.DecodeState(row.State)
	must(t, err)
	thread := eventlog.Thread{Account: eventlog.StreamID(w.chat.ID), Conversation: eventlog.StreamID(first)}
	_, err = hex.Decode(thread.Key[:], []byte(s.Endpoints[0].Thread))
	must(t, err)
	if a := ingest(r, plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", DedupeKey: "e", Action: &plugin.CustomerAction{End: true}}); a.Status != plugin.Committed {
		t.Fatalf("end: %+v", a)
	}
	w.stop(r)
	_, err = w.log.Append(ctx, &eventlog.Batch{OpenThreads: []eventlog.Thread{thread}})
	must(t, err)
	r = w.start("n1")
	in := plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: "v", DedupeKey: "again",
		Action: &plugin.CustomerAction{Start: &plugin.StartAction{Body: conversation.StartedBody{Address: "web:v"}, ClientID: "s2", Parts: textParts("hi")}}}
	var a plugin.Ack
	eventually(t, "start that is taken", func() bool {
		a = ingest(r, in)
		return a.Status != plugin.Retry
	})
	if a.Status != plugin.Committed || a.Conversation == first {
		t.Errorf("start: %+v, want another conversation than %s", a, first)
	}
}

// A retry of what is in the log is answered as a repeat, although the same would be refused now: the
// template is paused, the agent has left and logged out.
func TestRepeatsThatWouldBeRefused(t *testing.T) {
	w := newWorld(t, nil)
	r := w.start("n1")
	r.PluginReady("text", "g1", newPort(templatesInfo()))
	conv, ana, ctx := w.textChat(r), w.agents["ana"], t.Context()
	known := plugin.Template{Name: "hello", Language: "en", Body: "Hello", Status: "approved"}
	r.Templates(w.text.ID, []plugin.Template{known})
	req := func(id string, parts []conversation.Part) router.SendRequest {
		return router.SendRequest{Conversation: conv, Agent: ana, ClientID: id, Parts: parts}
	}
	form := template(conversation.Template{Name: "hello", Language: "en"})
	all := map[string]func() (conversation.MessageID, error){
		"message": func() (conversation.MessageID, error) {
			s, err := r.Send(ctx, req("m1", textParts("x")))
			return s.Message, err
		},
		"note": func() (conversation.MessageID, error) {
			s, err := r.AddNote(ctx, req("m1", textParts("x")))
			return s.Message, err
		},
		"template": func() (conversation.MessageID, error) { s, err := r.Send(ctx, req("m2", form)); return s.Message, err },
		"exchange": func() (conversation.MessageID, error) {
			out, err := r.StartOutbound(ctx, router.OutboundRequest{Agent: ana, Service: w.service.ID, To: "+15005550006", Parts: form, ClientID: "o1"})
			return out.Message, err
		},
	}
	first := map[string]conversation.MessageID{}
	for name, do := range all {
		id, err := do()
		must(t, err)
		first[name] = id
	}
	known.Status = "paused"
	r.Templates(w.text.ID, []plugin.Template{known})
	must(t, r.Logout(ctx, ana))
	for name, do := range all {
		if id, err := do(); err != nil || id != first[name] {
			t.Errorf("%s again: got %s, %v, want %s", name, id, err, first[name])
		}
	}
	if _, err := r.Send(ctx, req("m3", textParts("x"))); router.Code(err) != "not_joined" {
		t.Errorf("another message: got %v, want not_joined", err)
	}
}
