package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/project"
	"github.com/parley-gateway/parley/core/project/intervals"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/internal/pgtest"
	"github.com/parley-gateway/parley/internal/stores"
)

// These are data folders that an earlier version made (makefolder_test.go.txt beside each says how), and
// what must be right in them: one with everything, and one whose log and records were in a PostgreSQL
// database, of which it has a dump.
const (
	oldFolder   = "testdata/folder-1ab4dc4"
	oldPostgres = "testdata/postgres-1ab4dc4"
)

type folderManifest struct {
	Made           time.Time                         `json:"made"`
	Agents         map[string]conversation.AgentID   `json:"agents"`
	Accounts       map[string]conversation.AccountID `json:"accounts"`
	Attachment     conversation.BlobID               `json:"attachment"`
	AttachmentText string                            `json:"attachment_text"`
	PendingText    string                            `json:"pending_text"`
	Conversations  []folderConversation              `json:"conversations"`
}

type folderConversation struct {
	Name    string                      `json:"name"`
	ID      conversation.ConversationID `json:"id"`
	Phase   string                      `json:"phase"`
	Display string                      `json:"display"`
	Records []folderRecord              `json:"records"`
}

type folderRecord struct {
	Seq  uint64            `json:"seq"`
	Type conversation.Type `json:"type"`
	Head json.RawMessage   `json:"head"`
	Body json.RawMessage   `json:"body"`
}

// oldVersion is that folder, opened with today's code. Its clock goes on where it stood.
type oldVersion struct {
	folderManifest
	t      *testing.T
	stores *stores.Stores
	blobs  *blob.Store
	router *router.Router
	sms    *takingPort
}

func openOldFolder(t *testing.T, folder string) *oldVersion {
	t.Helper()
	v := &oldVersion{t: t}
	text, err := os.ReadFile(filepath.Join(folder, "manifest.json"))
	v.must(err)
	v.must(json.Unmarshal(text, &v.folderManifest))
	dir := t.TempDir()
	v.must(unpack(filepath.Join(folder, "data.tar.gz"), dir))
	env := []string{config.EnvName("data") + "=" + dir}
	if dump, err := os.ReadFile(filepath.Join(dir, "database.sql")); err == nil {
		env = append(env, config.EnvName("store")+"="+restored(t, string(dump)))
	}
	cfg, err := config.Load("", env)
	v.must(err)
	began := time.Now()
	now := func() time.Time { return v.Made.Add(time.Since(began)) }
	v.stores, err = stores.Open(t.Context(), cfg, now, discard())
	v.must(err)
	t.Cleanup(func() { v.must(v.stores.Close()) })
	v.blobs, err = blob.Open(blob.Options{
		Dir: cfg.Blobs(), Rows: blob.NewTable(v.stores.Directory.Database()), Records: v.stores.Directory, Vault: v.stores.Vault,
		ConversationKey: blob.ConversationKey(v.stores.Log), Named: blob.Named(v.stores.Log, v.stores.Vault), Over: blob.Over(v.stores.Log), Now: now, Reserve: -1,
	})
	v.must(err)
	t.Cleanup(func() { v.must(v.blobs.Close()) })
	hints := bus.NewLocal()
	t.Cleanup(func() { v.must(hints.Close()) })
	v.router, err = router.New(router.Options{
		Node: "n1", Log: v.stores.Log, Vault: v.stores.Vault, Directory: v.stores.Directory, Blobs: v.blobs, Bus: hints, Logger: discard(), Now: now,
	})
	v.must(err)
	v.must(v.router.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		v.must(v.router.Stop(ctx))
	})
	v.router.PluginReady("webchat", "w2", &takingPort{info: plugin.Info{ID: "webchat", Capabilities: conversation.Capabilities{Text: true, Files: true, Connected: true}}})
	v.sms = &takingPort{info: plugin.Info{ID: "sms", Capabilities: conversation.Capabilities{Text: true, Files: true, OutboundFirst: true, AddressKind: "phone"}}}
	v.router.PluginReady("sms", "s2", v.sms)
	return v
}

