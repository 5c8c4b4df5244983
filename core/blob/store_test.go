package blob_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"gocloud.dev/blob/memblob"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fixture struct {
	*blob.Store
	t       testing.TB
	dir     string // folder of the attachments
	db      string // the database with the rows
	rows    *blob.Table
	vault   *vault.Vault
	account conversation.AccountID // accepts 1 MiB, pictures and PDF
	conv    conversation.ConversationID
	key     int64
}

func open(t testing.TB, change func(*blob.Options)) *fixture {
	t.Helper()
	base := t.TempDir()
	v, err := vault.Open(t.Context(), vault.Options{Path: filepath.Join(base, "keys.db"), Master: make([]byte, 32), BlockSize: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	records, err := directory.Open(t.Context(), directory.Options{DSN: filepath.Join(base, "parley.db"), Vault: v, Poll: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = records.Close() })
	_, err = records.Apply(t.Context(), directory.Records{
		Services: []directory.ServiceRecord{{Name: "S"}},
		Accounts: []directory.AccountRecord{{
			Name: "A", Plugin: "webchat", Service: "S",
			Files: directory.FileLimits{MaxBytes: 1 << 20, Types: []string{"image/*", "application/pdf"}},
		}},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	account, _ := records.Snapshot().AccountByName("A")
	f := &fixture{t: t, dir: filepath.Join(base, "files"), db: filepath.Join(base, "parley.db"), rows: blob.NewTable(records.Database()), vault: v, account: account.ID}
	f.conv = conversation.NewID[conversation.ConversationID]()
	if f.key, err = v.Assign(); err != nil {
		t.Fatal(err)
	}
	o := blob.Options{Dir: f.dir, Rows: f.rows, Records: records, Vault: v, Reserve: -1}
	if change != nil {
		change(&o)
		f.dir = o.Dir
	}
	if f.Store, err = blob.Open(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Store.Close() })
	return f
}

func (f *fixture) owner() blob.Owner { return blob.Owner{Conversation: f.conv, KeyID: f.key} }

func (f *fixture) put(name string, content []byte) conversation.File {
	f.t.Helper()
	file, err := f.Put(f.t.Context(), f.owner(), name, "", bytes.NewReader(content))
	if err != nil {
		f.t.Fatalf("Put(%s): %v", name, err)
	}
	return file
}

func (f *fixture) read(id conversation.BlobID) ([]byte, error) {
	f.t.Helper()
	_, r, err := f.Open(f.t.Context(), id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

// objects lists the stored files.
func (f *fixture) objects() (paths []string) {
	f.t.Helper()
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return paths
}

func photo(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), 90, 255})
		}
	}
	return img
}

