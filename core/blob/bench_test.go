package blob_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
)

// BenchmarkPut stores files of 1 MiB, sealed and flushed.
func BenchmarkPut(b *testing.B) {
	f := open(b, nil)
	content := pdf(1 << 20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := f.Put(b.Context(), f.owner(), "a.pdf", "", bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads a file of 1 MiB back.
func BenchmarkRead(b *testing.B) {
	f := open(b, nil)
	content := pdf(1 << 20)
	b.SetBytes(int64(len(content)))
	file := f.put("a.pdf", content)
	for b.Loop() {
		_, r, err := f.Open(b.Context(), file.Blob)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		_ = r.Close()
	}
}

// BenchmarkPhoto stores a JPEG of 12 megapixels, which is cleaned and gets a thumbnail.
func BenchmarkPhoto(b *testing.B) {
	f := open(b, func(o *blob.Options) { o.MaxPixels = 20_000_000 })
	content := encode(b, "jpeg", photo(4000, 3000))
	var last conversation.File
	for b.Loop() {
		last = f.put("a.jpg", content)
	}
	if last.Width != 4000 {
		b.Errorf("got %+v", last)
	}
}
