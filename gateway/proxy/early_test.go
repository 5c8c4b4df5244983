package proxy_test

import (
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/gateway/proxy"
)

// TestEarlyHints: an informational answer of a plugin does not reach the client. With it the plugin
// could set cookies for the gateway's origins and remove the gateway's own headers from the final
// answer (ASVS 3.4).
func TestEarlyHints(t *testing.T) {
	f := setup(t, proxy.Options{})
	f.plugin.mux.HandleFunc("/open/early", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "early=1")
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("X-Mine", "kept")
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write([]byte("page"))
		w.Header().Set("X-Sum", "4")
	})
	early := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		early++
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.web.URL+"/p/toy/open/early", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := f.web.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var body strings.Builder
	if err := res.Write(&body); err != nil {
		t.Fatal(err)
	}
	if early != 0 {
		t.Errorf("informational answers: got %d, want none", early)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'self'", "Set-Cookie": "", "Link": "", "X-Mine": "kept"} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s of the final answer: got %q, want %q", name, got, want)
		}
	}
	if res.StatusCode != http.StatusOK || res.Trailer.Get("X-Sum") != "4" || !strings.Contains(body.String(), "page") {
		t.Errorf("final answer: got status %d, trailer %v, %q", res.StatusCode, res.Trailer, body.String())
	}
}
