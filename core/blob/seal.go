package blob

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parley-gateway/parley/core/conversation"
)

// The sealed form of a stream is a sequence of chunks of 64 KiB, each AES-256-GCM with its number
// as nonce. Only the last chunk may be shorter, and it is marked in its nonce. So chunks cannot be
// changed, swapped, left out, or cut off the end (the STREAM construction, Hoang et al. 2015). The
// key is used for one attachment only, whose id is authenticated too.
const (
	chunkSize  = 64 << 10
	chunkExtra = 16 // GCM's tag
	keySize    = 32
)

// stream distinguishes the objects of one attachment.
type stream byte

const (
	streamContent   stream = 1
	streamThumbnail stream = 2
)

// ErrDamaged: the stored content was changed or cut short.
var ErrDamaged = errors.New("blob: stored content is damaged")

type sealer struct {
	aead cipher.AEAD
	id   conversation.BlobID
	kind stream
}

func newSealer(key []byte, id conversation.BlobID, kind stream) (sealer, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, fmt.Errorf("blob: content key: %w", err)
	}
	a, err := cipher.NewGCM(b)
	if err != nil {
		return sealer{}, fmt.Errorf("blob: content key: %w", err)
	}
	return sealer{a, id, kind}, nil
}

func (s sealer) nonce(n int64, last bool) []byte {
	nonce := make([]byte, 12)
	nonce[0] = byte(s.kind)
	if last {
		nonce[1] = 1
	}
	binary.BigEndian.PutUint64(nonce[4:], uint64(n))
	return nonce
}

// sealWriter seals what is written to it. Close writes the last chunk; it does not close the
// underlying writer.
type sealWriter struct {
	sealer
	to  io.Writer
	buf []byte // clear text, at most one chunk
	out []byte
	n   int64
}

func newSealWriter(to io.Writer, s sealer) *sealWriter {
	return &sealWriter{sealer: s, to: to, buf: make([]byte, 0, chunkSize), out: make([]byte, 0, chunkSize+chunkExtra)}
}

func (w *sealWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if len(w.buf) == chunkSize { // more follows, so this chunk is not the last
			if err := w.flush(false); err != nil {
				return n, err
			}
		}
		m := copy(w.buf[len(w.buf):chunkSize], p)
		w.buf = w.buf[:len(w.buf)+m]
		p, n = p[m:], n+m
	}
	return n, nil
}

func (w *sealWriter) flush(last bool) error {
	w.out = w.aead.Seal(w.out[:0], w.nonce(w.n, last), w.buf, w.id[:])
	w.buf = w.buf[:0]
	w.n++
	_, err := w.to.Write(w.out)
	return err
}

func (w *sealWriter) Close() error { return w.flush(true) }

// Reader reads an attachment. It is an io.ReadSeekCloser; not safe for concurrent use. If the
// content was changed or cut short, Read fails with ErrDamaged.
type Reader struct {
	sealer
	size int64 // length in clear
	open func(offset int64) (io.ReadCloser, error)

	pos   int64
	from  io.ReadCloser // positioned at the chunk with number next; nil: not open
	next  int64
	chunk []byte // the opened chunk with number at
	at    int64
	buf   []byte
}

func newReader(s sealer, size int64, open func(offset int64) (io.ReadCloser, error)) *Reader {
	return &Reader{sealer: s, size: size, open: open, at: -1}
}

// Size is the length in clear, in bytes.
func (r *Reader) Size() int64 { return r.size }

func (r *Reader) chunks() int64 { return max(1, (r.size+chunkSize-1)/chunkSize) }

// Read implements io.Reader, in clear.
func (r *Reader) Read(p []byte) (int, error) {
	if r.pos >= r.size && (r.size > 0 || r.at == 0) {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := r.pos / chunkSize
	if r.at != n {
		if err := r.load(n); err != nil {
			return 0, err
		}
	}
	m := copy(p, r.chunk[r.pos-n*chunkSize:])
	r.pos += int64(m)
	if m == 0 {
		return 0, io.EOF
	}
	return m, nil
}

func (r *Reader) load(n int64) error {
	if r.from == nil || r.next != n {
		if err := r.Close(); err != nil {
			return err
		}
		from, err := r.open(n * (chunkSize + chunkExtra))
		if err != nil {
			return err
		}
		r.from, r.next = from, n
	}
	last := n == r.chunks()-1
	want := int64(chunkSize)
	if last {
		want = r.size - n*chunkSize
	}
	if r.buf == nil {
		r.buf = make([]byte, chunkSize+chunkExtra)
	}
	r.at = -1
	buf := r.buf[:want+chunkExtra]
	if _, err := io.ReadFull(r.from, buf); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return ErrDamaged
		}
		return err
	}
	chunk, err := r.aead.Open(buf[:0], r.nonce(n, last), buf, r.id[:])
	if err != nil {
		return ErrDamaged
	}
	r.chunk, r.at, r.next = chunk, n, n+1
	return nil
}

// Seek implements io.Seeker: it sets where Read continues.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("blob: seek before the start")
	}
	r.pos = offset
	return offset, nil
}

// Close closes the stored object.
func (r *Reader) Close() error {
	if r.from == nil {
		return nil
	}
	from := r.from
	r.from = nil
	return from.Close()
}
