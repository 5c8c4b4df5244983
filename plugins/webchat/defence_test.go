package webchat_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

func TestOrigins(t *testing.T) {
	for _, tc := range []struct {
		name, settings, origin string
		status                 int // 0 = welcome, -1 = closed after hello
	}{
		{"the panel's own", "", "self", 0},
		{"listed page", "", shopOrigin, 0},
		{"no browser", "", "", 0},
		{"unlisted page", "", "https://evil.example", http.StatusForbidden},
		{"other scheme", "", "http://shop.example", http.StatusForbidden},
		{"other port", "", shopOrigin + ":8443", http.StatusForbidden},
		{"null", "", "null", http.StatusForbidden},
		{"prefix trick", "", shopOrigin + ".evil.example", http.StatusForbidden},
		{"any", `{"allowed_origins":["*"]}`, "https://evil.example", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, tc.settings)
			if tc.origin == "self" {
				tc.origin = w.server.URL
			}
			c, status, err := w.dial(tc.origin)
			if tc.status != 0 {
				if err == nil || status != tc.status {
					t.Fatalf("dial from %q: %v, want status %d", tc.origin, err, tc.status)
				}
				return
			}
			if err != nil {
				t.Fatalf("dial from %q: %v", tc.origin, err)
			}
			c.send(map[string]any{"t": "hello", "v": 1, "site": "demo"})
			c.want("welcome")
		})
	}
}

// TestStolenToken: a stolen token is useless to a script on another page, and the origin of one
// site cannot use another site.
func TestStolenToken(t *testing.T) {
	w := newWorld(t, "")
	c, _, _ := w.begin("hi")
	if _, status, err := w.dial("https://evil.example"); err == nil || status != http.StatusForbidden {
		t.Fatalf("dial with a stolen token from another origin: %v, want 403", err)
	}
	cfg := w.config("")
	cfg.Accounts = append(cfg.Accounts, sdk.Account{
		ID: "acc-2", Name: "other", Enabled: true, Settings: json.RawMessage(`{"allowed_origins":["https://other.example"]}`)})
	if err := w.plugin.Configure(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	thief, _, err := w.dial("https://other.example")
	if err != nil {
		t.Fatal(err)
	}
	thief.send(map[string]any{"t": "hello", "v": 1, "site": "demo", "token": c.token})
	if bye, code := thief.wantClose(); bye.Reason != "origin" || code != 4003 {
		t.Errorf("token of one site from another site's origin: bye %+v, code %d, want origin, 4003", bye, code)
	}
}

func TestMalformedClientsAreClosed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		frames []string
		reason string
		code   int
	}{
		{"no JSON", []string{"hello"}, "protocol", 1008},
		{"no hello", []string{`{"t":"ping"}`}, "hello", 1008},
		{"other version", []string{`{"t":"hello","v":9,"site":"demo"}`}, "protocol", 1008},
		{"unknown site", []string{`{"t":"hello","v":1,"site":"nowhere"}`}, "site", 4004},
		{"hello twice", []string{`{"t":"hello","v":1,"site":"demo"}`, `{"t":"hello","v":1,"site":"demo"}`}, "protocol", 1008},
		{"1 MB frame", []string{`{"t":"hello","v":1,"site":"` + strings.Repeat("x", 1<<20) + `"}`}, "protocol", 1009},
		{"wrong type", []string{`{"t":"hello","v":"one"}`}, "protocol", 1008},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, "")
			c, _, err := w.dial("")
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range tc.frames {
				if c.raw([]byte(f)) != nil {
					break // the socket is closed already
				}
			}
			bye, code := c.wantClose()
			// A client that is still sending may see a reset instead of bye and code.
			if reset := tc.code == 1009 && bye.Reason == ""; !reset && (bye.Reason != tc.reason || int(code) != tc.code) {
				t.Errorf("bye %+v, code %d, want %q, %d", bye, code, tc.reason, tc.code)
			}
		})
	}
}

func TestBadTokenIsSaid(t *testing.T) {
	w := newWorld(t, "")
	for _, token := range []string{"short", strings.Repeat("A", 23), "!!!!!!!!!!!!!!!!!!!!!!"} {
		c, _, err := w.dial("")
		if err != nil {
			t.Fatal(err)
		}
		c.send(map[string]any{"t": "hello", "v": 1, "site": "demo", "token": token})
		if f := c.want("welcome"); f.Known || f.Code != "token" {
			t.Errorf("welcome for token %q = %+v, want unknown with code token", token, f)
		}
	}
}