// restored starts a server, loads a dump into a database of it, and returns how to connect to that.
func restored(t *testing.T, dump string) (dsn string) {
	t.Helper()
	c, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	name := c.Database(t)
	conn := c.Connect(t, name)
	_, err = conn.PgConn().Exec(t.Context(), dump).ReadAll()
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatalf("load the dump: %v", err)
	}
	return c.DSN(name)
}

func (v *oldVersion) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *oldVersion) conversation(name string) folderConversation {
	v.t.Helper()
	for _, c := range v.Conversations {
		if c.Name == name {
			return c
		}
	}
	v.t.Fatalf("the manifest has no conversation %q", name)
	return folderConversation{}
}

func (v *oldVersion) ingest(in plugin.Inbound) plugin.Ack {
	v.t.Helper()
	ch := make(chan plugin.Ack, 1)
	v.router.Ingest(v.t.Context(), in, func(a plugin.Ack) { ch <- a })
	return <-ch
}

// takingPort is a plugin that takes every command.
type takingPort struct {
	info plugin.Info
	mu   sync.Mutex
	got  []plugin.Outbound
}

func (p *takingPort) Offer(o plugin.Outbound) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, o)
	return true
}

func (p *takingPort) Info() plugin.Info { return p.info }

func (*takingPort) NoticeBot(plugin.BotNotice) bool { return false }

func unpack(archive, dir string) (err error) {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(filepath.Clean("/"+h.Name)))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(to, 0o700); err != nil {
				return err
			}
			continue
		}
		content, err := io.ReadAll(io.LimitReader(r, 16<<20))
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			return err
		}
	}
}

// A data folder of the version before opens, and everything in it is right.
func TestFolderOfTheVersionBefore(t *testing.T) { allIsRight(t, oldFolder) }

// So does a PostgreSQL database of the version before, also when it was moved to another server.
func TestDatabaseOfTheVersionBefore(t *testing.T) { allIsRight(t, oldPostgres) }

func allIsRight(t *testing.T, folder string) {
	t.Helper()
	v := openOldFolder(t, folder)
	t.Run("transcripts and states", v.transcripts)
	t.Run("logins, secrets, attachments", v.records)
	t.Run("what was pending goes out", v.pending)
	t.Run("old threads go on", v.threads)
	t.Run("rows", v.rows)
	t.Run("agents", v.agents)
	t.Run("projections", v.projections)
}

