package proxy_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/gateway/proxy"
	"github.com/parley-gateway/parley/plugins/contract/identity"
)

// TestCrookedPaths: a path that some server would resolve to another one is refused, however it is
// encoded (ASVS 8.3.1): "open" is public, "agent" is not.
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
		req.URL.Opaque = "//" + req.URL.Host + "/p/toy/" + path // sends the path unchanged
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

// TestForeignPages: a page of a third-party plugin has an origin of its own, whatever policy it
// sets, so that it cannot read what other pages store (DESIGN.md 7).
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
			// A page must satisfy each of its policies, so one sealed policy is enough.
			sealed = sealed || strings.HasPrefix(policy, "sandbox") && !strings.Contains(policy, "allow-same-origin")
		}
		if !sealed {
			t.Errorf("%s: policies %q, want one that is a sandbox without allow-same-origin", path, res.Header.Values("Content-Security-Policy"))
		}
	}
}

// TestOwnOrigin: a third-party plugin that has an origin of its own is served there without a
// sandbox, and elsewhere only on the desk's origin, in a sandbox; a built-in plugin is not served
// at such an origin (DESIGN.md 7).
func TestOwnOrigin(t *testing.T) {
	own := "https://toy.plugins.example:8443"
	f := setup(t, proxy.Options{Origin: func(string) string { return own }})
	f.plugin.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "reached as "+r.Host) })
	f.plugin.mux.HandleFunc("/socket", echo)
	foreign := func(is bool) {
		for name, route := range f.host.routes {
			route.Foreign = is
			f.host.routes[name] = route
		}
	}
	f.auth.grants["g1"] = identity.Identity{Subject: "web:1"}
	upgrade := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Origin": {own},
	}
	cases := []struct {
		name, method, host, path, policy string
		header                           http.Header
		builtin                          bool
		status                           int
		location                         string
	}{
		{name: "its own page", method: "GET", host: "toy.plugins.example:8443", path: "open/page", status: 200},
		{name: "behind a proxy on another port", method: "GET", host: "TOY.plugins.example", path: "open/page", status: 200},
		{name: "a grant", method: "POST", host: "toy.plugins.example", path: "upload", header: http.Header{"Parley-Grant": {"g1"}}, status: 200},
		{name: "a page on the chat origin", method: "GET", host: "chat.example", path: "open/a%20b?q=1&r=%2f", status: 307, location: own + "/p/toy/open/a%20b?q=1&r=%2f"},
		{name: "its head", method: "HEAD", host: "chat.example", path: "open", status: 307, location: own + "/p/toy/open"},
		{name: "a form on the chat origin", method: "POST", host: "chat.example", path: "open", status: 421},
		{name: "a socket on the chat origin", method: "GET", host: "chat.example", path: "socket", header: upgrade, status: 421},
		{name: "a socket on its own", method: "GET", host: "toy.plugins.example:8443", path: "socket", header: upgrade, status: 101},
		{name: "the desk's corner", method: "GET", host: "desk.example", path: "open", policy: "sandbox; default-src 'none'", status: 200},
		{name: "built in, on the chat origin", method: "GET", host: "chat.example", path: "open", builtin: true, status: 200},
		{name: "built in, on an origin of its own", method: "GET", host: "toy.plugins.example", path: "open", builtin: true, status: 404},
		{name: "no such route", method: "GET", host: "chat.example", path: "secret", status: 404},
	}
	for _, c := range cases {
		foreign(!c.builtin)
		got := f.at(t, c.method, c.host, "/p/toy/"+c.path, c.policy, c.header)
		if got.StatusCode != c.status || got.Header.Get("Location") != c.location {
			t.Errorf("%s: %d to %q, want %d to %q", c.name, got.StatusCode, got.Header.Get("Location"), c.status, c.location)
		}
		csp := strings.Join(got.Header.Values("Content-Security-Policy"), " | ")
		if sealed := strings.Contains(csp, "sandbox"); c.status == 200 && sealed != (c.policy != "") {
			t.Errorf("%s: policy %q", c.name, csp)
		}
	}
	own = "" // as for a plugin whose id is no DNS label
	foreign(true)
	res := f.at(t, "GET", "chat.example", "/p/toy/open", "", nil)
	if csp := strings.Join(res.Header.Values("Content-Security-Policy"), " | "); res.StatusCode != 200 || !strings.Contains(csp, "sandbox allow-scripts") {
		t.Errorf("a plugin without an origin of its own: %d with policy %q, want 200 in a sandbox", res.StatusCode, csp)
	}
}

// at sends a request to a host for which the gateway has set a content policy ("" = the chat
// origin's).
func (f *fixture) at(t *testing.T, method, host, path, policy string, header http.Header) *http.Response {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", cmp.Or(policy, "default-src 'self'"))
		f.ServeHTTP(w, r)
	}))
	defer web.Close()
	req, err := http.NewRequestWithContext(t.Context(), method, web.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := web.Client().Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

// targets is a plugin host with one plugin that serves no HTTP and one that is restarting.
type targets struct{}

func (targets) Route(plugin string) (pluginhost.Target, bool) {
	return pluginhost.Target{}, plugin == "sms"
}

func (targets) Plugins() []pluginhost.Status {
	return []pluginhost.Status{{ID: "sms"}, {ID: "webchat"}}
}

// TestNothingThere: a request waits only for a plugin that is restarting.
func TestNothingThere(t *testing.T) {
	h := proxy.Plugins(targets{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := h.Route(ctx, "webchat", "x"); !errors.Is(err, proxy.ErrUnavailable) {
		t.Errorf("a plugin that is starting again: %v, want ErrUnavailable", err)
	}
	// The context has ended, so a call that waited would fail with its error.
	for _, plugin := range []string{"sms", "other"} {
		if _, err := h.Route(ctx, plugin, "x"); !errors.Is(err, proxy.ErrNoRoute) {
			t.Errorf("%s: %v, want ErrNoRoute", plugin, err)
		}
	}
}