func TestMessageRateOfVisitor(t *testing.T) {
	w := newWorld(t, `{"messages_per_second":0.1,"message_burst":3}`)
	c, _, _ := w.begin("hi")
	two := w.connect(map[string]any{"token": c.token})
	for i := range 3 {
		c.send(map[string]any{"t": "message", "client_id": fmt.Sprint("m", i), "parts": text("x")})
		c.wantThat("accepted", func(f frame) bool { return f.ClientID == fmt.Sprint("m", i) })
	}
	for _, one := range []*client{c, two} { // the limit is per visitor, not per socket
		one.send(map[string]any{"t": "message", "client_id": "m9", "parts": text("x")})
		if f := one.want("refused"); f.Code != "rate" || !f.Retry {
			t.Errorf("fourth message: %+v, want rate with retry", f)
		}
	}
}

// TestFloods: FT24, a client that sends too much of anything is disconnected.
func TestFloods(t *testing.T) {
	for name, send := range map[string]func(c *client) error{
		"frames": func(c *client) error { return c.raw([]byte(`{"t":"typing","on":true}`)) },
		"pings": func(c *client) error {
			ctx, cancel := context.WithTimeout(c.t.Context(), time.Millisecond)
			defer cancel()
			if err := c.conn.Ping(ctx); ctx.Err() == nil {
				return err
			}
			return nil
		},
		"fragments": func(c *client) error {
			w, err := c.conn.Writer(c.t.Context(), 1)
			if err != nil {
				return err
			}
			for range 2000 {
				if _, err := w.Write([]byte(strings.Repeat("x", 4096))); err != nil {
					return err
				}
			}
			return w.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			c := w.connect(nil)
			for range 20_000 {
				if send(c) != nil {
					break
				}
			}
			if _, code := c.wantClose(); code == 0 {
				t.Error("the socket is still open after a flood")
			}
		})
	}
}

// TestSlowReader: PR13, a client that stops reading occupies little memory and loses nothing,
// because it resumes.
func TestSlowReader(t *testing.T) {
	w := newWorld(t, "")
	c, thread, start := w.begin("hi")
	const n = 400
	for i := range n {
		w.host.Say("acc-1", thread, "Ana", sdk.Text{Text: fmt.Sprintf("%d %s", i, strings.Repeat("x", 4000))})
	}
	// The client reads nothing for now, so the host keeps the remaining records.
	seen := 0
	last := frame{}
	for seen < n/2 {
		f := c.want("event")
		if f.Type == "message/1" && f.Prev != 0 && strings.Contains(string(f.Body), "xxx") {
			seen++
		}
		last = f
	}
	_ = c.conn.CloseNow()
	back := w.connect(map[string]any{"token": c.token, "cursor": map[string]any{"conversation": start.Conversation, "seq": last.Seq}})
	for i := n / 2; i < n; i++ {
		f := back.want("event")
		if want := fmt.Sprintf(`"text":"%d `, i); !strings.Contains(string(f.Body), want) {
			t.Fatalf("resumed with %.60s, want %s", f.Body, want)
		}
	}
}

