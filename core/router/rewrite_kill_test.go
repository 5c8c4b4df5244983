package router_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/internal/pgtest"
)

// The moments of a rewriting at which the child process ends itself with kill -9. All begin with
// rewriting, by which TestMain knows what to do.
const (
	rewriting        = "rewriting: "
	beforeTheLog     = rewriting + "before the log is changed"
	afterTheLog      = rewriting + "after the log is changed"
	beforeDestroying = rewriting + "before the key is destroyed"
	beforeForgetting = rewriting + "before the key is forgotten"
)

type dyingLog struct {
	eventlog.Log
	killed
}

func (l dyingLog) Rewrite(ctx context.Context, stream eventlog.StreamID, rw eventlog.Rewriting) error {
	l.die(beforeTheLog)
	err := l.Log.Rewrite(ctx, stream, rw)
	l.die(afterTheLog)
	return err
}

func (l dyingLog) ForgetKeys(ctx context.Context, keys ...int64) error {
	l.die(beforeForgetting)
	return l.Log.ForgetKeys(ctx, keys...)
}

type dyingVault struct {
	*vault.Vault
	killed
}

func (v dyingVault) Destroy(ctx context.Context, keys ...int64) error {
	v.die(beforeDestroying)
	return v.Vault.Destroy(ctx, keys...)
}

// rewriteAndDie is what the child process runs: a conversation with canaries in it, which is rewritten.
// It writes down what it has sealed, and under which key.
func rewriteAndDie() {
	f := reopened(child{}, os.Getenv(killFolder), os.Getenv(killDSN))
	at := killed{f.store, os.Getenv(killEnv)}
	r, err := router.New(router.Options{Node: "n1", Log: dyingLog{f.log, at}, Vault: dyingVault{f.vault, at}, Directory: f.dir, Blobs: f.store, Bus: f.bus, Logger: slog.New(slog.DiscardHandler)})
	must(child{}, err)
	must(child{}, r.Start(context.Background()))
	r.PluginReady("text", "text-1", &port{info: textInfo()})
	masked, kept := f.attach("+491", canary+".txt", "about "+canary), f.attach("+491", "kept.txt", "the rest")
	a := ingest(r, plugin.Inbound{Plugin: "text", Account: f.text.ID, Thread: "+491", DedupeKey: "m1", Message: &plugin.InboundMessage{
		Address: "+491", Name: canary, Parts: append(textParts("my number is "+canary),
			conversation.Part{Kind: conversation.PartFile, File: &masked}, conversation.Part{Kind: conversation.PartFile, File: &kept})}})
	// The status of a message that nobody here knows: its text waits, sealed under a key of its own.
	ingest(r, plugin.Inbound{Plugin: "text", Account: f.text.ID, Thread: "+491", DedupeKey: "s1",
		Status: &plugin.DeliveryStatus{ProviderID: "SM-unknown", Status: conversation.StatusFailed, Text: canary}})
	fmt.Println("conversation", a.Conversation)
	fmt.Println("attachments", masked.Blob, kept.Blob)
	key := f.keyOf(a.Conversation)
	fmt.Println("key", key)
	for _, body := range f.sealedUnder(a.Conversation, key) {
		fmt.Println("sealed", hex.EncodeToString(body))
	}
	for _, id := range []conversation.BlobID{masked.Blob, kept.Blob} {
		fmt.Println("sealed", hex.EncodeToString(f.row(id).SealedName))
	}
	fmt.Println("rewriting", r.Rewrite(context.Background(), a.Conversation, masking(conversation.Author{Kind: conversation.System})))
	os.Exit(1)
}

// told is what the child has written down.
type told struct {
	conv         conversation.ConversationID
	masked, kept conversation.BlobID
	key          int64
	sealed       [][]byte
}

func runRewriting(t *testing.T, when, folder, dsn string) (said told) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), killEnv+"="+when, killFolder+"="+folder, killDSN+"="+dsn)
	out, err := cmd.CombinedOutput()
	if exit := (&exec.ExitError{}); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child: %v, want killed:\n%s", err, out)
	}
	for _, line := range strings.Split(string(out), "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "conversation":
			said.conv, err = conversation.ParseID[conversation.ConversationID](f[1])
		case len(f) == 3 && f[0] == "attachments":
			said.masked, err = conversation.ParseID[conversation.BlobID](f[1])
			must(t, err)
			said.kept, err = conversation.ParseID[conversation.BlobID](f[2])
		case len(f) == 2 && f[0] == "key":
			_, err = fmt.Sscan(f[1], &said.key)
		case len(f) == 2 && f[0] == "sealed":
			var b []byte
			b, err = hex.DecodeString(f[1])
			said.sealed = append(said.sealed, b)
		default:
			err = nil
		}
		must(t, err)
	}
	if said.key == 0 || len(said.sealed) < 4 {
		t.Fatalf("the child says\n%s", out)
	}
	return said
}

