package router_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/eventlog/postgres"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// filing is a world that keeps attachments.
type filing struct {
	*world
	store   *blob.Store
	plugins blob.Plugins
}

func newFiling(t *testing.T, log eventlog.Log) *filing {
	t.Helper()
	w := newWorld(t, log)
	f := &filing{world: w}
	f.store = openBlobs(t, t.TempDir(), w.log, w.dir, w.vault)
	f.plugins = blob.Plugins{Store: f.store, Log: w.log, Vault: w.vault}
	w.blobs = f.store
	return f
}

func openBlobs(t testing.TB, dir string, log eventlog.Log, records *directory.Directory, v *vault.Vault) *blob.Store {
	t.Helper()
	s, err := blob.Open(blob.Options{
		Dir: dir, Rows: blob.NewTable(records.Database()), Records: records, Vault: v, Reserve: -1, ConversationKey: blob.ConversationKey(log), Named: blob.Named(log, v), Over: blob.Over(log),
	})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// upload stores an attachment as a plugin does before it emits the message.
func (f *filing) upload(account conversation.AccountID, thread string) conversation.File {
	f.t.Helper()
	file, err := f.plugins.Put(context.Background(), account, thread, "a.txt", "text/plain", strings.NewReader("a picture, say"))
	must(f.t, err)
	return file
}

// mms is a text with attachments.
func (w *world) mms(thread, id string, files ...conversation.File) plugin.Inbound {
	in := w.smsMessage(thread, id)
	for i := range files {
		in.Message.Parts = append(in.Message.Parts, conversation.Part{Kind: conversation.PartFile, File: &files[i]})
	}
	return in
}

// said returns the parts of the message that an acknowledgement names, and checks that the
// message's head agrees with its body.
func (f *filing) said(r *router.Router, a plugin.Ack) []conversation.Part {
	f.t.Helper()
	if a.Status != plugin.Committed && a.Status != plugin.Duplicate {
		f.t.Fatalf("message: got %+v, want committed", a)
	}
	recs, err := r.Records(context.Background(), a.Conversation, conversation.AudienceAudit, a.Seq-1, 1)
	must(f.t, err)
	head, err := conversation.DecodeHead(recs[0].Type, recs[0].Head)
	must(f.t, err)
	m := head.(*conversation.MessagePosted)
	var body conversation.MessageBody
	unmarshal(f.t.(*testing.T), recs[0].Body, &body)
	n := 0
	for i, p := range body.Parts {
		if m.Kinds[i] != p.Kind {
			f.t.Errorf("part %d: head says %s, body %s", i, m.Kinds[i], p.Kind)
		}
		if p.File != nil {
			if m.Blobs[n] != p.File.Blob {
				f.t.Errorf("part %d: the head names %s, the body %s", i, m.Blobs[n], p.File.Blob)
			}
			n++
		}
	}
	if n != len(m.Blobs) {
		f.t.Errorf("the head names %d attachments, the body %d", len(m.Blobs), n)
	}
	return body.Parts
}

func (f *filing) row(id conversation.BlobID) blob.Row {
	f.t.Helper()
	row, err := blob.NewTable(f.dir.Database()).Row(context.Background(), id)
	must(f.t, err)
	return row
}

// has checks that a message has its text and its attachment, and that the attachment's row says so.
func (f *filing) has(r *router.Router, a plugin.Ack, file conversation.File) {
	f.t.Helper()
	parts := f.said(r, a)
	if len(parts) != 2 || parts[0].Kind != conversation.PartText || parts[1].File == nil || parts[1].File.Blob != file.Blob || parts[1].File.Name != "a.txt" {
		f.t.Errorf("message: got %+v, want its text and the file", parts)
	}
	if row := f.row(file.Blob); !row.Used || row.Conversation != a.Conversation {
		f.t.Errorf("the attachment is %+v; want used by %s", row, a.Conversation)
	}
}

// hasNot checks that a message has its text and says that its attachment is missing.
func (f *filing) hasNot(r *router.Router, a plugin.Ack) {
	f.t.Helper()
	parts := f.said(r, a)
	if len(parts) != 2 || parts[0].Kind != conversation.PartText || parts[1].Kind != conversation.PartUnsupported ||
		parts[1].Raw == nil || parts[1].Raw.Kind != "media" || string(parts[1].Raw.Data) != `{"reason":"unavailable"}` {
		f.t.Errorf("message: got %+v, want its text and a part that says what is missing", parts)
	}
}

func (w *world) end(thread string) plugin.Inbound {
	return plugin.Inbound{Plugin: "text", Account: w.text.ID, Thread: thread, Action: &plugin.CustomerAction{End: true}}
}

// An MMS whose picture was stored while one conversation was open, and which comes when that
// conversation is over, opens the next one with text and picture. This holds when the end came long
// before, and when end and MMS wait in one mailbox (PR1, promises.md 4.1).
func TestAttachmentOverTheEnd(t *testing.T) {
	log := &heldLog{Log: memlog.New()}
	t.Cleanup(func() { must(t, log.Close()) })
	f := newFiling(t, log)
	r := f.start("n1")
	r.PluginReady("text", "text-1", newPort(textInfo()))
	first := ingest(r, f.smsMessage("+491", "m1"))
	file := f.upload(f.text.ID, "+491")
	if a := ingest(r, f.end("+491")); a.Status != plugin.Committed {
		t.Fatalf("end: %+v", a)
	}
	a := ingest(r, f.mms("+491", "m2", file))
	f.has(r, a, file)
	if a.Conversation == first.Conversation {
		t.Errorf("the message went to the conversation that is over")
	}
	for round := range 20 {
		th := fmt.Sprint("+492", round)
		first := ingest(r, f.smsMessage(th, "m1"))
		file := f.upload(f.text.ID, th)
		acks := make([]plugin.Ack, 3)
		var wg sync.WaitGroup
		log.hold.Lock() // so that the end and the MMS are decided in one batch
		for i, in := range []plugin.Inbound{f.smsMessage(th, "m2"), f.end(th), f.mms(th, "m3", file)} {
			wg.Add(1)
			r.Ingest(context.Background(), in, func(a plugin.Ack) { acks[i] = a; wg.Done() })
		}
		log.hold.Unlock()
		wg.Wait()
		f.has(r, acks[2], file)
		if acks[2].Conversation == first.Conversation {
			t.Errorf("round %d: the message went to the conversation that is over", round)
		}
	}
}

// A text whose picture is not available is kept, with a part that says so. The picture may not
// exist, or belong to another thread, to another account, or to a message of an earlier
// conversation (4).
func TestTextOutlivesItsAttachment(t *testing.T) {
	f := newFiling(t, nil)
	r := f.start("n1")
	r.PluginReady("text", "text-1", newPort(textInfo()))
	earlier := f.upload(f.text.ID, "+491")
	f.has(r, ingest(r, f.mms("+491", "m0", earlier)), earlier)
	ingest(r, f.end("+491"))
	for name, file := range map[string]conversation.File{
		"none such":          {Blob: conversation.NewID[conversation.BlobID]()},
		"another thread's":   f.upload(f.text.ID, "+492"),
		"another account's":  f.upload(f.chat.ID, "+491"),
		"an earlier message": earlier,
	} {
		f.hasNot(r, ingest(r, f.mms("+491", name, file)))
		ingest(r, f.end("+491"))
		f.hasNot(r, ingest(r, f.mms("+491", name+", in its conversation", file)))
	}
	sent := f.upload(f.text.ID, "+493")
	f.has(r, ingest(r, f.mms("+493", "m1", sent)), sent)
	f.has(r, ingest(r, f.mms("+493", "m2", sent)), sent) // named by two messages of one conversation
	free := f.upload(f.text.ID, "")                      // uploaded for no thread
	f.has(r, ingest(r, f.mms("+494", "m1", free)), free)
}

// Several messages name one attachment at once. In one conversation every message has it, however
// they are batched; of two conversations on two nodes one has it, and the message in the other says
// that it is missing.
func TestAttachmentNamedAtOnce(t *testing.T) {
	log := &heldLog{Log: memlog.New()}
	t.Cleanup(func() { must(t, log.Close()) })
	f := newFiling(t, log)
	nodes := []*router.Router{f.start("n1"), f.start("n2")}
	for i, r := range nodes {
		r.PluginReady("text", fmt.Sprint("text-", i), newPort(textInfo()))
	}
	atOnce := func(of []*router.Router, ins ...plugin.Inbound) []plugin.Ack {
		acks := make([]plugin.Ack, len(ins))
		var wg sync.WaitGroup
		log.hold.Lock()
		for i, in := range ins {
			wg.Add(1)
			of[i%len(of)].Ingest(context.Background(), in, func(a plugin.Ack) { acks[i] = a; wg.Done() })
		}
		log.hold.Unlock()
		wg.Wait()
		return acks
	}
	for round := range 20 {
		a, b := fmt.Sprint("+491", round), fmt.Sprint("+492", round)
		file := f.upload(f.text.ID, a)
		for _, ack := range atOnce(nodes[:1], f.mms(a, "m1", file), f.mms(a, "m2", file, file), f.mms(a, "m3", file)) {
			for _, p := range f.said(nodes[0], ack)[1:] {
				if p.File == nil || p.File.Blob != file.Blob {
					t.Errorf("round %d: a message of the conversation lacks the file: %+v", round, p)
				}
			}
		}
		shared := f.upload(f.text.ID, "")
		with := 0
		for i, ack := range atOnce(nodes, f.mms(a, "m4", shared), f.mms(b, "m1", shared)) {
			if f.said(nodes[i], ack)[1].File != nil {
				f.has(nodes[i], ack, shared)
				with++
			} else {
				f.hasNot(nodes[i], ack)
			}
		}
		if with != 1 {
			t.Errorf("round %d: %d conversations have the one attachment, want 1", round, with)
		}
	}
}

// A refused message takes no attachment, and an agent gets an error for an attachment that the
// conversation does not have.
func TestRefusedMessageTakesNothing(t *testing.T) {
	f := newFiling(t, nil)
	r := f.start("n1")
	ctx := context.Background()
	ack := f.startChat(r, "v", "", "hello")
	file := f.upload(f.chat.ID, "v")
	conv, ana := ack.Conversation, f.agents["ana"]
	parts := []conversation.Part{{Kind: conversation.PartFile, File: &file}}
	if _, err := r.Send(ctx, router.SendRequest{Conversation: conv, Agent: ana, Parts: parts}); !errors.Is(err, conversation.ErrNotJoined) {
		t.Errorf("a stranger's message: got %v, want ErrNotJoined", err)
	}
	must(t, r.AgentConnected(ctx, ana))
	must(t, r.Ready(ctx, ana))
	_, _, err := r.Accept(ctx, ana, offerTo(t, r, ana).Offer)
	must(t, err)
	other := f.upload(f.text.ID, "+491")
	if _, err := r.Send(ctx, router.SendRequest{Conversation: conv, Agent: ana, Parts: []conversation.Part{{Kind: conversation.PartFile, File: &other}}}); !errors.Is(err, router.ErrInvalid) {
		t.Errorf("an agent's, with another's file: got %v, want ErrInvalid", err)
	}
	if a := ingest(r, plugin.Inbound{Plugin: "chat", Account: f.chat.ID, Thread: "v", Action: &plugin.CustomerAction{End: true}}); a.Status != plugin.Committed {
		t.Fatalf("end: %+v", a)
	}
	late := f.chatMessage("v", "late", "look")
	late.Message.Parts = append(late.Message.Parts, parts...)
	if a := ingest(r, late); a.Status != plugin.Refused || a.Code != "ended" {
		t.Errorf("after the end: got %+v, want refused", a)
	}
	for _, id := range []conversation.BlobID{file.Blob, other.Blob} {
		if f.row(id).Used {
			t.Errorf("a refused message has taken an attachment")
		}
	}
	if _, err := f.store.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if row := f.row(file.Blob); row.State != blob.StateOrphaned {
		t.Errorf("what was uploaded to the chat that is over: %s, want orphaned", row.State)
	}
	if row := f.row(other.Blob); row.State != blob.StateReady {
		t.Errorf("what waits for a text: %s, want ready", row.State)
	}
}

// killEnv makes the test binary a gateway that ends itself with kill -9 while it takes a message
// with an attachment. The variable's value says at which moment.
const (
	killEnv    = "PARLEY_ROUTER_TEST_KILL"
	killFolder = "PARLEY_ROUTER_TEST_KILL_FOLDER"
	killDSN    = "PARLEY_ROUTER_TEST_KILL_DSN" // PostgreSQL; "" = SQLite
)

// killed is a store that ends the process with kill -9 at the moment when.
type killed struct {
	router.Blobs
	when string
}

func (k killed) die(when string) {
	if when == k.when {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (k killed) Find(ctx context.Context, by blob.Sender, ids []conversation.BlobID) ([]blob.Found, error) {
	f, err := k.Blobs.Find(ctx, by, ids)
	k.die("before the append")
	return f, err
}

func (k killed) Take(ctx context.Context, conv conversation.ConversationID, ids []conversation.BlobID) error {
	k.die("before its confirmation")
	return k.Blobs.Take(ctx, conv, ids)
}

// reopened is an installation on disk that several processes open in turn.
func reopened(t testing.TB, folder, dsn string) *filing {
	t.Helper()
	ctx := context.Background()
	var gate sync.Mutex
	v, err := vault.Open(ctx, vault.Options{Path: filepath.Join(folder, "keys.db"), Master: make([]byte, 32)})
	must(t, err)
	t.Cleanup(func() { _ = v.Close() })
	var log eventlog.Log
	records := directory.Options{DSN: filepath.Join(folder, sqlite.FileName), Vault: v, Poll: -1, Gate: &gate}
	if dsn == "" {
		log, err = sqlite.Open(ctx, sqlite.Options{Dir: folder, Gate: &gate})
	} else {
		records = directory.Options{Dialect: directory.Postgres, DSN: dsn, Vault: v, Poll: -1}
		log, err = postgres.Open(ctx, postgres.Options{DSN: dsn})
	}
	must(t, err)
	t.Cleanup(func() { _ = log.Close() })
	d, err := directory.Open(ctx, records)
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	_, err = d.Apply(ctx, directory.Records{
		Services: []directory.ServiceRecord{{Name: "S"}}, Accounts: []directory.AccountRecord{{Name: "text", Plugin: "text", Service: "S"}},
	}, false)
	must(t, err)
	w := &world{t: t, log: log, vault: v, dir: d, bus: bus.NewLocal()}
	t.Cleanup(func() { _ = w.bus.Close() })
	w.text, _ = d.Snapshot().AccountByName("text")
	f := &filing{world: w, store: openBlobs(t, filepath.Join(folder, "blobs"), log, d, v)}
	f.plugins = blob.Plugins{Store: f.store, Log: log, Vault: v}
	w.blobs = f.store
	return f
}

// takeAndDie is what the child process runs.
func takeAndDie() {
	f := reopened(child{}, os.Getenv(killFolder), os.Getenv(killDSN))
	f.blobs = killed{f.store, os.Getenv(killEnv)}
	r, err := router.New(router.Options{Node: "n1", Log: f.log, Vault: f.vault, Directory: f.dir, Blobs: f.blobs, Bus: f.bus, Logger: slog.New(slog.DiscardHandler)})
	must(child{}, err)
	must(child{}, r.Start(context.Background()))
	r.PluginReady("text", "text-1", &port{info: textInfo()})
	file := f.upload(f.text.ID, "+491")
	fmt.Println("blob", file.Blob)
	ingest(r, f.mms("+491", "m1", file))
	fmt.Println("not killed")
	os.Exit(1)
}

// child implements the few methods of testing.TB that the child process needs.
type child struct{ testing.TB }

func (child) Helper()        {}
func (child) Cleanup(func()) {}
func (child) Fatal(args ...any) {
	fmt.Println(args...)
	os.Exit(1)
}

// PR1, FT1: kill -9 at both moments between looking at an attachment and marking it as used. An
// attachment that a committed message names stays. One that no message names is deleted a day
// later, but not if its event came again before.
func TestKillBetweenClaimAndConfirmation(t *testing.T) {
	c, err := pgtest.Start()
	must(t, err)
	t.Cleanup(func() { must(t, c.Stop()) })
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		for _, when := range []string{"before the append", "before its confirmation"} {
			for _, again := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/repeated %v", engine, when, again), func(t *testing.T) {
					folder, dsn := t.TempDir(), ""
					if engine == "PostgreSQL" {
						dsn = c.DSN(c.Database(t))
					}
					id := kill(t, when, folder, dsn)
					f := reopened(t, folder, dsn)
					committed := when == "before its confirmation"
					r := f.start("n1")
					r.PluginReady("text", "text-1", newPort(textInfo()))
					_, err := f.store.Sweep(t.Context()) // a sweep also follows each start of the gateway
					must(t, err)
					if row := f.row(id); row.Used != committed || row.State != blob.StateReady {
						t.Errorf("after the start: %+v; want used %v", row, committed)
					}
					if again {
						a := ingest(r, f.mms("+491", "m1", conversation.File{Blob: id}))
						if want := map[bool]plugin.AckStatus{true: plugin.Duplicate, false: plugin.Committed}[committed]; a.Status != want {
							t.Errorf("the event again: got %+v, want status %v", a, want)
						}
						f.has(r, a, conversation.File{Blob: id})
					}
					f.dayLater(t, folder, dsn)
					_, file, err := f.store.Open(t.Context(), id)
					if kept := committed || again; (err == nil) != kept {
						t.Errorf("a day later: open: %v; want it kept: %v", err, kept)
					}
					if file != nil {
						must(t, file.Close())
					}
				})
			}
		}
	}
}

