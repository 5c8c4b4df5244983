package sandbox_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sms/sandbox"
)

// crashCopy copies the folder while the sandbox runs: the copy is what a kill would leave.
func crashCopy(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestRestart(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	d := newDouble(t, sandbox.Options{Dir: dir}, g.URL)
	in, err := d.Send(sandbox.Text{From: customer, To: number, Body: "kept", Files: []sandbox.Upload{{ContentType: "image/png", Data: []byte("png")}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Send(sandbox.Text{From: "+15550100198", To: number, Body: "STOP"}); err != nil {
		t.Fatal(err)
	}
	var made answer
	d.call("POST", "/Messages.json", sms("StatusCallback", g.URL), &made)
	d.outbound(made["sid"].(string))
	d.call("POST", "/Messages.json", sms("Body", "gone"), &made)
	d.outbound(made["sid"].(string))
	d.call("DELETE", "/Messages/"+made["sid"].(string)+".json", nil, nil)

	again, err := sandbox.New(sandbox.Options{Dir: crashCopy(t, dir)})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if diff := cmp.Diff(d.Ledger(), again.Ledger()); diff != "" {
		t.Errorf("the ledger after a restart (-before +after):\n%s", diff)
	}
	if got := again.Account(); got.SID != account || got.AuthToken != token {
		t.Errorf("account %+v", got)
	}
	if diff := cmp.Diff(d.Self().Numbers, again.Self().Numbers); diff != "" {
		t.Errorf("numbers (-before +after):\n%s", diff)
	}
	if got := again.Ledger().Inbound[0]; got.SID != in.SID || got.Body != "kept" || len(got.Media) != 1 {
		t.Errorf("text %+v", got)
	}
}

// After a kill, a webhook whose answer is not known is reported as interrupted, and callbacks go
// on.
func TestKilledOnTheWay(t *testing.T) {
	g := newGateway(t)
	release := make(chan struct{})
	var once sync.Once
	defer once.Do(func() { close(release) })
	g.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.Form.Get("MessageStatus") == "sent" || r.Form.Get("Body") != "" {
			<-release
		}
		w.WriteHeader(http.StatusNoContent)
	}
	dir := t.TempDir()
	d := newDouble(t, sandbox.Options{Dir: dir}, g.URL)
	if _, err := d.Post(sandbox.Text{From: customer, To: number, Body: "x"}); err != nil {
		t.Fatal(err)
	}
	d.call("POST", "/Messages.json", sms("StatusCallback", g.URL), nil)
	until(t, "both to hang", func() bool { return len(g.hits()) == 3 })
	left := crashCopy(t, dir)
	once.Do(func() { close(release) })

	again, err := sandbox.New(sandbox.Options{Dir: left})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := again.Ledger().Inbound[0].Deliveries; len(got) != 1 || got[0].State != "interrupted" {
		t.Errorf("webhook after the crash: %+v, want interrupted", got)
	}
	until(t, "the rest of the callbacks", func() bool { m := again.Ledger().Outbound[0]; return m.Done == len(m.Plan) })
	if diff := cmp.Diff([]string{"sending", "sent", "delivered"}, statuses(again.Ledger().Outbound[0])); diff != "" {
		t.Errorf("callbacks over both lives (-want +got):\n%s", diff)
	}
}

func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	d := newDouble(t, sandbox.Options{Dir: dir}, "")
	if _, err := d.Send(sandbox.Text{From: customer, To: number, Body: "whole"}); err != nil {
		t.Fatal(err)
	}
	torn := crashCopy(t, dir)
	name := filepath.Join(torn, "ledger.jsonl")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, append(whole, `{"at":"2026-01-01T00:00:00Z","mess`...), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there are entries after the place that was cut
		s, err := sandbox.New(sandbox.Options{Dir: torn})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(s.Ledger().Inbound); n != 1 {
			t.Errorf("%d texts, want 1", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(name, append([]byte("garbage\n"), whole...), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := sandbox.New(sandbox.Options{Dir: torn}); err == nil || !strings.Contains(err.Error(), "ledger.jsonl line 1") {
		t.Errorf("New on garbage = %v, %v; want an error that names the line", s, err)
	}
}

func TestConcurrentTexts(t *testing.T) {
	g := newGateway(t)
	d := newDouble(t, sandbox.Options{Dir: t.TempDir()}, g.URL)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if _, err := d.Send(sandbox.Text{From: customer, To: number, Body: "x"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	l := d.Ledger()
	if len(l.Inbound) != 320 || len(g.hits()) != 320 {
		t.Errorf("%d texts, %d webhooks; want 320 each", len(l.Inbound), len(g.hits()))
	}
	for _, m := range l.Inbound {
		if m.Deliveries[0].State != "answered" {
			t.Fatalf("delivery %+v", m.Deliveries)
		}
	}
	if code := d.control("POST", "/_sandbox/reset", nil, nil); code != 204 {
		t.Errorf("reset: %d", code)
	}
	if l := d.Ledger(); len(l.Inbound) != 0 || len(d.Self().Numbers) != 2 {
		t.Errorf("after reset: %d texts, %d numbers", len(l.Inbound), len(d.Self().Numbers))
	}
}

func TestClosed(t *testing.T) {
	s, err := sandbox.New(sandbox.Options{Dir: t.TempDir(), Numbers: []sandbox.Number{{Number: number}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := s.Send(sandbox.Text{From: customer, To: number, Body: "x"}); err == nil {
		t.Error("a closed sandbox took a text")
	}
}
