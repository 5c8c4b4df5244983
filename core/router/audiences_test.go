package router_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
)

// listener keeps what an agent's socket gets of one conversation.
type listener struct {
	mu   sync.Mutex
	recs []readers.Record
}

func (w *world) listen(r *router.Router, conv conversation.ConversationID, a conversation.Audience) func() []readers.Record {
	w.t.Helper()
	l := &listener{}
	wake := make(chan struct{}, 1)
	feed := r.NewFeed(conversation.NewID[conversation.AgentID](), a, func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			items, err := feed.Poll(ctx, 100)
			if err != nil && ctx.Err() == nil {
				w.t.Errorf("poll: %v", err)
				return
			}
			l.mu.Lock()
			for _, it := range items {
				if it.Record != nil {
					l.recs = append(l.recs, *it.Record)
				}
			}
			l.mu.Unlock()
			if len(items) == 0 {
				select {
				case <-wake:
				case <-ctx.Done():
				}
			}
		}
	})
	w.t.Cleanup(func() { cancel(); wg.Wait(); feed.Close() })
	feed.Add(conv, 0)
	return func() []readers.Record {
		l.mu.Lock()
		defer l.mu.Unlock()
		return slices.Clone(l.recs)
	}
}

// DESIGN.md 3, H2-H4, A17: a customer, a bot, an agent and a supervisor read one conversation side by
// side, while a supervisor listens, coaches and barges in, notes are written, and calls and tools for
// each circle begin. Each gets every event of its circle, live and from the log, linked without a
// hole, and nothing else.
func TestAudiencesSideBySide(t *testing.T) {
	w := newWorld(t, nil)
	acc := w.withBot()
	ctx := context.Background()
	people := map[string]conversation.AgentID{}
	for _, login := range []string{"sue", "rita"} {
		people[login] = w.withSupervisor(login)
	}
	r := w.start("n1")
	botReady(r, "parrot-1")
	customer, _ := w.subscribe(r, "v", 1000, conversation.ConversationID{}, 0)
	conv := w.startChat(r, "v", "Cora", "canary-customer").Conversation
	bot, _ := w.readAsBot(r, acc, conv)
	for _, id := range people {
		must(t, r.AgentConnected(ctx, id))
	}
	_, err := r.Join(ctx, people["rita"], conv) // as agent, beside the bot
	must(t, err)
	reads := map[conversation.Audience]func() []readers.Record{
		conversation.AudienceCustomer: func() []readers.Record {
			customer.mu.Lock()
			defer customer.mu.Unlock()
			return slices.Clone(customer.recs)
		},
		conversation.AudienceBot:        func() []readers.Record { bot.mu.Lock(); defer bot.mu.Unlock(); return slices.Clone(bot.recs) },
		conversation.AudienceAgent:      w.listen(r, conv, conversation.AudienceAgent),
		conversation.AudienceSupervisor: w.listen(r, conv, conversation.AudienceSupervisor),
	}

	note := func(by, text string) {
		t.Helper()
		_, err := r.AddNote(ctx, router.SendRequest{Conversation: conv, Agent: people[by], ClientID: text, Parts: textParts(text)})
		must(t, err)
	}
	n := 0
	session := func(a conversation.Audience) {
		t.Helper()
		n++
		id := fmt.Sprintf(`"session":"55000000-0000-7000-8000-%012d","audience":%q`, n, a)
		w.wrote(conv, string(conversation.TypeSessionRequested), `{`+id+`,"kind":"tool","plugin":"canary-tool-`+a.String()+`","by":{"kind":"system"}}`, nil)
		seq := w.wrote(conv, string(conversation.TypeSessionEnded), `{`+id+`,"kind":"tool","by":{"kind":"system"},"cause":"finished"}`, nil)
		eventually(t, "the session's end", func() bool { s := w.info(r, conv); return s.Seq >= seq })
	}
	for _, mode := range []conversation.Mode{conversation.ModeMonitor, conversation.ModeCoach, conversation.ModeBarge, conversation.ModeMonitor, ""} {
		_, err := r.Supervise(ctx, people["sue"], conv, mode)
		must(t, err)
		note("rita", "canary-note by the agent, "+string(mode))
		if mode == conversation.ModeCoach || mode == conversation.ModeBarge {
			note("sue", "canary-note by the supervisor, "+string(mode))
		}
		if mode == conversation.ModeBarge {
			_, err := r.Send(ctx, router.SendRequest{Conversation: conv, Agent: people["sue"], ClientID: "b", Parts: textParts("canary-barge")})
			must(t, err)
		}
		for a := range reads {
			session(a)
		}
	}
	w.botDoes(r, acc, "a1", botText(conv, "c1", "canary-bot"))
	last := w.message(r, "v", "m2", "canary-last").Seq

	all, err := r.Records(ctx, conv, conversation.AudienceAudit, 0, 1000)
	must(t, err)
	for a, read := range reads {
		eventually(t, fmt.Sprintf("the last message at the %s", a), func() bool {
			recs := read()
			return len(recs) > 0 && recs[len(recs)-1].Seq == last
		})
		live, prev, i := read(), uint64(0), 0
		stored, err := r.Records(ctx, conv, a, 0, 1000)
		must(t, err)
		for _, rec := range all {
			if !a.Sees(headOf(t, rec).Audience()) {
				continue
			}
			for how, recs := range map[string][]readers.Record{"live": live, "from the log": stored} {
				if i >= len(recs) || recs[i].Seq != rec.Seq || recs[i].Prev != prev {
					t.Fatalf("%s, %s: event %d of its circle is %d after %d; got %+v", a, how, i, rec.Seq, prev, recs[min(i, len(recs)-1)])
				}
			}
			prev, i = rec.Seq, i+1
		}
		if len(live) != i || len(stored) != i {
			t.Errorf("%s got %d events live and %d from the log, want %d", a, len(live), len(stored), i)
		}
		// Told in words, so that a circle that is wrong at its root is found too.
		var text strings.Builder
		for _, rec := range live {
			text.Write(rec.Head)
			text.Write(rec.Body)
		}
		agents, supervisors := a.Sees(conversation.AudienceAgent), a.Sees(conversation.AudienceSupervisor)
		for canary, sees := range map[string]bool{
			"canary-customer": true, "canary-bot": true, "canary-barge": true, "canary-last": true, `"mode":"barge"`: true,
			"canary-note": agents, `"mode":"coach"`: agents, `"mode":"monitor"`: supervisors,
			"canary-tool-customer": true, "canary-tool-bot": a.Sees(conversation.AudienceBot), "canary-tool-agent": agents, "canary-tool-supervisor": supervisors,
		} {
			if strings.Contains(text.String(), canary) != sees {
				t.Errorf("%s reads %s: %t, want %t", a, canary, !sees, sees)
			}
		}
	}
}

