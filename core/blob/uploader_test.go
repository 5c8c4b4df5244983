package blob_test

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
)

// FT22: one agent's uploads within an hour must be bounded in files and in bytes, refused uploads
// must count, and other agents must not be affected.
func TestUploadsOfAgent(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	f := open(t, func(o *blob.Options) {
		o.UploaderFiles, o.UploaderBytes = 3, 1000
		o.Now = func() time.Time { return now }
	})
	ana, ben := conversation.NewID[conversation.AgentID](), conversation.NewID[conversation.AgentID]()
	put := func(who conversation.AgentID, size int) error {
		o := f.owner()
		o.Uploader = who
		_, err := f.Put(t.Context(), o, "a.pdf", "", bytes.NewReader(pdf(size)))
		return err
	}
	refused := func(what string, err error, after time.Duration) {
		t.Helper()
		full, ok := errors.AsType[*blob.QuotaError](err)
		if !ok || !errors.Is(err, blob.ErrQuota) || full.After != after || blob.HTTPStatus(err) != http.StatusTooManyRequests {
			t.Errorf("%s: got %v (%+v), want ErrQuota and %v", what, err, full, after)
		}
	}
	if err := put(ana, 600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(20 * time.Minute)
	refused("bytes", put(ana, 600), 40*time.Minute)
	if err := put(ana, 400); err != nil {
		t.Errorf("what is left: %v", err)
	}
	refused("files", put(ana, 1), 40*time.Minute)
	if err := put(ben, 1000); err != nil {
		t.Errorf("another agent's: %v", err)
	}
	for range 5 {
		if err := put(conversation.AgentID{}, 1000); err != nil {
			t.Errorf("a plugin's: %v", err)
		}
	}
	now = now.Add(40 * time.Minute)
	if err := put(ana, 1000); err != nil {
		t.Errorf("in the next hour: %v", err)
	}
}
