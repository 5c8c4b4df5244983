package router_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
)

func benchRouter(b *testing.B) (*world, *router.Router) {
	b.Helper()
	w := newWorld(b, nil)
	r, err := router.New(router.Options{Node: "n1", Log: w.log, Vault: &plainVault{}, Directory: w.dir, Bus: w.bus, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = r.Stop(context.Background()) })
	r.PluginReady("chat", "chat-1", &port{info: plugin.Info{ID: "chat", Capabilities: conversation.Capabilities{Text: true, Connected: true}}})
	return w, r
}

// BenchmarkIngest measures a customer's message from the plugin to its acknowledgement, over a log
// in memory: what the router itself costs, one message at a time.
func BenchmarkIngest(b *testing.B) {
	w, r := benchRouter(b)
	w.startChat(r, "v", "Cora", "hello")
	in := w.chatMessage("v", "m", "How long does the delivery take?")
	in.DedupeKey = ""
	ch := make(chan plugin.Ack, 1)
	done := func(a plugin.Ack) { ch <- a }
	b.ReportAllocs()
	for b.Loop() {
		r.Ingest(context.Background(), in, done)
		if a := <-ch; a.Status != plugin.Committed {
			b.Fatalf("got %+v", a)
		}
	}
}

// BenchmarkIngestPipelined keeps a window of 32 messages under way.
func BenchmarkIngestPipelined(b *testing.B) {
	w, r := benchRouter(b)
	w.startChat(r, "v", "Cora", "hello")
	in := w.chatMessage("v", "m", "How long does the delivery take?")
	in.DedupeKey = ""
	room := make(chan struct{}, 32)
	done := func(plugin.Ack) { <-room }
	b.ReportAllocs()
	for b.Loop() {
		room <- struct{}{}
		r.Ingest(context.Background(), in, done)
	}
	for range cap(room) {
		room <- struct{}{}
	}
}

// BenchmarkFeedPoll measures a Poll that finds one new message.
func BenchmarkFeedPoll(b *testing.B) {
	w, r := benchRouter(b)
	a := w.startChat(r, "v", "Cora", "hello")
	f := r.NewFeed(w.agents["ana"], conversation.AudienceAgent, func() {})
	defer f.Close()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		f.Add(a.Conversation, a.Seq-1)
		for {
			items, err := f.Poll(ctx, 64)
			if err != nil {
				b.Fatal(err)
			}
			if len(items) == 0 {
				break
			}
		}
	}
}

// endless is a plugin that takes every command.
type endless struct {
	info plugin.Info
	ch   chan plugin.Outbound
}

func (*endless) NoticeBot(plugin.BotNotice) bool { return false }

func (p *endless) Offer(o plugin.Outbound) bool { p.ch <- o; return true }
func (p *endless) Info() plugin.Info            { return p.info }

// BenchmarkReply measures an agent's reply on a store-and-forward channel, from Send to the settled
// outbox row.
func BenchmarkReply(b *testing.B) {
	w, r := benchRouter(b)
	p := &endless{textInfo(), make(chan plugin.Outbound, 16)}
	r.PluginReady("text", "text-1", p)
	conv := w.textChat(r)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		if _, err := r.Send(context.Background(), router.SendRequest{Conversation: conv, Agent: w.agents["ana"], ClientID: strconv.Itoa(n), Parts: textParts("reply")}); err != nil {
			b.Fatal(err)
		}
		cmd := <-p.ch
		if ok, err := r.Begin(context.Background(), w.text.ID, cmd.Command, "text-1"); !ok || err != nil {
			b.Fatal(ok, err)
		}
		if a := w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusSent, ProviderIDs: []string{strconv.Itoa(n)}}); a.Status != plugin.Committed {
			b.Fatal(a)
		}
	}
}
