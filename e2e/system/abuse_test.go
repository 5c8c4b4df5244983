package system_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

const strictSite = `
services:
  - {name: Strict, teams: [Front Office]}
accounts:
  - {name: hasty, plugin: webchat, service: Strict, settings: {site: hasty, unresponsive_after: 5}}
  - {name: few, plugin: webchat, service: Strict, settings: {site: few, exempt_addresses: [], address_start_burst: 5, address_starts_per_minute: 0.01, unresponsive_after: 5}}
  - {name: strict, plugin: webchat, service: Strict, settings: {site: strict, allowed_origins: ["https://shop.example"], messages_per_second: 5, message_burst: 20}}
`

// Wrong origins get nowhere, with a stolen visitor token neither; frames
// beyond the limit and floods cost their sender the socket or the message,
// and nobody else anything (PR19, FT24).
func TestSocketAbuse(t *testing.T) {
	d := startDemo(t, "")
	d.apply(strictSite)
	ctx := bounded(t, 3*time.Minute)
	dial := func(origin, token string) (*drive.Customer, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return drive.DialCustomer(ctx, drive.CustomerOptions{URL: d.chatURL(), Site: "strict", Origin: origin, Token: token})
	}
	var good *drive.Customer
	eventually(t, "the site to be served", 10*time.Second, func() (ok bool) {
		c, err := dial("https://shop.example", "")
		good = c
		return err == nil
	})
	defer good.Close()
	if _, err := good.Start(ctx, "start", map[string]string{"first_name": "G", "message": "hello"}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ origin, token string }{
		"wrong origin": {"https://evil.example", ""}, "wrong origin, stolen token": {"https://evil.example", good.Token},
		"origin null": {"null", ""}, "other port": {"https://shop.example:8443", ""}, "other scheme": {"http://shop.example", good.Token},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := dial(c.origin, c.token); err == nil {
				s.Close()
				t.Errorf("a socket from %s was welcomed", c.origin)
			}
		})
	}
	t.Run("agents' stream", func(t *testing.T) {
		for name, h := range map[string]http.Header{
			"no session":         {},
			"made-up token":      {"Authorization": {"Bearer " + strings.Repeat("A", 43)}},
			"cookie from abroad": {"Cookie": {"__Host-parley=" + d.token("ana")}, "Origin": {"https://evil.example"}},
			"cookie, no origin":  {"Cookie": {"__Host-parley=" + d.token("ana")}},
		} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.info.PublicURL+"/api/v1/stream", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = h
			for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
				req.Header.Set(k, v)
			}
			resp, err := drive.HTTPClient().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s: got status %d, want 401 or 403", name, resp.StatusCode)
			}
		}
	})
	t.Run("1 MB frame", func(t *testing.T) {
		s, err := dial("https://shop.example", "")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_ = s.Write([]byte(`{"t":"message","client_id":"x","parts":[{"kind":"text","text":"` + strings.Repeat("x", 1<<20) + `"}]}`))
		select {
		case <-s.Closed():
		case <-time.After(10 * time.Second):
			t.Error("a frame of 1 MB did not cost its sender the socket")
		}
	})
	t.Run("flood", func(t *testing.T) {
		s, err := dial("https://shop.example", "")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Start(ctx, "start", map[string]string{"first_name": "F", "message": "hello"}); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		refused, taken := 0, 0
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
				defer cancel()
				_, err := s.Say(ctx, id("f", i), "flood")
				var r *drive.RefusedError
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					taken++
				case errors.As(err, &r), errors.Is(err, drive.ErrClosed):
					refused++
				}
			})
		}
		wg.Wait()
		if taken > 100 || refused == 0 {
			t.Errorf("of 300 messages at once %d were taken and %d refused; the site allows a burst of 20", taken, refused)
		}
	})
	if _, err := good.Say(ctx, "after", "still here"); err != nil {
		t.Errorf("somebody else's chat after all that: %v", err)
	}
	if d.child("serve") == 0 || d.child("webchat") == 0 {
		t.Error("a process has died")
	}
}

// Webhooks on a third-party plugin while it is killed: every 2xx is in the
// log, once (PR1-PR3, Y1).
func TestHooksThroughPluginKills(t *testing.T) {
	d := startDemo(t, "")
	dir := filepath.Join(d.data, "plugins", "echo")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "echo"), "./plugins/sdk/examples/echo")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build echo: %v\n%s", err, out)
	}
	manifest, err := os.ReadFile(filepath.Join("..", "..", "plugins", "sdk", "examples", "echo", "plugin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plugin.yaml"), manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	d.parley("plugin", "add", dir)
	d.apply("accounts:\n  - {name: line, plugin: echo, service: Customer Care}\n")
	account := d.account("line")
	post := func(n int) int {
		body := fmt.Sprintf(`{"from":"+49%d","text":"text %d","id":"hook-%d"}`, n%5, n, n)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.info.PublicURL+"/hooks/"+account, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := drive.HTTPClient().Do(req)
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	eventually(t, "the hook to be served", 20*time.Second, func() bool { return post(0)/100 == 2 })
	var mu sync.Mutex
	ok := map[int]bool{0: true}
	other := map[int]int{}
	next := 0
	ctx, stop := context.WithTimeout(t.Context(), 6*time.Second)
	defer stop()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				next++
				n := next
				mu.Unlock()
				for ctx.Err() == nil { // as a carrier: again until 2xx
					status := post(n)
					mu.Lock()
					if status/100 == 2 {
						ok[n] = true
					} else {
						other[status]++
					}
					mu.Unlock()
					if status/100 == 2 {
						break
					}
				}
			}
		})
	}
	for range 4 {
		<-time.After(time.Second)
		if pid := d.child("echo"); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	wg.Wait()
	seen := map[string]int{}
	for _, e := range d.events() {
		if e.Type == "message/1" && bytes.Contains(e.Body, []byte("text ")) {
			seen[string(e.Body)]++
		}
	}
	for body, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", body, n)
		}
	}
	missing := 0
	for n := range ok {
		found := false
		for body := range seen {
			found = found || strings.Contains(body, fmt.Sprintf(`"text %d"`, n))
		}
		if !found {
			missing++
		}
	}
	t.Logf("%d webhooks answered 2xx, other answers %v, missing %d", len(ok), other, missing)
	if missing > 0 {
		t.Errorf("%d webhooks were answered 2xx and are not in the log", missing)
	}
	for status := range other {
		if status/100 == 4 {
			t.Errorf("PR2: our own trouble was answered %d", status)
		}
	}
}

// account finds an account's id by its name.
func (d *demo) account(name string) string {
	d.t.Helper()
	var found string
	eventually(d.t, "account "+name, 10*time.Second, func() bool {
		found = d.findAccount(name)
		return found != ""
	})
	return found
}
