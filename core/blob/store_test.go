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
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fixture struct {
	*blob.Store
	t       testing.TB
	dir     string // of the attachments
	db      string // file of the rows
	rows    *directory.Directory
	vault   *vault.Vault
	account conversation.AccountID // takes 1 MiB, pictures and PDF
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
	rows, err := directory.Open(t.Context(), directory.Options{DSN: filepath.Join(base, "parley.db"), Vault: v, Poll: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rows.Close() })
	_, err = rows.Apply(t.Context(), directory.Records{
		Services: []directory.ServiceRecord{{Name: "S"}},
		Accounts: []directory.AccountRecord{{
			Name: "A", Plugin: "webchat", Service: "S",
			Files: directory.FileLimits{MaxBytes: 1 << 20, Types: []string{"image/*", "application/pdf"}},
		}},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	account, _ := rows.Snapshot().AccountByName("A")
	f := &fixture{t: t, dir: filepath.Join(base, "files"), db: filepath.Join(base, "parley.db"), rows: rows, vault: v, account: account.ID}
	f.conv = conversation.NewID[conversation.ConversationID]()
	if f.key, err = v.Assign(); err != nil {
		t.Fatal(err)
	}
	o := blob.Options{Dir: f.dir, Rows: rows, Vault: v, Reserve: -1}
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

// objects are the stored files.
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

// pdf is something that is taken as it is, of n bytes.
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

// Nothing lies in clear on disk: neither content, nor name, nor a part of
// either, while an upload runs and afterwards, thumbnails included.
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

// readerFunc calls a function when it is read, and is empty.
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
	if rows, err := f.rows.BlobsOf(t.Context(), f.conv); err != nil || len(rows) != 0 {
		t.Errorf("failed uploads left rows %v, %v", rows, err)
	}
}

func TestReserve(t *testing.T) {
	f := open(t, func(o *blob.Options) { o.Reserve = 1 << 60 })
	if _, err := f.Put(t.Context(), f.owner(), "a.pdf", "", bytes.NewReader(pdf(10))); !errors.Is(err, blob.ErrFull) {
		t.Errorf("Put: got %v, want ErrFull", err)
	}
}

func TestClaim(t *testing.T) {
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
	other := conversation.NewID[conversation.ConversationID]()
	own, accounts := upload(f.owner()), upload(blob.Owner{Account: f.account})
	files, err := f.Claim(ctx, f.conv, f.account, []conversation.BlobID{accounts, own})
	if err != nil || len(files) != 2 || files[0].Blob != accounts || files[1].Name != "a.png" || files[1].Width != 10 {
		t.Fatalf("Claim: got %+v, %v", files, err)
	}
	if _, err := f.Claim(ctx, f.conv, f.account, []conversation.BlobID{accounts, own}); err != nil {
		t.Errorf("the same again: %v", err)
	}
	free := upload(f.owner())
	for name, c := range map[string]struct {
		conv    conversation.ConversationID
		account conversation.AccountID
		ids     []conversation.BlobID
	}{
		"another conversation's":           {other, f.account, []conversation.BlobID{own}},
		"moved to a conversation":          {other, f.account, []conversation.BlobID{accounts}},
		"no such":                          {f.conv, f.account, []conversation.BlobID{conversation.NewID[conversation.BlobID]()}},
		"one good and one another's":       {other, f.account, []conversation.BlobID{upload(blob.Owner{Account: f.account}), own}},
		"an account's, by an agent's send": {f.conv, conversation.AccountID{}, []conversation.BlobID{upload(blob.Owner{Account: f.account})}},
	} {
		if _, err := f.Claim(ctx, c.conv, c.account, c.ids); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", name, err)
		}
	}
	if _, row, err := f.Info(ctx, free); err != nil || row.Used {
		t.Errorf("one that was not claimed: %+v, %v; want unused", row, err)
	}
}

func TestSweep(t *testing.T) {
	f := open(t, nil)
	ctx := t.Context()
	orphan, used, fresh := f.put("a.pdf", pdf(100)), f.put("b.png", encode(t, "png", photo(9, 9))), f.put("c.pdf", pdf(100))
	if _, err := f.Claim(ctx, f.conv, f.account, []conversation.BlobID{used.Blob}); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Sweep(ctx); n != 0 || err != nil {
		t.Errorf("Sweep on the first day: %d, %v; want 0", n, err)
	}
	aged := directory.BlobRow{
		ID: conversation.NewID[conversation.BlobID](), Conversation: f.conv, KeyID: f.key, MIME: "application/pdf",
		SealedName: []byte("x"), State: directory.BlobUploading, CreatedAt: time.Now().Add(-25 * time.Hour),
	}
	if err := f.rows.AddBlob(ctx, aged); err != nil {
		t.Fatal(err)
	}
	if err := f.age(orphan.Blob, used.Blob); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Sweep(ctx); n != 2 || err != nil {
		t.Errorf("Sweep: %d, %v; want the orphan and the upload cut short", n, err)
	}
	for name, c := range map[string]struct {
		id   conversation.BlobID
		want error
	}{"orphan": {orphan.Blob, blob.ErrNotFound}, "used": {used.Blob, nil}, "fresh": {fresh.Blob, nil}} {
		if _, err := f.read(c.id); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	// Objects: a kill left a temporary file, an upload, and one without a row.
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

// age makes attachments a day older, behind everybody's back.
func (f *fixture) age(ids ...conversation.BlobID) error {
	db, err := sql.Open("sqlite", "file:"+f.db+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, id := range ids {
		_, err := db.ExecContext(f.t.Context(), `UPDATE blobs SET created_at = $1 WHERE id = $2`, time.Now().Add(-25*time.Hour).UnixMilli(), id)
		if err != nil {
			return err
		}
	}
	return nil
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
	if _, err := f.Claim(ctx, f.conv, f.account, []conversation.BlobID{own.Blob, moved.Blob}); err != nil {
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