func (v *oldVersion) transcripts(t *testing.T) {
	for _, c := range v.Conversations {
		recs, err := v.router.Records(t.Context(), c.ID, conversation.AudienceAudit, 0, 1000)
		if err != nil || len(recs) < len(c.Records) {
			t.Errorf("%s: %d events, %v, want %d", c.Name, len(recs), err, len(c.Records))
			continue
		}
		s := &conversation.State{}
		for i, want := range c.Records {
			got := recs[i]
			if got.Seq != want.Seq || got.Type != want.Type || !sameJSON(got.Head, want.Head) || !sameJSON(got.Body, want.Body) {
				t.Errorf("%s event %d: got %s %s %s, want %s %s %s", c.Name, want.Seq, got.Type, got.Head, got.Body, want.Type, want.Head, want.Body)
			}
			head, err := conversation.DecodeHead(got.Type, got.Head)
			if err == nil {
				err = s.Apply(conversation.Event{Seq: got.Seq, At: got.At, Head: head})
			}
			if err != nil {
				t.Errorf("%s event %d: %v", c.Name, got.Seq, err)
			}
		}
		if string(s.Phase) != c.Phase || string(s.Display()) != c.Display {
			t.Errorf("%s folds to %s, %s; want %s, %s", c.Name, s.Phase, s.Display(), c.Phase, c.Display)
		}
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func (v *oldVersion) records(t *testing.T) {
	snap := v.stores.Directory.Snapshot()
	for login, id := range v.Agents {
		if ok, err := directory.CheckPassword("correct horse "+login, snap.PasswordHash(id)); !ok || err != nil {
			t.Errorf("%s cannot log in: %v, %v", login, ok, err)
		}
	}
	for name, id := range v.Accounts {
		secrets, err := v.stores.Directory.Secrets(t.Context(), id)
		if err != nil || secrets["token"] != "secret of "+name {
			t.Errorf("secrets of account %s: %v", name, err)
		}
	}
	if s, ok := snap.ServiceByName("Sales"); !ok || len(s.Users) != 2 || len(s.Dispositions) != 1 {
		t.Errorf("the service: %+v", s)
	}
	file, r, err := v.blobs.Open(t.Context(), v.Attachment)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || string(content) != v.AttachmentText || file.Name != "invoice.txt" {
		t.Errorf("the attachment: %q %q, %v", file.Name, content, err)
	}
}

func (v *oldVersion) pending(t *testing.T) {
	var cmd plugin.Outbound
	for deadline := time.Now().Add(time.Minute); cmd.Send == nil; time.Sleep(10 * time.Millisecond) {
		v.sms.mu.Lock()
		if len(v.sms.got) > 0 {
			cmd = v.sms.got[0]
		}
		v.sms.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatal("what was pending does not go out")
		}
	}
	if cmd.Send.To != "+4930002" || len(cmd.Send.Parts) != 1 || cmd.Send.Parts[0].Text != v.PendingText {
		t.Errorf("the command is %+v, want %q to +4930002", cmd.Send, v.PendingText)
	}
	if ok, err := v.router.Begin(t.Context(), cmd.Account, cmd.Command, "s2"); !ok || err != nil {
		t.Errorf("Begin: %v, %v", ok, err)
	}
	a := v.ingest(plugin.Inbound{Plugin: "sms", Account: cmd.Account, Thread: cmd.Thread, Result: &plugin.CommandResult{
		Command: cmd.Command, Outcome: conversation.StatusSent, ProviderIDs: []string{"SM2"}}})
	if a.Status != plugin.Committed {
		t.Errorf("the result: %+v", a)
	}
	// The provider's ids of before are known: a late report finds its message.
	a = v.ingest(plugin.Inbound{Plugin: "sms", Account: cmd.Account, Status: &plugin.DeliveryStatus{ProviderID: "SM1", Status: conversation.StatusRead}})
	if a.Status != plugin.Committed || a.Conversation != v.conversation("unread").ID {
		t.Errorf("a late report: %+v, want it in the conversation of its message", a)
	}
}

func (v *oldVersion) threads(t *testing.T) {
	say := func(account, thread, id string) plugin.Ack {
		address := thread
		if account == "site" {
			address = "web:" + thread
		}
		name := map[string]string{"site": "webchat", "number": "sms"}[account]
		return v.ingest(plugin.Inbound{Plugin: name, Account: v.Accounts[account], Thread: thread, DedupeKey: id, Message: &plugin.InboundMessage{
			ClientID: id, Address: address, Parts: []conversation.Part{{Kind: conversation.PartText, Text: "Once more"}}}})
	}
	for _, c := range []struct{ name, account, thread string }{
		{"unread", "number", "+4930001"}, {"parked", "number", "+4930003"}, {"pending", "number", "+4930002"},
		{"active", "site", "v3"}, {"queued", "site", "v4"},
	} {
		if a := say(c.account, c.thread, "new/"+c.name); a.Status != plugin.Committed || a.Conversation != v.conversation(c.name).ID {
			t.Errorf("a message on the thread of %s: %+v, want it in %s", c.name, a, v.conversation(c.name).ID)
		}
	}
	// What was taken before is known, and a thread whose conversation has ended is free.
	if a := say("number", "+4930001", "t1"); a.Status != plugin.Duplicate || a.Conversation != v.conversation("unread").ID {
		t.Errorf("an event of before, repeated: %+v, want a duplicate", a)
	}
	a := v.ingest(plugin.Inbound{Plugin: "webchat", Account: v.Accounts["site"], Thread: "v2", DedupeKey: "v2/again", Action: &plugin.CustomerAction{Start: &plugin.StartAction{
		Body: conversation.StartedBody{Name: "Dora", Address: "web:v2"}, ClientID: "again", Parts: []conversation.Part{{Kind: conversation.PartText, Text: "Me again"}}}}})
	if a.Status != plugin.Committed || a.Conversation == v.conversation("concluded").ID {
		t.Errorf("a new chat on an old thread: %+v, want a new conversation", a)
	}
}

// rows: after today's code has written them, rows are what their events fold to.
func (v *oldVersion) rows(t *testing.T) {
	for _, c := range v.Conversations {
		row, err := v.stores.Log.Conversation(t.Context(), eventlog.StreamID(c.ID))
		if err != nil {
			t.Fatal(err)
		}
		recs, err := v.router.Records(t.Context(), c.ID, conversation.AudienceAudit, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		fold := &conversation.State{}
		for _, rec := range recs[:row.Seq] {
			head, err := conversation.DecodeHead(rec.Type, rec.Head)
			if err == nil {
				err = fold.Apply(conversation.Event{Seq: rec.Seq, At: rec.At, Head: head})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		want, err := conversation.EncodeState(fold)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conversation.DecodeState(row.State); errors.Is(err, conversation.ErrOlderFold) {
			continue // nobody has used the conversation yet: it is folded anew when somebody does
		}
		if !sameJSON(row.State, want) || row.Phase != string(fold.Phase) || row.Display != string(fold.Display()) {
			t.Errorf("%s: the row is\n%s\nits events fold to\n%s", c.Name, row.State, want)
		}
	}
}

func (v *oldVersion) agents(t *testing.T) {
	ana := v.Agents["ana"]
	if n := v.router.Recent(t.Context(), ana).Unread; n < 2 {
		t.Errorf("%d messages wait in Ana's Recent, want those of before and the new ones", n)
	}
	if err := v.router.AgentConnected(t.Context(), ana); err != nil {
		t.Fatal(err)
	}
	if err := v.router.Ready(t.Context(), ana); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		a, err := v.router.Agent(t.Context(), ana)
		if err != nil {
			t.Fatal(err)
		}
		if a.Offer != nil {
			if _, _, err := v.router.Accept(t.Context(), ana, a.Offer.Offer); err != nil {
				t.Errorf("Accept: %v", err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("Ana is offered nothing although customers of before wait")
		}
	}
	if _, err := v.router.FinishWrapup(t.Context(), v.Agents["ben"], v.conversation("wrapup").ID, "sold", "done later"); err != nil {
		t.Errorf("Ben's after-call work of before cannot be finished: %v", err)
	}
}

func (v *oldVersion) projections(t *testing.T) {
	f, err := project.New(project.Options{Node: "n1", Log: v.stores.Log, Database: v.stores.Directory.Database(), Projections: projectionCatalogue()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	defer func() { cancel(); <-done }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		all, err := f.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(all[0].Problem) == "" && all[0].Version > 0 && all[0].Oldest.IsZero() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the projections do not catch up: %+v", all)
		}
	}
	counts, err := intervals.Between(t.Context(), v.stores.Directory.Database(), v.Made.Add(-time.Hour), v.Made.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var arrived int64
	for _, i := range counts {
		arrived += i.Arrived
	}
	if arrived < int64(len(v.Conversations)) {
		t.Errorf("%d conversations are counted, want at least %d", arrived, len(v.Conversations))
	}
}