func encode(t testing.TB, as string, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch as {
	case "jpeg":
		err = jpeg.Encode(&b, img, nil)
	case "png":
		err = png.Encode(&b, img)
	case "gif":
		err = gif.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pdf is a file of n bytes that is stored without change.
func pdf(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	copy(b, "%PDF-1.7\n")
	return b
}

func TestPutAndRead(t *testing.T) {
	f := open(t, nil)
	for _, n := range []int{9, 3071, 3072, 3073, 64<<10 - 1, 64 << 10, 64<<10 + 1, 3 * 64 << 10, 1<<20 + 17} {
		want := pdf(n)
		file := f.put("a.pdf", want)
		if file.MIME != "application/pdf" || file.Size != int64(n) {
			t.Errorf("%d bytes: got %+v", n, file)
		}
		got, err := f.read(file.Blob)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: read back %d bytes, %v; or they differ", n, len(got), err)
		}
		_, r, err := f.Open(t.Context(), file.Blob)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(r, want); n < 100_000 && err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		_ = r.Close()
	}
}

func TestRefused(t *testing.T) {
	f := open(t, func(o *blob.Options) { o.MaxBytes, o.MaxPixels = 100_000, 1_000_000 })
	mine := blob.Owner{Account: f.account}
	huge := encode(t, "png", image.NewGray(image.Rect(0, 0, 2000, 1000)))
	zip := "PK\x03\x04\x14\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 50)
	for name, c := range map[string]struct {
		owner   blob.Owner
		name    string
		content string
		want    error
	}{
		"empty":                    {f.owner(), "a.txt", "", blob.ErrType},
		"SVG":                      {f.owner(), "a.svg", `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`, blob.ErrType},
		"SVG named png":            {f.owner(), "a.png", `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>`, blob.ErrType},
		"HTML":                     {f.owner(), "a.html", "<!DOCTYPE html><script>alert(1)</script>", blob.ErrType},
		"HTML named txt":           {f.owner(), "a.txt", "\n\n  <html><body>", blob.ErrType},
		"XML":                      {f.owner(), "a.xml", `<?xml version="1.0"?><a/>`, blob.ErrType},
		"program":                  {f.owner(), "a.pdf", "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 64), blob.ErrType},
		"Windows program":          {f.owner(), "a.jpg", "MZ" + strings.Repeat("\x00", 200), blob.ErrType},
		"shell script":             {f.owner(), "a.txt", "#!/bin/sh\nrm -rf /\n", blob.ErrType},
		"nothing known":            {f.owner(), "a.bin", "\x00\x01\x02\x03\x04\x05", blob.ErrType},
		"picture that is none":     {f.owner(), "a.gif", "GIF89a/*<script>*/=1;alert(1)", blob.ErrType},
		"picture cut in its head":  {f.owner(), "a.png", "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", blob.ErrType},
		"too large":                {f.owner(), "a.pdf", string(pdf(100_001)), blob.ErrTooLarge},
		"too large for an account": {mine, "a.pdf", string(pdf(1<<20 + 1)), blob.ErrTooLarge},
		"not for this account":     {mine, "a.zip", zip, blob.ErrType},
		"text for this account":    {mine, "a.txt", "plain text", blob.ErrType},
		"too many pixels":          {f.owner(), "a.png", string(huge), blob.ErrPixels},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.Put(t.Context(), c.owner, c.name, "image/png", strings.NewReader(c.content))
			if !errors.Is(err, c.want) {
				t.Errorf("Put: got %v, want %v", err, c.want)
			}
		})
	}
	if got := f.objects(); len(got) != 0 {
		t.Errorf("refused uploads left %v", got)
	}
	for _, n := range []int{99_999, 100_000} {
		if _, err := f.Put(t.Context(), f.owner(), "a.pdf", "", bytes.NewReader(pdf(n))); err != nil {
			t.Errorf("%d bytes, at most 100000: %v", n, err)
		}
	}
	if _, err := f.Put(t.Context(), mine, "a.pdf", "", bytes.NewReader(pdf(1<<20))); err != nil {
		t.Errorf("1 MiB to the account that takes it: %v", err)
	}
}

func TestTypesAndNames(t *testing.T) {
	f := open(t, nil)
	for name, c := range map[string]struct {
		name, content    string
		wantMIME, wantIs string
	}{
		"text":              {"notes.txt", "hello", "text/plain", "notes.txt"},
		"ending of another": {"evil.html", "just words", "text/plain", "evil.html.txt"},
		"no ending":         {"README", "just words", "text/plain", "README.txt"},
		"path":              {`..\..\C:\boot.ini`, "just words", "text/plain", "boot.ini.txt"},
		"upper case":        {"SCAN.PDF", "%PDF-1.4\n", "application/pdf", "SCAN.PDF"},
		"no name":           {"", "%PDF-1.4\n", "application/pdf", "file.pdf"},
		"turned around":     {"photo\u202egpj.exe", "%PDF-1.4\n", "application/pdf", "photogpj.exe.pdf"},
	} {
		t.Run(name, func(t *testing.T) {
			file := f.put(c.name, []byte(c.content))
			if file.MIME != c.wantMIME || file.Name != c.wantIs {
				t.Errorf("Put(%q): got %s %q, want %s %q", c.name, file.MIME, file.Name, c.wantMIME, c.wantIs)
			}
		})
	}
}

