package webchat_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// offer uploads size bytes as the visitor of a token, over a new socket, and returns the status; 0:
// no grant was given.
func (w *world) offer(token string, size int, announced bool) (status int, retry int64) {
	w.t.Helper()
	c := w.connect(map[string]any{"token": token})
	defer func() { _ = c.conn.CloseNow() }()
	c.send(map[string]any{"t": "grant", "id": "g"})
	f := c.wantThat2("grant", "error")
	if f.T == "error" {
		if f.Code != "quota" || f.ID != "g" {
			w.t.Fatalf("grant refused with %+v, want quota", f)
		}
		return 0, f.RetryMS
	}
	body := io.Reader(bytes.NewReader(bytes.Repeat([]byte("x"), size)))
	if !announced {
		body = io.MultiReader(body)
	}
	status, got := w.upload(f.Grant, "x.txt", "text/plain", "", body)
	if status == http.StatusTooManyRequests {
		var e struct {
			Code  string
			Retry int64 `json:"retry_ms"`
		}
		if err := json.Unmarshal(got["error"], &e); err != nil || e.Code != "quota" {
			w.t.Fatalf("429 with %s (%v), want quota", got["error"], err)
		}
		retry = e.Retry
	}
	return status, retry
}

// wantThat2 skips to the next frame of either kind.
func (c *client) wantThat2(one, other string) frame {
	c.t.Helper()
	for {
		f, code := c.read()
		if code != 0 {
			c.t.Fatalf("closed with %d while waiting for %q or %q", code, one, other)
		}
		if f.T == one || f.T == other {
			return f
		}
	}
}

func (w *world) counted(name string) string {
	w.t.Helper()
	var b bytes.Buffer
	if err := w.plugin.WriteMetrics(w.t.Context(), &b); err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	w.t.Fatalf("no series %q", name)
	return ""
}

// FT22: each visitor has a limit of its own for an hour, which holds however often it connects
// again, and every byte received counts.
func TestUploadsOfVisitor(t *testing.T) {
	w := newWorld(t, `{"visitor_upload_mb_per_hour":1}`)
	c, _, _ := w.begin("hi")
	if status, _ := w.offer(c.token, 600_000, true); status != http.StatusOK {
		t.Fatalf("first upload: %d, want 200", status)
	}
	status, retry := w.offer(c.token, 600_000, true)
	if status != http.StatusTooManyRequests || retry <= 0 || retry > 3_600_000 {
		t.Fatalf("second upload, announced: %d, retry in %d ms; want 429, within the hour", status, retry)
	}
	if status, _ := w.offer(c.token, 300_000, true); status != http.StatusOK {
		t.Errorf("an upload that fits, after one that was not read: %d, want 200", status)
	}
	if status, _ := w.offer(c.token, 600_000, false); status != http.StatusTooManyRequests {
		t.Errorf("an upload of unknown length: %d, want 429", status)
	}
	if got := w.counted("visitor_uploads_refused_total"); got != "2" {
		t.Errorf("%s refusals counted, want 2", got)
	}
	other, _, _ := w.begin("me too")
	if status, _ := w.offer(other.token, 600_000, true); status != http.StatusOK {
		t.Errorf("somebody else's upload: %d, want 200", status)
	}
}

// FT22, FT24: grants, too, are limited per visitor and not per socket.
func TestGrantsOfVisitor(t *testing.T) {
	w := newWorld(t, `{"visitor_uploads_per_hour":3}`)
	c, _, _ := w.begin("hi")
	for i := range 3 {
		if status, _ := w.offer(c.token, 10, true); status != http.StatusOK {
			t.Fatalf("upload %d: %d, want 200", i, status)
		}
	}
	if status, retry := w.offer(c.token, 10, true); status != 0 || retry <= 0 {
		t.Errorf("fourth grant: upload answered %d, retry in %d ms; want no grant and a time", status, retry)
	}
}

// FT22, FT24: a new token, or another host of one IPv6 network, counts as the same address, and
// many addresses count as the same site.
func TestUploadsOfAddressAndSite(t *testing.T) {
	w := newWorld(t, `{"exempt_addresses":[],"address_upload_mb_per_hour":1,"site_upload_mb_per_hour":2}`)
	store := func(from string) int {
		t.Helper()
		w.from = from
		c, _, _ := w.begin("hi")
		status, _ := w.offer(c.token, 600_000, true)
		return status
	}
	for i, step := range []struct {
		from string
		want int
	}{
		{"2001:db8:1:1::1", http.StatusOK},
		{"2001:db8:1:1::2", http.StatusTooManyRequests},
		{"2001:db8:1:2::1", http.StatusOK},
		{"192.0.2.1", http.StatusOK},
		{"192.0.2.1", http.StatusTooManyRequests},
		{"192.0.2.2", http.StatusTooManyRequests},
	} {
		if got := store(step.from); got != step.want {
			t.Errorf("step %d: upload of a new visitor from %s = %d, want %d", i, step.from, got, step.want)
		}
	}
	got := fmt.Sprint(w.counted("address_uploads_refused_total"), " ", w.counted("site_uploads_refused_total"))
	if got != "2 1" {
		t.Errorf("refusals counted of addresses and of the site = %s, want 2 1", got)
	}
}
