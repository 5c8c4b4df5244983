package sqlite_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
)

// fillLog writes something into every table.
func fillLog(t *testing.T, l *sqlite.Log) {
	t.Helper()
	account := eventlog.StreamID{200}
	for c := range 40 {
		id := eventlog.StreamID{1, byte(c)}
		b := &eventlog.Batch{
			Streams:     []eventlog.StreamAppend{{Stream: id, Expect: 0}},
			External:    []eventlog.ExternalID{{Account: account, Key: eventlog.Key{byte(c)}, Stream: id, Index: 1}},
			OpenThreads: []eventlog.Thread{{Account: account, Key: eventlog.Key{byte(c)}, Conversation: id}},
			Conversations: []eventlog.ConversationRow{{
				ID: id, Seq: 5, Account: account, KeyID: 1, Phase: eventlog.PhaseOpen, Display: "active",
				StartedAt: time.Unix(int64(c), 0), State: []byte(strings.Repeat("state", 20)),
				Agents: []eventlog.ConversationAgent{{Agent: eventlog.StreamID{3, byte(c % 4)}, Active: true}},
			}},
			Agents: []eventlog.AgentRow{{ID: eventlog.StreamID{3, byte(c % 4)}, Seq: 1, State: []byte("ready")}},
			Outbox: []eventlog.OutboxRow{{CommandID: [16]byte{4, byte(c)}, Account: account, Conversation: id, Kind: "send", State: eventlog.OutboxQueued}},
		}
		for i := range 5 {
			b.Streams[0].Events = append(b.Streams[0].Events, eventlog.Event{
				Type: "message/1", At: time.Unix(int64(i), 0), Head: []byte(`{"author":"customer"}`),
				Body: []byte(strings.Repeat(fmt.Sprintf("body %d %d ", c, i), 20)), KeyID: 1,
			})
		}
		if _, err := l.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// contents returns everything that a log filled by fillLog can be asked for, as text.
func contents(t *testing.T, l *sqlite.Log) (string, error) {
	t.Helper()
	var errs []error
	var all []any
	add := func(v any, err error) {
		all = append(all, v)
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	ctx, account := t.Context(), eventlog.StreamID{200}
	recs, err := l.Tail(ctx, 0, 0)
	add(recs, err)
	for c := range 40 {
		recs, err := l.Read(ctx, eventlog.StreamID{1, byte(c)}, 0, 0)
		add(recs, err)
		stream, seq, err := l.External(ctx, account, eventlog.Key{byte(c)})
		add([]any{stream, seq}, err)
		thread, err := l.Thread(ctx, account, eventlog.Key{byte(c)})
		add(thread, err)
		row, err := l.Conversation(ctx, eventlog.StreamID{1, byte(c)})
		add(row, err)
		out, err := l.OutboxRow(ctx, [16]byte{4, byte(c)})
		add(out, err)
	}
	for _, q := range []eventlog.ConversationQuery{
		{Phases: []string{eventlog.PhaseOpen, eventlog.PhaseEnded}}, {Limit: 30}, {Account: account, Limit: 30},
		{Agent: eventlog.StreamID{3, 1}}, {Phases: []string{eventlog.PhaseOpen}, Limit: 30},
	} {
		rows, err := l.Conversations(ctx, q)
		add(rows, err)
	}
	agents, err := l.Agents(ctx)
	add(agents, err)
	rows, err := l.Outbox(ctx, account, true, 0)
	add(rows, err)
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), errors.Join(errs...)
}

func copyDir(t *testing.T, from string, names ...string) (to string) {
	t.Helper()
	to = t.TempDir()
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

const (
	dbFile, walFile, lockFile = sqlite.FileName, sqlite.FileName + "-wal", "parley.lock"
)

// FT13: a flipped bit must be refused at start, or fail the read that meets it, or change nothing
// that can be read, whether or not the log was closed properly.
func TestBitFlip(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	fillLog(t, l)
	want, err := contents(t, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	refused, harmless, found := 0, 0, 0
	for i := range rounds(40, 1000) {
		d := copyDir(t, dir, dbFile, lockFile)
		if i%2 == 1 { // leave the lock file as after a kill
			running := strings.Replace(string(lock), "  clean", "running", 1)
			if err := os.WriteFile(filepath.Join(d, lockFile), []byte(running), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(filepath.Join(d, dbFile))
		if err != nil {
			t.Fatal(err)
		}
		at, bit := rnd.IntN(len(b)), byte(1)<<rnd.IntN(8)
		b[at] ^= bit
		if err := os.WriteFile(filepath.Join(d, dbFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		damaged, err := sqlite.Open(t.Context(), sqlite.Options{Dir: d, CheckWait: time.Minute})
		if err != nil {
			if !errors.Is(err, eventlog.ErrCorrupt) {
				t.Logf("byte %d bit %08b: refused with %v", at, bit, err)
			}
			refused++
			continue
		}
		got, err := contents(t, damaged)
		switch {
		case err != nil:
			found++
		case got != want:
			t.Errorf("byte %d bit %08b: other content was read without any error", at, bit)
		default:
			harmless++
		}
		_ = damaged.Close() // the damage may make Close fail
	}
	t.Logf("%d refused at start, %d found by a read, %d without effect", refused, found, harmless)
	if refused == 0 {
		t.Error("no flip was ever refused: the test proves nothing")
	}
}

// crashed leaves a folder as a kill -9 does: its events are in the write-ahead log only.
func crashed(t *testing.T) (dir string, g ledger) {
	t.Helper()
	dir, g = t.TempDir(), ledger{}
	c := startChild(t, dir, 4)
	acks := 0
	g.follow(t, c.lines, func(line string) bool {
		if strings.HasPrefix(line, "ack") {
			if acks++; acks == 100 {
				_ = c.Process.Kill()
			}
		}
		return false
	})
	_ = c.Wait() // killed
	return dir, g
}

// FT13: a write-ahead log that was cut off or left behind means that acknowledged events are lost:
// the database must be refused unless AcceptDamage is set.
func TestLostWAL(t *testing.T) {
	dir, g := crashed(t)
	st, err := os.Stat(filepath.Join(dir, walFile))
	if err != nil {
		t.Fatalf("no write-ahead log after a kill: %v", err)
	}
	for name, c := range map[string]struct {
		files   []string
		walSize int64 // -1: leave its size
		refused bool
	}{
		"whole":                           {[]string{dbFile, walFile, lockFile}, -1, false},
		"cut to nothing":                  {[]string{dbFile, walFile, lockFile}, 0, true},
		"cut in half":                     {[]string{dbFile, walFile, lockFile}, st.Size() / 2, true},
		"left behind":                     {[]string{dbFile, lockFile}, -1, true},
		"database alone":                  {[]string{dbFile}, -1, true},
		"without lock file, WAL is there": {[]string{dbFile, walFile}, -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := copyDir(t, dir, c.files...)
			if c.walSize >= 0 {
				if err := os.Truncate(filepath.Join(d, walFile), c.walSize); err != nil {
					t.Fatal(err)
				}
			}
			if !c.refused {
				g.check(t, d)
				return
			}
			for range 2 { // the refusal must change nothing, so the second attempt is refused too
				if l, err := sqlite.Open(t.Context(), sqlite.Options{Dir: d}); !errors.Is(err, eventlog.ErrCorrupt) {
					if err == nil {
						_ = l.Close()
					}
					t.Fatalf("Open: %v, want ErrCorrupt", err)
				}
			}
			l, err := sqlite.Open(t.Context(), sqlite.Options{Dir: d, AcceptDamage: true})
			if err != nil {
				t.Fatalf("Open with AcceptDamage: %v", err)
			}
			if _, err := l.Append(t.Context(), childBatch(250, 0)); err != nil {
				t.Errorf("Append: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			openLog(t, d) // after it was accepted once, it opens without AcceptDamage
		})
	}
}

func TestOpenGarbage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, dbFile), []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir}); !errors.Is(err, eventlog.ErrCorrupt) {
		t.Errorf("Open: %v, want ErrCorrupt", err)
	}
}
