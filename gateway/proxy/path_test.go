package proxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/gateway/proxy"
)

// TestCrookedPaths: what some server would resolve to another path passes no
// gate, however it is encoded (ASVS 8.3.1): "open" is public, "agent" is not.
func TestCrookedPaths(t *testing.T) {
	f := setup(t, proxy.Options{})
	f.plugin.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "reached "+r.RequestURI) })
	for _, path := range []string{
		"open/../agent", "open/./x", "open/..", "open/%2e%2e/agent", "open/%2E./agent", "open/.%2e/agent",
		"open%2f..%2fagent", "open/..%2fagent", `open/..\agent`, "open%5c..%5cagent", "open/%252e%252e/agent",
		"open%252f..%252fagent", "open/%25252e%25252e/agent", "open/..;x=1/agent", "open//agent", "open/%2f/agent", "open/%zz/%252e%252e/agent",
		"open/%2525252525252e/agent",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.web.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = "//" + req.URL.Host + "/p/toy/" + path // as it is written
		res, err := f.web.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusBadRequest || strings.Contains(string(body), "reached") {
			t.Errorf("GET /p/toy/%s = %d %q, want 400", path, res.StatusCode, body)
		}
	}
	for _, path := range []string{"open", "open/", "open/a.b/..c/d..", "open/100%25", "open/a%2Fb", "open/%C3%A9", "open/x;v=1"} {
		if res, body := f.do(t, "GET", "/p/toy/"+path, ""); res.StatusCode != 200 || !strings.HasPrefix(body, "reached") {
			t.Errorf("GET /p/toy/%s = %d %q, want it passed on", path, res.StatusCode, body)
		}
	}
}

// TestForeignPages: a page of a third-party plugin has an origin of its own,
// whatever it says, so that it cannot read what others store (DESIGN.md 7).
func TestForeignPages(t *testing.T) {
	f := setup(t, proxy.Options{})
	f.plugin.mux.HandleFunc("/open/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "sandbox allow-scripts allow-same-origin")
	})
	f.plugin.mux.HandleFunc("/open/plain", func(http.ResponseWriter, *http.Request) {})
	route := f.host.routes["open"]
	route.Foreign = true
	f.host.routes["open"] = route
	for _, path := range []string{"page", "plain", "missing"} {
		res, _ := f.do(t, "GET", "/p/toy/open/"+path, "")
		sealed := false
		for _, policy := range res.Header.Values("Content-Security-Policy") {
			// Each policy holds beside the others.
			sealed = sealed || strings.HasPrefix(policy, "sandbox") && !strings.Contains(policy, "allow-same-origin")
		}
		if !sealed {
			t.Errorf("%s: policies %q, want one that is a sandbox without allow-same-origin", path, res.Header.Values("Content-Security-Policy"))
		}
	}
}

// targets is a plugin host with one plugin that serves no HTTP and one that is
// starting again.
type targets struct{}

func (targets) Route(plugin string) (pluginhost.Target, bool) {
	return pluginhost.Target{}, plugin == "sms"
}

func (targets) Plugins() []pluginhost.Status {
	return []pluginhost.Status{{ID: "sms"}, {ID: "webchat"}}
}

// TestNothingThere: only a plugin that is starting again is waited for.
func TestNothingThere(t *testing.T) {
	h := proxy.Plugins(targets{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := h.Route(ctx, "webchat", "x"); !errors.Is(err, proxy.ErrUnavailable) {
		t.Errorf("a plugin that is starting again: %v, want ErrUnavailable", err)
	}
	// With a context that has ended, waiting would fail.
	for _, plugin := range []string{"sms", "other"} {
		if _, err := h.Route(ctx, plugin, "x"); !errors.Is(err, proxy.ErrNoRoute) {
			t.Errorf("%s: %v, want ErrNoRoute", plugin, err)
		}
	}
}