// H3: an agent who ends a conversation, or joins it, is answered with the last event that agents see,
// although somebody who listens has left after it.
func TestAnswersHideTheListener(t *testing.T) {
	w := newWorld(t, nil)
	ctx := context.Background()
	sue := w.withSupervisor("sue")
	r := w.start("n1")
	must(t, r.AgentConnected(ctx, sue))
	x := w.talk(t, r, "ana", "v")
	_, err := r.Supervise(ctx, sue, x.conv, conversation.ModeMonitor)
	must(t, err)
	seq, err := r.Leave(ctx, x.agent, x.conv, false)
	must(t, err)
	recs, err := r.Records(ctx, x.conv, conversation.AudienceAgent, 0, 1000)
	must(t, err)
	if last := recs[len(recs)-1].Seq; seq != last {
		t.Errorf("answered with %d, want %d, the last event that agents see", seq, last)
	}
	if s := w.info(r, x.conv); s.Seq == seq {
		t.Error("the listener did not leave after the agent, so this test shows nothing")
	}
}

// H4, promises.md 4.3: a note and its attachments are committed together; a retry is the same note; who
// may not write a note takes no attachment.
func TestAttachmentOfANote(t *testing.T) {
	f := newFiling(t, nil)
	r := f.start("n1")
	x := f.talk(t, r, "ana", "v")
	put := func() conversation.File {
		t.Helper()
		file, err := f.store.Put(context.Background(), blob.Owner{Conversation: x.conv, Account: f.chat.ID, Uploader: x.agent}, "a.txt", "text/plain", strings.NewReader("for us"))
		must(t, err)
		return file
	}
	file, other := put(), put()
	add := func(by conversation.AgentID, file conversation.File) (router.Sent, error) {
		return r.AddNote(context.Background(), router.SendRequest{Conversation: x.conv, Agent: by, ClientID: "n",
			Parts: []conversation.Part{{Kind: conversation.PartFile, File: &file}}})
	}
	first, err := add(x.agent, file)
	must(t, err)
	conv, err := blob.Named(f.log, f.vault)(context.Background(), file.Blob)
	if err != nil || conv != x.conv {
		t.Errorf("the log says that the attachment belongs to %s, %v", conv, err)
	}
	if row := f.row(file.Blob); !row.Used {
		t.Errorf("the attachment is %+v, want used", row)
	}
	if again, err := add(x.agent, file); err != nil || again != first {
		t.Errorf("a retry is %+v, %v; want %+v", again, err, first)
	}
	if _, err := add(f.agents["ben"], other); conversation.Code(err) != "not_joined" {
		t.Errorf("a note of a stranger: %v", err)
	}
	if row := f.row(other.Blob); row.Used {
		t.Error("a refused note took its attachment")
	}
	if _, err := r.AddNote(context.Background(), router.SendRequest{Conversation: x.conv, Agent: x.agent, ClientID: "l",
		Parts: []conversation.Part{{Kind: conversation.PartLocation, Location: &conversation.Location{}}}}); conversation.Code(err) != "unsupported" {
		t.Errorf("a note of a place: %v", err)
	}
}