// kill runs the child process until it is dead, and returns the attachment that it stored.
func kill(t *testing.T, when, folder, dsn string) (id conversation.BlobID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), killEnv+"="+when, killFolder+"="+folder, killDSN+"="+dsn)
	out, err := cmd.CombinedOutput()
	if exit := (&exec.ExitError{}); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child: %v, want killed:\n%s", err, out)
	}
	_, text, _ := bytes.Cut(out, []byte("blob "))
	id, err = conversation.ParseID[conversation.BlobID](strings.TrimSpace(string(text)))
	must(t, err)
	return id
}

// dayLater makes every attachment two days old and then lets the store sweep twice.
func (f *filing) dayLater(t *testing.T, folder, dsn string) {
	t.Helper()
	driver, name := "sqlite", "file:"+filepath.Join(folder, sqlite.FileName)+"?_pragma=busy_timeout(5000)"
	if dsn != "" {
		driver, name = "pgx", dsn
	}
	db, err := sql.Open(driver, name)
	must(t, err)
	defer func() { must(t, db.Close()) }()
	const day = 24 * time.Hour / time.Millisecond
	for range 2 {
		_, err := db.ExecContext(t.Context(), `UPDATE blobs SET created_at = created_at - $1, orphaned_at = CASE WHEN orphaned_at > 0 THEN orphaned_at - $2 ELSE 0 END`, int64(2*day), int64(2*day))
		must(t, err)
		_, err = f.store.Sweep(t.Context())
		must(t, err)
	}
}