// PR21, FT1: killed -9 between any two steps, a rewriting is finished by the next start, or was never begun.
// Afterwards neither the canary nor what was sealed of it is in any file or table.
func TestRewriteKilled(t *testing.T) {
	c, err := pgtest.Start()
	must(t, err)
	t.Cleanup(func() { must(t, c.Stop()) })
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		for _, when := range []string{beforeTheLog, afterTheLog, beforeDestroying, beforeForgetting} {
			t.Run(engine+"/"+strings.TrimPrefix(when, rewriting), func(t *testing.T) {
				folder, dsn, database := t.TempDir(), "", ""
				if engine == "PostgreSQL" {
					database = c.Database(t)
					dsn = c.DSN(database)
				}
				said := runRewriting(t, when, folder, dsn)
				t.Run("restart", func(t *testing.T) { // closes everything at its end
					f := reopened(t, folder, dsn)
					r := f.start("n1")
					r.PluginReady("text", "text-1", newPort(textInfo()))
					if when == beforeTheLog { // nothing was done, and whoever asked for it was told nothing
						if n := len(f.sealedUnder(said.conv, said.key)); n == 0 {
							t.Error("the log was changed before it was to be")
						}
						must(t, r.Rewrite(t.Context(), said.conv, masking(conversation.Author{Kind: conversation.System})))
					}
					eventually(t, "end of the rewriting", func() bool {
						left, err := f.log.ReplacedKeys(t.Context())
						must(t, err)
						return len(left) == 0
					})
					f.wantMasked(r, said.conv, said.key)
					if row := f.row(said.masked); row.State != blob.StateDeleted || len(row.SealedName) > 0 {
						t.Errorf("the masked attachment: %+v", row)
					}
					file, content, err := f.store.Open(t.Context(), said.kept)
					must(t, err)
					text, err := io.ReadAll(content)
					if must(t, content.Close()); err != nil || string(text) != "the rest" || file.Name != "kept.txt" {
						t.Errorf("the other attachment: %q %q, %v", file.Name, text, err)
					}
					again := ingest(r, f.smsMessage("+491", "m2"))
					if again.Status != plugin.Committed || again.Conversation != said.conv {
						t.Errorf("the next text: %+v, want it in the same conversation", again)
					}
					n := 0
					for _, typ := range types(t, r, said.conv) {
						if typ == string(conversation.TypeContentRewritten) {
							n++
						}
					}
					if n != 1 {
						t.Errorf("%d events tell of the rewriting, want 1", n)
					}
				})
				wantNowhere(t, folder, said)
				if database != "" {
					wantInNoTable(t, c, database, said)
				}
			})
		}
	}
}

// wantNowhere looks for the canary and what was sealed of it in every file of a folder.
func wantNowhere(t *testing.T, folder string, said told) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if bytes.Contains(content, []byte(canary)) {
			t.Errorf("%s has the canary", path)
		}
		for i, b := range said.sealed[:len(said.sealed)-1] { // the last is of the attachment that stays, under a key of its own
			if bytes.Contains(content, b) {
				t.Errorf("%s has sealed text %d", path, i)
			}
		}
		return nil
	})
	must(t, err)
	if files < 2 {
		t.Errorf("only %d files in the folder", files)
	}
}

// wantInNoTable does the same for the rows of every table.
func wantInNoTable(t *testing.T, c *pgtest.Cluster, database string, said told) {
	t.Helper()
	conn := c.Connect(t, database)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	rows, err := conn.Query(t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`)
	must(t, err)
	var tables []string
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	must(t, rows.Err())
	if len(tables) < 10 {
		t.Errorf("only the tables %v", tables)
	}
	for _, table := range tables {
		var content string
		must(t, conn.QueryRow(t.Context(), `SELECT coalesce(string_agg(x::text, ' '), '') FROM `+table+` x`).Scan(&content))
		if strings.Contains(content, canary) {
			t.Errorf("table %s has the canary", table)
		}
		for i, b := range said.sealed[:len(said.sealed)-1] {
			if strings.Contains(content, hex.EncodeToString(b)) {
				t.Errorf("table %s has sealed text %d", table, i)
			}
		}
	}
}
