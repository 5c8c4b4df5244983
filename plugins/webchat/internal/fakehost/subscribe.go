package fakehost

import (
	"bytes"
	"context"
	"fmt"
	"image"
	_ "image/jpeg" // registers a format, to find the size of pictures
	_ "image/png"  // registers a format, to find the size of pictures
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// batch is the number of records in one call of a handler.
const batch = 16

type subscription struct {
	h       *Host
	t       *thread
	cursor  sdk.Cursor
	handler sdk.RecordHandler
	closed  bool
}

// Subscribe implements sdk.Host, with one goroutine for each subscription.
func (h *Host) Subscribe(ctx context.Context, a sdk.AccountID, t sdk.ThreadID, after sdk.Cursor, handler sdk.RecordHandler, _ ...sdk.SubscribeOptions) sdk.Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &subscription{h: h, t: h.thread(a, t), cursor: after, handler: handler}
	s.t.subs[s] = struct{}{}
	h.notify()
	stop := context.AfterFunc(ctx, s.Close)
	h.work.Go(func() {
		defer stop()
		s.run()
	})
	return s
}

// Close implements sdk.Subscription.
func (s *subscription) Close() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.closed = true
	delete(s.t.subs, s)
	s.h.notify()
}

func (s *subscription) run() {
	live := false
	for {
		s.h.mu.Lock()
		recs := s.next()
		for len(recs) == 0 && live && !s.closed && !s.h.closed {
			s.h.changed.Wait()
			recs = s.next()
		}
		done := s.closed || s.h.closed
		s.h.mu.Unlock()
		if done {
			return
		}
		live = len(recs) < batch
		s.handler(sdk.RecordBatch{Records: recs, Live: live})
	}
}

// next returns records after the cursor; the caller holds mu.
func (s *subscription) next() []sdk.Record {
	var out []sdk.Record
	from := len(s.t.conversations)
	for i, c := range s.t.conversations {
		if c.id == s.cursor.Conversation || s.cursor.Conversation == "" && !c.ended {
			from = i
			break
		}
	}
	for _, c := range s.t.conversations[from:] {
		for _, r := range c.records {
			if c.id == s.cursor.Conversation && r.Seq <= s.cursor.Seq {
				continue
			}
			if len(out) == batch {
				break
			}
			out = append(out, r)
		}
	}
	if n := len(out); n > 0 {
		s.cursor = sdk.Cursor{Conversation: out[n-1].Conversation, Seq: out[n-1].Seq}
	}
	return out
}

// Blobs implements sdk.Host.
func (h *Host) Blobs() sdk.Blobs { return blobs{h} }

type blobs struct{ h *Host }

// Put implements sdk.Blobs.
func (b blobs) Put(_ context.Context, meta sdk.BlobMeta, r io.Reader) (sdk.File, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return sdk.File{}, fmt.Errorf("put blob: %w", err)
	}
	f := sdk.File{Blob: sdk.BlobID(uuid.Must(uuid.NewV7()).String()), Name: meta.Name, MIME: http.DetectContentType(data), Size: uint64(len(data))}
	if pic, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil {
		f.Width, f.Height = uint32(pic.Width), uint32(pic.Height)
	}
	b.h.mu.Lock()
	defer b.h.mu.Unlock()
	b.h.blobs[f.Blob] = Blob{File: f, Data: data}
	return f, nil
}

// Get implements sdk.Blobs.
func (b blobs) Get(_ context.Context, id sdk.BlobID) (sdk.File, io.ReadCloser, error) {
	one, ok := b.h.Blob(id)
	if !ok {
		return sdk.File{}, nil, sdk.ErrNotFound
	}
	return one.File, io.NopCloser(bytes.NewReader(one.Data)), nil
}

// URL implements sdk.Blobs.
func (b blobs) URL(_ context.Context, id sdk.BlobID, _ time.Duration, _ bool) (string, time.Time, error) {
	if _, ok := b.h.Blob(id); !ok {
		return "", time.Time{}, sdk.ErrNotFound
	}
	return b.h.baseURL + "/files/" + string(id), time.Now().Add(time.Minute), nil
}

// Blob returns a stored attachment.
func (h *Host) Blob(id sdk.BlobID) (Blob, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one, ok := h.blobs[id]
	return one, ok
}
