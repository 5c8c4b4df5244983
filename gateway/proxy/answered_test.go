package proxy_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/gateway/proxy"
)

// When a plugin answers before it has read the body, for example that the body is too large, the
// sender gets that whole answer and never the gateway's 503.
func TestAnswerBeforeBody(t *testing.T) {
	f := setup(t, proxy.Options{})
	f.host.routes["big"] = proxy.Route{Access: proxy.Public, MaxBody: 1 << 20}
	long := strings.Repeat("too much ", 50_000)
	f.plugin.mux.HandleFunc("/big/full", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 10_000)
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, long)
	})
	for range 10 {
		res, err := f.web.Client().Post(f.web.URL+"/p/toy/big/full", "text/plain", bytes.NewReader(make([]byte, 700_000)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusTooManyRequests || string(got) != long {
			t.Fatalf("got status %d, %d bytes (%v); want 429 and the plugin's %d bytes", res.StatusCode, len(got), err, len(long))
		}
	}
}