func TestDrainTellsClientsToComeAgain(t *testing.T) {
	w := newWorld(t, "")
	c, _, _ := w.begin("hi")
	done := make(chan error, 1)
	go func() { done <- w.plugin.Drain(t.Context()) }()
	bye, code := c.wantClose()
	if bye.Reason != "restart" || bye.RetryMS <= 0 || code != 1012 {
		t.Errorf("bye %+v, code %d, want restart with retry_ms, 1012", bye, code)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, s := range w.host.Signals() {
		if s.Kind == sdk.SignalPresence && !s.On {
			return
		}
	}
	t.Error("no presence off was signalled")
}

func TestConfigurationChangesOpenSockets(t *testing.T) {
	w := newWorld(t, "")
	c, _, _ := w.begin("hi")
	w.configure(`{"max_file_mb":0}`)
	c.send(map[string]any{"t": "grant", "id": "g"})
	if f := c.want("error"); f.Code != "no_files" || f.ID != "g" {
		t.Errorf("grant after files were switched off: %+v, want no_files", f)
	}
	cfg := w.config("")
	cfg.Accounts[0].Enabled = false
	if err := w.plugin.Configure(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if bye, code := c.wantClose(); bye.Reason != "site" || code != 4004 {
		t.Errorf("account switched off: bye %+v, code %d, want site, 4004", bye, code)
	}
}

func TestConfigurationFaults(t *testing.T) {
	w := newWorld(t, "")
	for _, tc := range []struct{ name, settings, path string }{
		{"unknown key", `{"colour":"red"}`, ""},
		{"bad origin", `{"allowed_origins":["shop.example"]}`, "/allowed_origins/0"},
		{"origin with path", `{"allowed_origins":["https://a.example","https://shop.example/x"]}`, "/allowed_origins/1"},
		{"bad colour", `{"theme":{"color":"red"}}`, "/theme/color"},
		{"field twice", `{"form":{"fields":[{"name":"email"},{"name":"email"}]}}`, "/form/fields/1/name"},
		{"select without options", `{"form":{"fields":[{"name":"topic","kind":"select"}]}}`, "/form/fields/0/options"},
		{"too soon", `{"unresponsive_after":1}`, "/unresponsive_after"},
		{"site name", `{"site":"a b"}`, "/site"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := w.plugin.Configure(t.Context(), w.config(tc.settings))
			problems, ok := err.(sdk.Problems) //nolint:errorlint // the documented way to refuse
			if !ok || len(problems) != 1 || problems[0].Path != tc.path || problems[0].Account != "acc-1" {
				t.Errorf("settings %s: %v, want one problem at %q", tc.settings, err, tc.path)
			}
		})
	}
}

// upload posts a body with a grant.
func (w *world) upload(grant, name, kind, origin string, body io.Reader) (int, map[string]json.RawMessage) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.server.URL+"/p/webchat/upload", body)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Parley-Grant", grant)
	req.Header.Set("Parley-File-Name", url.PathEscape(name))
	req.Header.Set("Content-Type", kind)
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	if w.from != "" {
		req.Header.Set("X-Forwarded-For", w.from)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got map[string]json.RawMessage
	_ = json.NewDecoder(resp.Body).Decode(&got)
	return resp.StatusCode, got
}

func (c *client) grant() string {
	c.t.Helper()
	c.send(map[string]any{"t": "grant", "id": "g"})
	return c.want("grant").Grant
}

func TestFiles(t *testing.T) {
	w := newWorld(t, "")
	c, thread, _ := w.begin("hi")
	grant := c.grant()
	status, part := w.upload(grant, "naïve plan.txt", "text/plain", w.server.URL, strings.NewReader("hello"))
	if status != http.StatusOK {
		t.Fatalf("upload: %d %s, want 200", status, part)
	}
	if again, _ := w.upload(grant, "x", "text/plain", "", strings.NewReader("x")); again != http.StatusUnauthorized {
		t.Errorf("grant used twice: %d, want 401", again)
	}
	c.send(map[string]any{"t": "message", "client_id": "f1", "parts": []any{part}})
	f := c.wantThat("event", func(f frame) bool { return len(f.FileKeys) > 0 })
	var body struct {
		Parts []struct {
			File struct{ Blob, Name string }
		}
	}
	if err := json.Unmarshal(f.Body, &body); err != nil {
		t.Fatal(err)
	}
	got := body.Parts[0].File
	if got.Name != "naïve plan.txt" {
		t.Errorf("name = %q, want %q", got.Name, "naïve plan.txt")
	}
	c.send(map[string]any{"t": "file", "id": "d1", "blob": got.Blob, "key": f.FileKeys[got.Blob]})
	if f := c.want("file"); !strings.HasSuffix(f.URL, "/files/"+got.Blob) || f.ID != "d1" {
		t.Errorf("file = %+v, want its URL", f)
	}

	// Another visitor gets nothing, although it knows the blob's id and even the key.
	other, _, _ := w.begin("me too")
	other.send(map[string]any{"t": "file", "id": "d2", "blob": got.Blob, "key": f.FileKeys[got.Blob]})
	if f := other.want("error"); f.Code != "file_key" {
		t.Errorf("foreign file: %+v, want file_key", f)
	}
	other.send(map[string]any{"t": "message", "client_id": "f2", "parts": []any{part}})
	if f := other.want("refused"); f.Code != "file_key" {
		t.Errorf("foreign upload sent: %+v, want file_key", f)
	}
	_ = thread
}

