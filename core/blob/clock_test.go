package blob_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
)

// FT19: when the system's clock and the installation's time differ, links must work for their time,
// and a fresh upload must be neither an orphan nor a stray object, although the file system dates
// it by the system's clock.
func TestClockDiffers(t *testing.T) {
	for _, behind := range []time.Duration{48 * time.Hour, -48 * time.Hour} {
		ahead := time.Duration(0)
		f := open(t, func(o *blob.Options) {
			o.Now = func() time.Time { return time.Now().Round(0).Add(ahead - behind) }
		})
		file, err := f.Put(t.Context(), blob.Owner{Account: f.account}, "a.pdf", "", bytes.NewReader(pdf(50)))
		if err != nil {
			t.Fatal(err)
		}
		plugins := blob.Plugins{Store: f.Store, Vault: f.vault, Log: rows{}}
		_, expires, err := plugins.URL(t.Context(), []conversation.AccountID{f.account}, file.Blob, time.Minute, false)
		if left := time.Until(expires); err != nil || left < time.Minute-time.Second || left > 6*time.Minute {
			t.Errorf("%v behind: a plugin is told that a link of a minute is good for %v by the system's clock (%v)", behind, left, err)
		}
		get := func(url string) int {
			w := httptest.NewRecorder()
			f.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
			return w.Code
		}
		url := f.SignURL(file.Blob, time.Minute, false)
		if code := get(url); code != http.StatusOK {
			t.Errorf("%v behind: a fresh link: got status %d, want 200", behind, code)
		}
		stray := f.pathOf(conversation.NewID[conversation.BlobID]()) // an object without a row, as a kill leaves it
		if err := errors.Join(os.MkdirAll(filepath.Dir(stray), 0o700), os.WriteFile(stray, []byte("x"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("%v behind: swept %d orphans, %v, just after the upload, want none", behind, n, err)
		}
		if n, err := f.SweepObjects(t.Context()); n != 0 || err != nil {
			t.Errorf("%v behind: swept %d objects, %v, just after they were written, want none", behind, n, err)
		}
		ahead = blob.OrphanAge + time.Hour
		if code := get(url); code != http.StatusForbidden {
			t.Errorf("%v behind: a link of yesterday: got status %d, want 403", behind, code)
		}
		if n, err := f.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("%v behind: swept %d orphans, %v, before their grace is over, want none", behind, n, err)
		}
		ahead += time.Hour
		if n, err := f.Sweep(t.Context()); n != 1 || err != nil {
			t.Errorf("%v behind: swept %d orphans, %v, a day later, want 1", behind, n, err)
		}
	}
}