// Nothing may be in clear on disk, neither content nor name nor a part of either, while an upload
// runs and afterwards, thumbnails included.
func TestNothingInClear(t *testing.T) {
	f := open(t, nil)
	const canary = "canary-0c7a9e"
	text := []byte("start " + strings.Repeat(canary+" ", 20_000))
	check := func(when string) {
		t.Helper()
		err := filepath.WalkDir(filepath.Dir(f.dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			for _, s := range []string{canary, "JFIF", "\x89PNG"} {
				if bytes.Contains(b, []byte(s)) {
					t.Errorf("%s: %s holds %q in clear", when, filepath.Base(path), s)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	half := io.MultiReader(bytes.NewReader(text[:200_000]), readerFunc(func() { check("while uploading") }), bytes.NewReader(text[200_000:]))
	file, err := f.Put(t.Context(), f.owner(), canary+".txt", "", half)
	if err != nil {
		t.Fatal(err)
	}
	f.put(canary+".png", encode(t, "png", photo(1000, 600)))
	check("afterwards")
	if got, err := f.read(file.Blob); err != nil || !bytes.Equal(got, text) {
		t.Errorf("read back %d bytes, %v", len(got), err)
	}
	info, err := os.Stat(f.dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder has mode %v, %v; want 0700", info.Mode(), err)
	}
}

// readerFunc calls a function when it is read, and returns no bytes.
type readerFunc func()

func (fn readerFunc) Read([]byte) (int, error) {
	fn()
	return 0, io.EOF
}

func TestDamageIsDetected(t *testing.T) {
	f := open(t, nil)
	const sealed = 64<<10 + 16
	content := pdf(3*64<<10 + 100)
	for name, damage := range map[string]func(b []byte) []byte{
		"bit flipped":     func(b []byte) []byte { b[sealed+5] ^= 1; return b },
		"last chunk gone": func(b []byte) []byte { return b[:3*sealed] },
		"cut in a chunk":  func(b []byte) []byte { return b[:len(b)-1] },
		"chunks swapped": func(b []byte) []byte {
			return bytes.Join([][]byte{b[sealed : 2*sealed], b[:sealed], b[2*sealed:]}, nil)
		},
		"empty":              func([]byte) []byte { return nil },
		"a chunk too little": func(b []byte) []byte { return append(b[:sealed], b[2*sealed:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			file := f.put("a.pdf", content)
			path := f.pathOf(file.Blob)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := f.read(file.Blob); !errors.Is(err, blob.ErrDamaged) {
				t.Errorf("read %d bytes, %v; want ErrDamaged", len(got), err)
			}
		})
	}
	a, b := f.put("a.pdf", content), f.put("b.pdf", content)
	other, err := os.ReadFile(f.pathOf(b.Blob))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.pathOf(a.Blob), other, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.read(a.Blob); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("another attachment's file: got %v, want ErrDamaged", err)
	}
	if err := os.Remove(f.pathOf(b.Blob)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.read(b.Blob); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("a missing file: got %v, want ErrDamaged", err)
	}
}

func (f *fixture) pathOf(id conversation.BlobID) string {
	s := id.String()
	return filepath.Join(f.dir, s[len(s)-2:], s)
}

func TestFailedUploadLeavesNothing(t *testing.T) {
	f := open(t, nil)
	broken := errors.New("connection lost")
	for _, content := range [][]byte{pdf(300_000), encode(t, "png", photo(300, 300))} {
		body := io.MultiReader(bytes.NewReader(content[:len(content)/2]), iotest.ErrReader(broken))
		if _, err := f.Put(t.Context(), f.owner(), "a", "", body); !errors.Is(err, broken) {
			t.Errorf("Put: got %v, want the reader's error", err)
		}
	}
	if got := f.objects(); len(got) != 0 {
		t.Errorf("failed uploads left %v", got)
	}
	if rows, err := f.rows.OfConversation(t.Context(), f.conv); err != nil || len(rows) != 0 {
		t.Errorf("failed uploads left rows %v, %v", rows, err)
	}
}

func TestReserve(t *testing.T) {
	f := open(t, func(o *blob.Options) { o.Reserve = 1 << 60 })
	if _, err := f.Put(t.Context(), f.owner(), "a.pdf", "", bytes.NewReader(pdf(10))); !errors.Is(err, blob.ErrFull) {
		t.Errorf("Put: got %v, want ErrFull", err)
	}
}

// A sender may name what was uploaded to the conversation, or to the account and the thread, unless
// another message has it. Find must change nothing.
func TestFind(t *testing.T) {
	f := open(t, nil)
	ctx := t.Context()
	png := encode(t, "png", photo(10, 10))
	upload := func(o blob.Owner) conversation.BlobID {
		file, err := f.Put(ctx, o, "a.png", "", bytes.NewReader(png))
		if err != nil {
			t.Fatal(err)
		}
		return file.Blob
	}
	mine, theirs := eventlog.Key{1}, eventlog.Key{2}
	other, second := conversation.NewID[conversation.ConversationID](), conversation.NewID[conversation.AccountID]()
	own, accounts := upload(f.owner()), upload(blob.Owner{Account: f.account})
	threads := upload(blob.Owner{Account: f.account, Thread: mine})
	for name, c := range map[string]struct {
		by   blob.Sender
		id   conversation.BlobID
		want bool
	}{
		"own":                       {blob.Sender{Conversation: f.conv}, own, true},
		"another conversation's":    {blob.Sender{Conversation: other, Account: f.account, Thread: mine}, own, false},
		"the account's":             {blob.Sender{Conversation: other, Account: f.account, Thread: theirs}, accounts, true},
		"another account's":         {blob.Sender{Conversation: other, Account: second, Thread: mine}, accounts, false},
		"an account's, by an agent": {blob.Sender{Conversation: f.conv}, accounts, false},
		"the thread's":              {blob.Sender{Conversation: other, Account: f.account, Thread: mine}, threads, true},
		"another thread's":          {blob.Sender{Conversation: other, Account: f.account, Thread: theirs}, threads, false},
		"a thread's, by an agent":   {blob.Sender{Conversation: f.conv}, threads, false},
		"no such":                   {blob.Sender{Conversation: f.conv, Account: f.account}, conversation.NewID[conversation.BlobID](), false},
	} {
		found, err := f.Find(ctx, c.by, []conversation.BlobID{own, c.id})
		if err != nil || len(found) != 2 || (found[1].Blob == c.id) != c.want || found[1].Used {
			t.Errorf("%s: got %+v, %v; want found: %v", name, found, err, c.want)
		}
		if c.want && (found[1].Name != "a.png" || found[1].Width != 10) {
			t.Errorf("%s: described as %+v", name, found[1])
		}
	}
	if err := f.Take(ctx, f.conv, []conversation.BlobID{own, threads}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		conv conversation.ConversationID
		want bool
	}{"again in the conversation": {f.conv, true}, "in another": {other, false}} {
		found, err := f.Find(ctx, blob.Sender{Conversation: c.conv, Account: f.account, Thread: mine}, []conversation.BlobID{threads})
		if err != nil || found[0].Used != c.want || found[0].Blob.IsZero() == c.want {
			t.Errorf("%s: got %+v, %v; want found: %v", name, found, err, c.want)
		}
	}
}

// An attachment whose key was destroyed counts as not found. It must not be an error that makes the
// message come again.
func TestFindErased(t *testing.T) {
	f := open(t, nil)
	file := f.put("a.pdf", pdf(10))
	if err := f.vault.Destroy(t.Context(), f.key); err != nil {
		t.Fatal(err)
	}
	found, err := f.Find(t.Context(), blob.Sender{Conversation: f.conv}, []conversation.BlobID{file.Blob})
	if err != nil || !found[0].Blob.IsZero() {
		t.Errorf("Find: got %+v, %v; want nothing", found, err)
	}
}

// swept sweeps, waits until the grace of the marked orphans is over, and sweeps again.
func (f *fixture) swept() int {
	f.t.Helper()
	if n, err := f.Sweep(f.t.Context()); n != 0 || err != nil {
		f.t.Fatalf("Sweep: %d, %v; want orphans marked, none deleted yet", n, err)
	}
	if err := f.exec(`UPDATE blobs SET orphaned_at = orphaned_at - 61000 WHERE orphaned_at > 0`); err != nil {
		f.t.Fatal(err)
	}
	n, err := f.Sweep(f.t.Context())
	if err != nil {
		f.t.Fatalf("Sweep: %v", err)
	}
	return n
}

func TestSweep(t *testing.T) {
	named := map[conversation.BlobID]conversation.ConversationID{}
	f := open(t, func(o *blob.Options) { o.Named = logOf(named) })
	ctx := t.Context()
	orphan, used, fresh := f.put("a.pdf", pdf(100)), f.put("b.png", encode(t, "png", photo(9, 9))), f.put("c.pdf", pdf(100))
	unmarked, late := f.put("d.pdf", pdf(100)), f.put("e.pdf", pdf(100)) // as after a kill between the commit and Take
	named[unmarked.Blob] = f.conv
	if err := f.Take(ctx, f.conv, []conversation.BlobID{used.Blob}); err != nil {
		t.Fatal(err)
	}
	if n := f.swept(); n != 0 {
		t.Errorf("Sweep on the first day: %d; want 0", n)
	}
	if row, err := f.rows.Row(ctx, unmarked.Blob); err != nil || !row.Used || row.Conversation != f.conv {
		t.Errorf("named by a committed message: row %+v, %v; want used", row, err)
	}
	aged := blob.Row{
		ID: conversation.NewID[conversation.BlobID](), Conversation: f.conv, KeyID: f.key, MIME: "application/pdf",
		SealedName: []byte("x"), State: blob.StateUploading, CreatedAt: time.Now().Add(-25 * time.Hour),
	}
	if err := f.rows.Add(ctx, aged); err != nil {
		t.Fatal(err)
	}
	if err := f.age(late.Blob); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Sweep(ctx); n != 0 || err != nil {
		t.Errorf("Sweep: %d, %v; want orphans marked, none deleted yet", n, err)
	}
	named[late.Blob] = f.conv // a message that had found it has been appended now
	if found, err := f.Find(ctx, blob.Sender{Conversation: f.conv}, []conversation.BlobID{late.Blob}); err != nil || !found[0].Blob.IsZero() {
		t.Errorf("an orphan: found %+v, %v; want nothing", found, err)
	}
	if err := f.age(orphan.Blob, used.Blob); err != nil {
		t.Fatal(err)
	}
	if n := f.swept(); n != 2 {
		t.Errorf("Sweep: %d; want the orphan and the upload cut short", n)
	}
	for name, c := range map[string]struct {
		id   conversation.BlobID
		want error
	}{
		"orphan": {orphan.Blob, blob.ErrNotFound}, "used": {used.Blob, nil}, "fresh": {fresh.Blob, nil},
		"unmarked": {unmarked.Blob, nil}, "taken late": {late.Blob, nil},
	} {
		if _, err := f.read(c.id); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	// Objects as a kill leaves them: a temporary file, an upload, and one without a row.
	old := time.Now().Add(-25 * time.Hour)
	stray := f.pathOf(conversation.NewID[conversation.BlobID]())
	for _, path := range []string{stray, f.pathOf(used.Blob) + ".u", f.pathOf(used.Blob) + ".18a.tmp", f.pathOf(fresh.Blob) + ".18b.tmp"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(path, "18b.tmp") {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chtimes(f.pathOf(used.Blob), old, old); err != nil {
		t.Fatal(err)
	}
	if n, err := f.SweepObjects(ctx); n != 3 || err != nil {
		t.Errorf("SweepObjects: %d, %v; want 3", n, err)
	}
	if _, err := f.read(used.Blob); err != nil {
		t.Errorf("an old attachment in use: %v", err)
	}
}

// logOf is a function for Options.Named that asks a map instead of a log.
func logOf(named map[conversation.BlobID]conversation.ConversationID) func(context.Context, conversation.BlobID) (conversation.ConversationID, error) {
	return func(_ context.Context, id conversation.BlobID) (conversation.ConversationID, error) {
		if conv, ok := named[id]; ok {
			return conv, nil
		}
		return conversation.ConversationID{}, blob.ErrNotFound
	}
}

// What was uploaded to a conversation and never sent must be removed at its end, with a running
// upload, and not a day later; attachments of messages must stay (19).
func TestEndOfConversation(t *testing.T) {
	over := map[conversation.ConversationID]bool{}
	named := map[conversation.BlobID]conversation.ConversationID{}
	f := open(t, func(o *blob.Options) {
		o.Named = logOf(named)
		o.Over = func(_ context.Context, id conversation.ConversationID) (bool, error) { return over[id], nil }
	})
	unsent, sent, unmarked := f.put("a.pdf", pdf(100)), f.put("b.pdf", pdf(100)), f.put("c.pdf", pdf(100))
	waiting, err := f.Put(t.Context(), blob.Owner{Account: f.account, Thread: eventlog.Key{1}}, "d.pdf", "", bytes.NewReader(pdf(100)))
	if err != nil {
		t.Fatal(err)
	}
	named[unmarked.Blob] = f.conv
	if err := f.Take(t.Context(), f.conv, []conversation.BlobID{sent.Blob}); err != nil {
		t.Fatal(err)
	}
	if n := f.swept(); n != 0 {
		t.Errorf("while it is open: deleted %d, want 0", n)
	}
	content := pdf(10_000)
	body := io.MultiReader(bytes.NewReader(content[:5000]), readerFunc(func() {
		over[f.conv] = true
		if n := f.swept(); n != 2 {
			t.Errorf("at its end: deleted %d, want what was not sent and what is on its way", n)
		}
	}), bytes.NewReader(content[5000:]))
	if _, err := f.Put(t.Context(), f.owner(), "late.pdf", "", body); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("an upload that ends later: got %v, want ErrNotFound", err)
	}
	for name, c := range map[string]struct {
		id   conversation.BlobID
		want error
	}{"unsent": {unsent.Blob, blob.ErrNotFound}, "sent": {sent.Blob, nil}, "unmarked": {unmarked.Blob, nil}, "waiting": {waiting.Blob, nil}} {
		if _, err := f.read(c.id); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if got := f.objects(); len(got) != 3 {
		t.Errorf("%d files left, want 3: %v", len(got), got)
	}
}

// Run must be told of a conversation's end at once, and remove its orphans a minute later.
func TestRunRemovesAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conv := conversation.NewID[conversation.ConversationID]()
		rows := &oneRow{row: blob.Row{ID: conversation.NewID[conversation.BlobID](), Conversation: conv, State: blob.StateReady, CreatedAt: time.Now()}}
		s, err := blob.Open(blob.Options{Bucket: memblob.OpenBucket(nil), Rows: rows, Records: noRecords{}, Vault: noVault{}, Reserve: -1})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		synctest.Wait()
		s.Ended(conv)
		synctest.Wait()
		if rows.state() != blob.StateOrphaned {
			t.Errorf("at the end: %s, want orphaned", rows.state())
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if rows.state() != blob.StateDeleted {
			t.Errorf("a minute later: %s, want deleted", rows.state())
		}
		stop()
		<-done
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// oneRow keeps one row; methods that Run does not call are missing.
type oneRow struct {
	blob.Rows
	mu  sync.Mutex
	row blob.Row
}

func (r *oneRow) state() blob.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.row.State
}

func (r *oneRow) Unused(_ context.Context, after conversation.BlobID, _ int) ([]blob.Row, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.row.State == blob.StateDeleted || !after.IsZero() {
		return nil, nil
	}
	return []blob.Row{r.row}, nil
}

func (r *oneRow) UnusedOf(_ context.Context, conv conversation.ConversationID) ([]blob.Row, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if conv != r.row.Conversation || r.row.State == blob.StateDeleted {
		return nil, nil
	}
	return []blob.Row{r.row}, nil
}

func (r *oneRow) Orphan(_ context.Context, id conversation.BlobID, at time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id != r.row.ID || r.row.State != blob.StateReady {
		return blob.ErrNotFound
	}
	r.row.State, r.row.OrphanedAt = blob.StateOrphaned, at
	return nil
}

func (r *oneRow) EndOrphan(_ context.Context, id conversation.BlobID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id != r.row.ID || r.row.State != blob.StateOrphaned {
		return blob.ErrNotFound
	}
	r.row.State = blob.StateDeleted
	return nil
}

type noVault struct{ blob.Vault }

type noRecords struct{ blob.Records }

// age makes attachments a day older, directly in the database.
func (f *fixture) age(ids ...conversation.BlobID) error {
	for _, id := range ids {
		if err := f.exec(`UPDATE blobs SET created_at = $1 WHERE id = $2`, time.Now().Add(-25*time.Hour).UnixMilli(), id); err != nil {
			return err
		}
	}
	return nil
}

func (f *fixture) exec(query string, args ...any) error {
	db, err := sql.Open("sqlite", "file:"+f.db+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	_, err = db.ExecContext(f.t.Context(), query, args...)
	return errors.Join(err, db.Close())
}

func TestDeleteAndErase(t *testing.T) {
	f := open(t, nil)
	ctx := t.Context()
	file := f.put("a.png", encode(t, "png", photo(900, 10)))
	if err := f.Delete(ctx, file.Blob); err != nil {
		t.Fatal(err)
	}
	if _, err := f.read(file.Blob); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("after Delete: got %v, want ErrNotFound", err)
	}
	if err := f.Delete(ctx, file.Blob); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Delete again: got %v, want ErrNotFound", err)
	}
	own := f.put("b.pdf", pdf(100))
	moved, err := f.Put(ctx, blob.Owner{Account: f.account}, "c.pdf", "", bytes.NewReader(pdf(100)))
	if err != nil {
		t.Fatal(err)
	}
	_, row, err := f.Info(ctx, moved.Blob)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Take(ctx, f.conv, []conversation.BlobID{own.Blob, moved.Blob}); err != nil {
		t.Fatal(err)
	}
	if err := f.Erase(ctx, f.conv, f.key); err != nil {
		t.Fatal(err)
	}
	if got := f.objects(); len(got) != 0 {
		t.Errorf("Erase left %v", got)
	}
	if _, err := f.vault.Seal(row.KeyID, nil, nil); !errors.Is(err, vault.ErrDestroyed) {
		t.Errorf("the attachment's own key: got %v, want ErrDestroyed", err)
	}
	if _, err := f.vault.Seal(f.key, nil, nil); err != nil {
		t.Errorf("the conversation's key is not Erase's to destroy: %v", err)
	}
}

func TestConversationKeyIsAskedFor(t *testing.T) {
	var asked conversation.ConversationID
	f := open(t, func(o *blob.Options) {
		o.ConversationKey = func(_ context.Context, id conversation.ConversationID) (int64, error) {
			asked = id
			return 1, nil
		}
	})
	file, err := f.Put(t.Context(), blob.Owner{Conversation: f.conv}, "a.pdf", "", bytes.NewReader(pdf(10)))
	if err != nil || asked != f.conv {
		t.Fatalf("Put: %v; asked for the key of %v, want %v", err, asked, f.conv)
	}
	if _, row, err := f.Info(t.Context(), file.Blob); err != nil || row.KeyID != 1 {
		t.Errorf("row has key %d, %v; want 1", row.KeyID, err)
	}
}

func ExampleDisposition() {
	fmt.Println(blob.Disposition("Größe.pdf", false))
	// Output: attachment; filename="Gr__e.pdf"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.pdf
}

// damagedKey is a vault in which one key is damaged.
type damagedKey struct {
	*vault.Vault
	key int64
}

func (v *damagedKey) Open(key int64, aad, sealed []byte) ([]byte, error) {
	if key == v.key {
		return nil, vault.ErrDamaged
	}
	return v.Vault.Open(key, aad, sealed)
}

func (v *damagedKey) Seal(key int64, aad, plain []byte) ([]byte, error) {
	if key == v.key {
		return nil, vault.ErrDamaged
	}
	return v.Vault.Seal(key, aad, plain)
}

// FT13: an attachment whose key is damaged counts as not found, too.
func TestFindDamagedKey(t *testing.T) {
	keys := &damagedKey{}
	f := open(t, func(o *blob.Options) { keys.Vault, o.Vault = o.Vault.(*vault.Vault), keys })
	file := f.put("a.pdf", pdf(10))
	keys.key = f.key
	lost, err := f.Find(t.Context(), blob.Sender{Conversation: f.conv}, []conversation.BlobID{file.Blob})
	if err != nil || !lost[0].Blob.IsZero() {
		t.Errorf("Find: got %+v, %v; want nothing", lost, err)
	}
}

// FT13: an upload to a conversation whose key is damaged must get a key of its own.
func TestPutDamagedKey(t *testing.T) {
	keys := &damagedKey{}
	f := open(t, func(o *blob.Options) { keys.Vault, o.Vault = o.Vault.(*vault.Vault), keys })
	keys.key = f.key
	file := f.put("a.pdf", pdf(10))
	if _, row, err := f.Info(t.Context(), file.Blob); err != nil || row.KeyID == f.key {
		t.Errorf("attachment: got key %d, %v; want one of its own", row.KeyID, err)
	}
}
