package bench

import (
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// TestBareServer: what the bare server accepts is in its file, and the server leaves nothing
// behind.
func TestBareServer(t *testing.T) {
	dir := t.TempDir()
	srv, err := startBare(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	const posts, body = 50, "Body=a+text"
	var wg sync.WaitGroup
	for range posts {
		wg.Go(func() {
			resp, err := http.Post(srv.url, "application/x-www-form-urlencoded", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusNoContent {
				t.Errorf("answer %d, %v", resp.StatusCode, err)
			}
		})
	}
	wg.Wait()
	kept, err := os.ReadFile(srv.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(kept), body); got != posts || len(kept) != posts*len(body) {
		t.Errorf("kept %d bodies in %d bytes, want %d", got, len(kept), posts)
	}
	if err := srv.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
