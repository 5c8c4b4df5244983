package system_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// pagesPlugin is a third-party plugin with a page that says where it thinks it is.
const pagesPlugin = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/parley-gateway/parley/plugins/sdk"
)

type pages struct{ base atomic.Value }

func main() { sdk.Serve(new(pages)) }

func (p *pages) Describe(context.Context) (sdk.Manifest, error) {
	name, _ := os.Executable()
	return sdk.Manifest{
		ID: filepath.Base(name), Name: "Pages", Version: "1", Delivery: sdk.StoreAndForward,
		Routes: []sdk.Route{{Path: "page", Access: sdk.Public}},
	}, nil
}

func (p *pages) Configure(_ context.Context, cfg *sdk.Config) error {
	p.base.Store(cfg.BaseURL)
	return nil
}

func (p *pages) Send(context.Context, *sdk.SendCommand) sdk.Result { return sdk.Sent("1") }

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprint(w, p.base.Load(), "/page")
}
`

// addPages builds the plugin under a name, adds it and returns when it serves.
func (d *demo) addPages(name string) {
	d.t.Helper()
	dir, source := filepath.Join(d.data, "plugins", name), filepath.Join(d.t.TempDir(), "main.go")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	manifest := "id: " + name + "\nexec: " + name + "\ntransport: unix\negress: []\nenv: []\n"
	for path, text := range map[string]string{source: pagesPlugin, filepath.Join(dir, "plugin.yaml"): manifest} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	build := exec.CommandContext(d.t.Context(), "go", "build", "-o", filepath.Join(dir, name), source)
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		d.t.Fatalf("build: %v\n%s", err, out)
	}
	d.parley("plugin", "add", dir)
}

// Each third-party plugin's pages are in an origin that serves nothing else, and
// where there can be none, in a sandbox (DESIGN.md 7).
func TestPluginOrigins(t *testing.T) {
	d := startDemo(t, "")
	d.addPages("pages")
	d.addPages("two_words") // no label of a host's name
	chat, err := url.Parse(d.info.CustomerPage)
	if err != nil {
		t.Fatal(err)
	}
	port := ":" + chat.Port()
	client := drive.HTTPClient()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ask := func(method, host, path string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+port+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(body)
	}
	own := "pages.plugins.localhost"
	for host, path := range map[string]string{own: "/p/pages/page", "chat.localhost": "/p/two_words/page"} {
		eventually(t, "page at "+host+path, 30*time.Second, func() bool {
			res, _ := ask(http.MethodGet, host, path)
			return res.StatusCode == http.StatusOK
		})
	}
	for _, c := range []struct {
		method, host, path string
		status             int
		body, location     string
		sealed             bool
	}{
		{"GET", own, "/p/pages/page", 200, "http://" + own + port + "/p/pages/page", "", false},
		{"GET", "chat.localhost", "/p/pages/page?a=b", 307, "", "http://" + own + port + "/p/pages/page?a=b", false},
		{"POST", "chat.localhost", "/p/pages/page", 421, "", "", false},
		{"GET", "desk.localhost", "/p/pages/page", 200, "", "", true},
		{"GET", "chat.localhost", "/p/two_words/page", 200, "http://chat.localhost" + port + "/p/two_words/page", "", true},
		{"GET", "chat.localhost", chat.Path, 200, "", "", false},
		{"GET", "webchat.plugins.localhost", chat.Path, 404, "", "", false},
		{"GET", own, chat.Path, 404, "", "", false},
		{"GET", own, "/api/v1/me", 404, "", "", false},
		{"GET", own, "/hooks/" + d.findAccount("demo"), 404, "", "", false},
		{"GET", own, "/", 404, "", "", false},
		{"GET", "plugins.localhost", "/p/pages/page", 421, "", "", false},
	} {
		res, body := ask(c.method, c.host, c.path)
		if res.StatusCode != c.status || !strings.Contains(body, c.body) || res.Header.Get("Location") != c.location {
			t.Errorf("%s %s%s = %d %q to %q, want %d with %q to %q", c.method, c.host, c.path, res.StatusCode, body, res.Header.Get("Location"), c.status, c.body, c.location)
		}
		policy := strings.Join(res.Header.Values("Content-Security-Policy"), " | ")
		if sealed := strings.Contains(policy, "sandbox"); c.status == 200 && sealed != c.sealed {
			t.Errorf("%s %s%s: policy %q, want a sandbox: %v", c.method, c.host, c.path, policy, c.sealed)
		}
	}
}