func TestUploadLimits(t *testing.T) {
	w := newWorld(t, `{"max_file_mb":1}`)
	c, _, _ := w.begin("hi")
	big := bytes.Repeat([]byte("x"), 1<<20+1)
	if status, got := w.upload(c.grant(), "big", "text/plain", "", bytes.NewReader(big)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("1 MiB + 1 byte: %d %s, want 413", status, got)
	}
	if status, got := w.upload(c.grant(), "big", "text/plain", "", io.MultiReader(bytes.NewReader(big))); status != http.StatusRequestEntityTooLarge {
		t.Errorf("1 MiB + 1 byte without a length: %d %s, want 413", status, got)
	}
	if status, got := w.upload(c.grant(), "caf\xe9", "text/plain", "", strings.NewReader("x")); status != http.StatusBadRequest || !strings.Contains(string(got["error"]), `"name"`) {
		t.Errorf("a name that is not UTF-8 (FT23): %d %s, want 400 name", status, got)
	}
	if status, got := w.upload(c.grant(), "x", "text/plain", "https://evil.example", strings.NewReader("x")); status != http.StatusForbidden {
		t.Errorf("wrong origin: %d %s, want 403", status, got)
	}
	if status, _ := w.upload("", "x", "text/plain", "", strings.NewReader("x")); status != http.StatusUnauthorized {
		t.Errorf("no grant: %d, want 401", status)
	}
}

// TestDemoPagePolicy compares the demo page's content policy, word for word.
func TestDemoPagePolicy(t *testing.T) {
	w := newWorld(t, `{"allowed_origins":["https://shop.example"],"demo_page":true}`)
	for _, path := range []string{"/demo/demo", "/demo/demo/tents", "/demo/demo/delivery"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/p/webchat"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		const want = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; frame-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
		if got := resp.Header.Get("Content-Security-Policy"); resp.StatusCode != http.StatusOK || got != want {
			t.Errorf("%s: %d, policy\n%s\nwant\n%s", path, resp.StatusCode, got, want)
		}
	}
}

func TestPages_HTTP(t *testing.T) {
	w := newWorld(t, `{"title":"<b>Us</b>","allowed_origins":["https://shop.example"]}`)
	get := func(path string, more ...string) (status int, header http.Header, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/p/webchat"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(more); i += 2 {
			req.Header.Set(more[i], more[i+1])
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header, string(text)
	}
	_, header, body := get("/panel/demo")
	// The policy allows pictures from the files origin only, which the gateway names (ASVS 3.4.3).
	want := "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws://" + strings.TrimPrefix(w.server.URL, "http://") +
		"; img-src " + w.server.URL + "; base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors 'self' https://shop.example"
	if got := header.Get("Content-Security-Policy"); got != want {
		t.Errorf("the panel's policy is\n%s\nwant\n%s", got, want)
	}
	untold := httptest.NewRecorder()
	w.plugin.ServeHTTP(untold, httptest.NewRequest(http.MethodGet, "/panel/demo", nil))
	if got := untold.Header().Get("Content-Security-Policy"); !strings.Contains(got, "; img-src 'none'; ") {
		t.Errorf("without a files origin the panel's policy is\n%s\nwant img-src 'none'", got)
	}
	for _, want := range []string{"../assets/panel-abc.js", "../assets/panel-def.css", "../assets/x-1.js"} {
		if !strings.Contains(body, want) {
			t.Errorf("panel lacks %s:\n%s", want, body)
		}
	}
	if strings.Contains(body, "<b>Us") {
		t.Errorf("the title is not escaped:\n%s", body)
	}
	if _, header, _ := get("/assets/panel-abc.js"); !strings.Contains(header.Get("Cache-Control"), "immutable") {
		t.Errorf("asset Cache-Control = %q, want immutable", header.Get("Cache-Control"))
	}
	_, header, _ = get("/widget.js")
	if header.Get("ETag") == "" || strings.Contains(header.Get("Cache-Control"), "immutable") {
		t.Errorf("widget.js headers = %v, want an ETag and no immutable", header)
	}
	if status, _, _ := get("/widget.js", "If-None-Match", header.Get("ETag")); status != http.StatusNotModified {
		t.Errorf("widget.js with its ETag: %d, want 304", status)
	}
	for path, want := range map[string]int{
		"/panel/nowhere": 404, "/assets/.keep": 404, "/assets/%2e%2e/widget.js": 404, "/.vite/manifest.json": 404,
		"/ws": 426, "/nothing": 404, "/demo/demo": 404, "/upload": 401,
	} {
		if status, _, _ := get(path); status != want {
			t.Errorf("GET %s: %d, want %d", path, status, want)
		}
	}
}
