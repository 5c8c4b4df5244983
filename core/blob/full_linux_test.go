package blob_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/parley-gateway/parley/core/blob"
)

// FT12: a full file system must refuse uploads but not reads, and work again when there is space.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("cannot mount a small file system here:", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	f := open(t, func(o *blob.Options) { o.Dir = filepath.Join(dir, "files") })
	first := f.put("a.pdf", pdf(500_000))
	if _, err := f.Put(t.Context(), f.owner(), "b.pdf", "", bytes.NewReader(pdf(2_000_000))); !errors.Is(err, blob.ErrFull) {
		t.Errorf("Put on a full disk: got %v, want ErrFull", err)
	}
	if got, err := f.read(first.Blob); err != nil || len(got) != 500_000 {
		t.Errorf("reading on: %d bytes, %v", len(got), err)
	}
	if err := f.Delete(t.Context(), first.Blob); err != nil {
		t.Fatal(err)
	}
	f.put("c.pdf", pdf(600_000)) // there is space again, so uploads work again (PR16)
}
