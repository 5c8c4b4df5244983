package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/database"
)

// streamUpload is a picture as it was sent, before it is checked.
const streamUpload stream = 3

// objectKey is the name in the bucket. The last byte of a UUIDv7 is random, so the folders named by
// it fill evenly.
func objectKey(id conversation.BlobID, kind stream) string {
	s := id.String()
	key := s[len(s)-2:] + "/" + s
	switch kind {
	case streamThumbnail:
		return key + ".t"
	case streamUpload:
		return key + ".u"
	default:
		return key
	}
}

func openDir(dir string) (*blob.Bucket, error) {
	if dir == "" {
		return nil, errors.New("no folder named")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return fileblob.OpenBucket(dir, &fileblob.Options{
		NoTempDir: true, // temporary files are next to the final file, so that they can be renamed
		Metadata:  fileblob.MetadataDontWrite,
		// For the folders that fileblob makes below dir.
		DirFileMode: 0o700,
	})
}

// write seals a stream into the bucket and returns its length in clear. The object is durable on
// return.
func (s *Store) write(ctx context.Context, id conversation.BlobID, m meta, kind stream, r io.Reader) (size int64, err error) {
	seal, err := newSealer(m.Key, id, kind)
	if err != nil {
		return 0, err
	}
	// Cancelling its context makes a bucket's writer discard what was written.
	wctx, drop := context.WithCancel(ctx)
	defer drop()
	var file *os.File
	w, err := s.bucket.NewWriter(wctx, objectKey(id, kind), &blob.WriterOptions{
		ContentType: "application/octet-stream",
		BeforeWrite: func(as func(any) bool) error {
			_ = as(&file) // only a folder has a file
			return nil
		},
	})
	if err != nil {
		return 0, err
	}
	sw := newSealWriter(w, seal)
	size, err = io.Copy(sw, r)
	if err == nil {
		err = sw.Close()
	}
	if err == nil && file != nil && kind != streamUpload {
		err = file.Sync()
	}
	if err != nil {
		drop()
		_ = w.Close() // its error only says that the object was discarded
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	if file != nil && kind != streamUpload {
		return size, s.syncDirs(id)
	}
	return size, nil
}

// syncDirs makes the name of a new object durable.
func (s *Store) syncDirs(id conversation.BlobID) error {
	shard := filepath.Join(s.opts.Dir, filepath.Dir(objectKey(id, streamContent)))
	for _, dir := range []string{shard, s.opts.Dir} {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) reader(ctx context.Context, id conversation.BlobID, m meta, kind stream, size int64) (*Reader, error) {
	seal, err := newSealer(m.Key, id, kind)
	if err != nil {
		return nil, err
	}
	key := objectKey(id, kind)
	return newReader(seal, size, func(offset int64) (io.ReadCloser, error) {
		r, err := s.bucket.NewRangeReader(ctx, key, offset, -1, nil)
		if isMissing(err) {
			return nil, fmt.Errorf("%w: missing", ErrDamaged)
		}
		return r, err
	}), nil
}

func (s *Store) readAll(ctx context.Context, id conversation.BlobID, m meta, kind stream, size int64) (_ []byte, err error) {
	r, err := s.reader(ctx, id, m, kind, size)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	b := make([]byte, size)
	_, err = io.ReadFull(r, b)
	return b, err
}

func (s *Store) remove(ctx context.Context, id conversation.BlobID, kind stream) error {
	if err := s.bucket.Delete(ctx, objectKey(id, kind)); err != nil && !isMissing(err) {
		return err
	}
	return nil
}

func (s *Store) removeAll(ctx context.Context, id conversation.BlobID) error {
	return errors.Join(s.remove(ctx, id, streamContent), s.remove(ctx, id, streamThumbnail), s.remove(ctx, id, streamUpload))
}

// whose says whether an upload failed because of what was sent or because the store has a problem,
// which is never the sender's fault (PR2, FT12).
func whose(err error, sent *bounded) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, database.ErrFull):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case sent.err != nil, errors.Is(err, ErrTooLarge), errors.Is(err, ErrPixels), errors.Is(err, ErrType), errors.Is(err, ErrFull), errors.Is(err, ErrQuota), errors.Is(err, ErrNotFound):
		return err
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}
