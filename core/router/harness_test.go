package router_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/vault"
)

func TestMain(m *testing.M) {
	if os.Getenv(killEnv) != "" {
		if strings.HasPrefix(os.Getenv(killEnv), rewriting) {
			rewriteAndDie()
		}
		takeAndDie()
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("modernc.org/libc.(*TLS).Close"))
}

// world is an installation without processes: a log, keys, records, and one or more routers over
// them.
type world struct {
	t       testing.TB
	log     eventlog.Log
	vault   *vault.Vault
	lost    *lostKeys // the vault that the routers get; nil: vault
	dir     *directory.Directory
	bus     *bus.Local
	blobs   router.Blobs // nil: the routers have no attachments
	service directory.Service
	chat    directory.Account // an account of a connected channel
	text    directory.Account // an account of a store-and-forward channel
	agents  map[string]conversation.AgentID
	now     func() time.Time // the routers' clock; nil: the system's
}

func newWorld(t testing.TB, log eventlog.Log) *world {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	v, err := vault.Open(ctx, vault.Options{Path: filepath.Join(dir, "keys.db"), Master: make([]byte, 32)})
	if err != nil {
		t.Fatalf("open vault: %v", err)
	}
	t.Cleanup(func() { _ = v.Close() })
	d, err := directory.Open(ctx, directory.Options{DSN: filepath.Join(dir, "records.db"), Vault: v, Poll: -1})
	if err != nil {
		t.Fatalf("open directory: %v", err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if log == nil {
		log = memlog.New()
		t.Cleanup(func() { _ = log.Close() })
	}
	w := &world{t: t, log: log, vault: v, dir: d, bus: bus.NewLocal(), agents: map[string]conversation.AgentID{}}
	t.Cleanup(func() { _ = w.bus.Close() })
	for _, login := range []string{"ana", "ben", "cem"} {
		u, err := d.PutUser(ctx, directory.User{Login: login, Name: "Agent " + login, Role: directory.RoleAgent})
		if err != nil {
			t.Fatalf("put user: %v", err)
		}
		w.agents[login] = u.ID
	}
	rules := directory.DefaultRules()
	rules.WrapupLimit = 60_000
	rules.ParkAfter, rules.OwnerFirst = 3_600_000, 60_000
	w.service, err = d.PutService(ctx, directory.Service{
		Name: "Sales", Rules: rules, Users: []conversation.AgentID{w.agents["ana"], w.agents["ben"], w.agents["cem"]},
		Dispositions: []directory.Disposition{{Code: "sold", Name: "Sold"}},
		Texts:        directory.Texts{InactivityWarning: "Are you still there?"},
	})
	if err != nil {
		t.Fatalf("put service: %v", err)
	}
	for name, acc := range map[string]*directory.Account{"chat": &w.chat, "text": &w.text} {
		*acc, err = d.PutAccount(ctx, directory.Account{Plugin: name, Name: name, Service: w.service.ID, Enabled: true}, nil)
		if err != nil {
			t.Fatalf("put account: %v", err)
		}
	}
	return w
}

// start runs a router over the world until the test ends.
func (w *world) start(node string) *router.Router {
	w.t.Helper()
	var keys router.Vault = w.vault
	if w.lost != nil {
		keys = w.lost
	}
	r, err := router.New(router.Options{Node: node, Log: w.log, Vault: keys, Directory: w.dir, Blobs: w.blobs, Bus: w.bus, Now: w.now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatalf("router: %v", err)
	}
	if err := r.Start(context.Background()); err != nil {
		w.t.Fatalf("start: %v", err)
	}
	w.t.Cleanup(func() { w.stop(r) })
	chat := conversation.Capabilities{Text: true, Files: true, Typing: true, Read: true, Page: true, Connected: true, OfferTitle: "Web Chat"}
	r.PluginReady("chat", node+"-chat", &port{info: plugin.Info{ID: "chat", Capabilities: chat}})
	return r
}

func (w *world) stop(r *router.Router) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		w.t.Errorf("stop: %v", err)
	}
}

// port is a plugin that keeps the commands that it is given.
type port struct {
	info plugin.Info
	mu   sync.Mutex
	got  []plugin.Outbound
	full bool
	room int // number of commands that the port still takes; negative = any number
	more chan struct{}
}

func newPort(info plugin.Info) *port {
	return &port{info: info, room: -1, more: make(chan struct{}, 1000)}
}

func (*port) NoticeBot(plugin.BotNotice) bool { return false }

func (p *port) Offer(o plugin.Outbound) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full || p.room == 0 {
		return false
	}
	p.room--
	p.got = append(p.got, o)
	if p.more != nil {
		p.more <- struct{}{}
	}
	return true
}

func (p *port) Info() plugin.Info { return p.info }

// next waits until the port has command n, counted from 0, and returns it.
func (p *port) next(t *testing.T, n int) plugin.Outbound {
	t.Helper()
	for {
		p.mu.Lock()
		if len(p.got) > n {
			defer p.mu.Unlock()
			return p.got[n]
		}
		p.mu.Unlock()
		select {
		case <-p.more:
		case <-time.After(10 * time.Second):
			t.Fatalf("no command %d after 10 s", n)
		}
	}
}

// ingest hands an event to the router and waits for its acknowledgement.
func ingest(r *router.Router, in plugin.Inbound) plugin.Ack {
	ch := make(chan plugin.Ack, 1)
	r.Ingest(context.Background(), in, func(a plugin.Ack) { ch <- a })
	return <-ch
}

func textParts(text string) []conversation.Part {
	return []conversation.Part{{Kind: conversation.PartText, Text: text}}
}

func (w *world) startChat(r *router.Router, thread, name, text string) plugin.Ack {
	in := plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: thread, DedupeKey: thread + "/start",
		Action: &plugin.CustomerAction{Start: &plugin.StartAction{Body: conversation.StartedBody{Name: name, Address: "web:" + thread}, ClientID: "s"}}}
	if text != "" {
		in.Action.Start.Parts = textParts(text)
	}
	return ingest(r, in)
}

func (w *world) message(r *router.Router, thread, id, text string) plugin.Ack {
	return ingest(r, w.chatMessage(thread, id, text))
}

func (w *world) chatMessage(thread, id, text string) plugin.Inbound {
	return plugin.Inbound{Plugin: "chat", Account: w.chat.ID, Thread: thread, DedupeKey: thread + "/" + id,
		Message: &plugin.InboundMessage{ClientID: id, Address: "web:" + thread, Parts: textParts(text)}}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s: no %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// types lists the event types of a conversation, and checks that the sequences have no gap.
func types(t *testing.T, r *router.Router, id conversation.ConversationID) (out []string) {
	t.Helper()
	recs, err := r.Records(context.Background(), id, conversation.AudienceAudit, 0, 1000)
	if err != nil {
		t.Fatalf("records: %v", err)
	}
	for i, rec := range recs {
		if rec.Seq != uint64(i+1) {
			t.Errorf("event %d has seq %d (PR6)", i, rec.Seq)
		}
		out = append(out, string(rec.Type))
	}
	return out
}

func thread(i int) string { return fmt.Sprintf("visitor-%d", i) }
