package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
	"github.com/parley-gateway/parley/core/vault"
)

func TestReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "with parents?#%")
	l := openLog(t, dir)
	fillLog(t, l)
	want, err := contents(t, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if names := fileNames(t, dir); !slices.Equal(names, []string{dbFile, lockFile}) {
		t.Errorf("files after Close: %v", names)
	}
	l = openLog(t, dir)
	if l.Path() != filepath.Join(dir, sqlite.FileName) {
		t.Errorf("Path: got %s", l.Path())
	}
	got, err := contents(t, l)
	if err != nil || got != want {
		t.Errorf("content changed over a restart (%v)", err)
	}
	if key, err := l.MaxKeyID(t.Context()); err != nil || key != 1 {
		t.Errorf("MaxKeyID after a restart: got %d, %v, want 1", key, err)
	}
	// The heads are known again: an append at an old sequence conflicts, and the next one fits.
	stale := &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: eventlog.StreamID{1, 3}, Expect: 4}}}
	if _, err := l.Append(t.Context(), stale); !errors.Is(err, eventlog.ErrConflict) {
		t.Errorf("stale append after a restart: %v, want ErrConflict", err)
	}
	for _, name := range fileNames(t, dir) {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v, want 0600", name, st.Mode(), err)
		}
	}
}

func fileNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestOneWriterManyReaders(t *testing.T) {
	dir := t.TempDir()
	if _, err := sqlite.OpenReadOnly(t.Context(), sqlite.Options{Dir: dir}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenReadOnly of nothing: %v, want fs.ErrNotExist", err)
	}
	l := openLog(t, dir)
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir}); !errors.Is(err, sqlite.ErrLocked) {
		t.Errorf("second Open: %v, want ErrLocked", err)
	}
	fillLog(t, l)
	ro, err := sqlite.OpenReadOnly(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatalf("OpenReadOnly beside the owner: %v", err)
	}
	defer func() {
		if err := ro.Close(); err != nil {
			t.Errorf("Close of the read-only log: %v", err)
		}
	}()
	want, _ := contents(t, l)
	if got, err := contents(t, ro); err != nil || got != want {
		t.Errorf("the read-only log reads something else (%v)", err)
	}
	news := make(chan error, 1)
	go func() { news <- ro.Wait(t.Context(), 200) }()
	if _, err := l.Append(t.Context(), childBatch(109, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-news; err != nil {
		t.Errorf("Wait on the read-only log: %v", err)
	}
	if recs, err := ro.Tail(t.Context(), 200, 0); err != nil || len(recs) != perAppend {
		t.Errorf("Tail on the read-only log: %d events, %v, want %d", len(recs), err, perAppend)
	}
	for name, err := range map[string]error{
		"Append":       errOf(ro.Append(t.Context(), childBatch(108, 0))),
		"ReleaseLease": ro.ReleaseLease(t.Context(), "x", "n", 1),
		"Rewrite":      ro.Rewrite(t.Context(), childStream(108), eventlog.Rewriting{Key: 4}),
	} {
		if !errors.Is(err, sqlite.ErrReadOnly) {
			t.Errorf("%s on the read-only log: %v, want ErrReadOnly", name, err)
		}
	}
	// The same when no process writes.
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	alone, err := sqlite.OpenReadOnly(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatalf("OpenReadOnly with the gateway stopped: %v", err)
	}
	defer func() { _ = alone.Close() }()
	if recs, err := alone.Read(t.Context(), childStream(109), 0, 0); err != nil || len(recs) != perAppend {
		t.Errorf("Read with the gateway stopped: %d events, %v", len(recs), err)
	}
}

func errOf(_ eventlog.Appended, err error) error { return err }

// When a second pool works on the same file, as core/directory's does, it and the log must take
// turns at the gate: neither waits for long, however busy the other is.
func TestSharedFile(t *testing.T) {
	var gate sync.Mutex
	l, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), Gate: &gate})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	db, err := sql.Open("sqlite", sqlite.DSN(l.Path()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	inserted := make(chan int, 1)
	go func() {
		n := 0
		for ctx.Err() == nil { // writes without a pause
			gate.Lock()
			_, err := db.ExecContext(context.WithoutCancel(ctx), `INSERT INTO users (name) VALUES ('x')`)
			gate.Unlock()
			if err != nil {
				t.Errorf("the other pool beside the log: %v", err)
			}
			n++
		}
		inserted <- n
	}()
	for i := range uint64(200) {
		if _, err := l.Append(t.Context(), childBatch(1, i*perAppend)); err != nil {
			t.Fatalf("append %d beside the other pool: %v", i, err)
		}
	}
	cancel()
	if n := <-inserted; n < 20 || n > 20_000 {
		t.Errorf("the other pool wrote %d rows while the log wrote 200 batches: one of them starved", n)
	}
}

// Appends that race with Close must be stored if, and only if, they were acknowledged.
func TestCloseUnderLoad(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	acked := make([]uint64, 16)
	started := make(chan struct{}, 1)
	var wg sync.WaitGroup
	for w := range acked {
		wg.Go(func() {
			for {
				_, err := l.Append(context.WithoutCancel(t.Context()), childBatch(w, acked[w]))
				if errors.Is(err, eventlog.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("append during Close: %v", err)
					return
				}
				if acked[w] += perAppend; acked[w] > 10*perAppend {
					select {
					case started <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	<-started
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	l = openLog(t, dir)
	for w, want := range acked {
		if recs, err := l.Read(t.Context(), childStream(w), 0, 0); err != nil || uint64(len(recs)) != want {
			t.Errorf("stream %d: %d events, %v, want the %d acknowledged", w, len(recs), err, want)
		}
	}
}

// No sealed content may be readable in any file, and what a rewrite replaced must be gone from the
// files when the write-ahead log has been emptied into the database (PR21).
func TestSealedBodiesInFiles(t *testing.T) {
	dir := t.TempDir()
	const canary = "CANARY-4111111111111111-canary"
	l := openLog(t, dir)
	v, err := vault.Open(t.Context(), vault.Options{Path: filepath.Join(dir, "keys.db"), Master: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	seal := func(plain string) ([]byte, int64) {
		key, err := v.Assign()
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := v.Seal(key, nil, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		return sealed, key
	}
	sealed, key := seal(canary)
	s := eventlog.StreamID{1}
	if _, err := l.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{
		{Stream: s, Events: []eventlog.Event{{Type: "message/1", Body: sealed, KeyID: key}}},
	}}); err != nil {
		t.Fatal(err)
	}
	if names := filesHolding(t, dir, []byte(canary)); len(names) > 0 {
		t.Errorf("the text is readable in %v", names)
	}
	if names := filesHolding(t, dir, sealed); len(names) == 0 {
		t.Fatal("the sealed body is in no file: the checks prove nothing")
	}
	masked, newKey := seal("****")
	if err := l.Rewrite(t.Context(), s, eventlog.Rewriting{Key: newKey, Body: func(eventlog.Record) ([]byte, error) { return masked, nil }}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if names := filesHolding(t, dir, sealed); len(names) > 0 {
		t.Errorf("the replaced body still lies in %v", names)
	}
	if names := filesHolding(t, dir, masked); len(names) == 0 {
		t.Error("the new body is in no file")
	}
}

func filesHolding(t *testing.T, dir string, want []byte) (names []string) {
	t.Helper()
	for _, name := range fileNames(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, want) {
			names = append(names, name)
		}
	}
	return names
}

// A reader in one long transaction makes the write-ahead log grow; when the reader is gone the
// write-ahead log must shrink without help (promises.md 4.12).
func TestLongReader(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	db, err := sql.Open("sqlite", sqlite.ReadDSN(l.Path()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), `SELECT count(*) FROM events`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 1<<20)
	head := uint64(0)
	grow := func(megabytes int) {
		for range megabytes {
			if _, err := l.Append(t.Context(), &eventlog.Batch{Streams: []eventlog.StreamAppend{
				{Stream: eventlog.StreamID{1}, Expect: head, Events: []eventlog.Event{{Type: "big/1", Body: body, KeyID: 1}}},
			}}); err != nil {
				t.Fatal(err)
			}
			head++
		}
	}
	walSize := func() int64 {
		st, err := os.Stat(filepath.Join(dir, walFile))
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	grow(80)
	held := walSize()
	if held < 80<<20 {
		t.Fatalf("with a reader holding on the write-ahead log has %d bytes: the test proves nothing", held)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(3 * time.Minute) // a disk that other processes use copies slowly
	for walSize() > 64<<20 {                    // the size to which the file is cut when the log starts over
		if time.Now().After(deadline) {
			t.Fatalf("the write-ahead log still has %d bytes", walSize())
		}
		grow(1)
	}
}

// A start reads ten thousand open conversations in one query of small rows.
func TestLoadOpenConversations(t *testing.T) {
	n := rounds(2000, 10_000)
	l := openLog(t, t.TempDir())
	state := bytes.Repeat([]byte("s"), 900)
	for i := 0; i < n; i += 500 {
		b := &eventlog.Batch{}
		for j := i; j < i+500; j++ {
			phase := eventlog.PhaseOpen
			if j%10 == 0 {
				phase = eventlog.PhaseEnded
			}
			b.Conversations = append(b.Conversations, eventlog.ConversationRow{
				ID: eventlog.StreamID{1, byte(j >> 8), byte(j)}, Account: eventlog.StreamID{2}, Service: eventlog.StreamID{3},
				Phase: phase, StartedAt: time.Unix(int64(j), 0), State: state, KeyID: int64(j + 1),
				Agents: []eventlog.ConversationAgent{{Agent: eventlog.StreamID{4, byte(j)}, Active: true}},
			})
		}
		if _, err := l.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	rows, err := l.Conversations(t.Context(), eventlog.ConversationQuery{Phases: []string{eventlog.PhaseOpen, eventlog.PhaseEnded}})
	if err != nil || len(rows) != n {
		t.Fatalf("got %d rows, %v, want %d", len(rows), err, n)
	}
	t.Logf("%d rows in %v", n, time.Since(start))
	if !slices.IsSortedFunc(rows, func(a, b eventlog.ConversationRow) int { return b.StartedAt.Compare(a.StartedAt) }) {
		t.Error("rows are not newest first")
	}
}
