package pluginhost_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// bench is a host with one plugin, which the test binary plays.
type bench struct {
	host    *pluginhost.Host
	core    *fakeCore
	account conversation.AccountID
	dir     string
}

// runDir makes a directory with a short path, since the length of socket paths is limited.
func runDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "ph")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func self(name string, modes ...string) pluginhost.Spec {
	return pluginhost.Spec{ID: name, Command: append([]string{"/proc/self/exe", "plugin", name}, modes...)}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newBench(tb testing.TB, opts func(*pluginhost.Options), specs ...pluginhost.Spec) *bench {
	tb.Helper()
	b := &bench{core: newFakeCore(), account: newAccount(), dir: runDir(tb)}
	o := pluginhost.Options{RunDir: b.dir, Core: b.core, Logger: discard(), Node: "n1"}
	if opts != nil {
		opts(&o)
	}
	h, err := pluginhost.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	b.host = h
	b.host.SetAccounts([]pluginhost.AccountConfig{{ID: b.account, Plugin: specs[0].ID, Name: "One", Settings: []byte(`{"number":"1","token":"t0ps3cret"}`), Enabled: true}})
	if err := h.Load(specs...); err != nil {
		tb.Fatal(err)
	}
	if err := h.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

func (b *bench) ready(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	if err := b.host.Ready(ctx); err != nil {
		tb.Fatal(err)
	}
}

func (b *bench) status(tb testing.TB) pluginhost.Status {
	tb.Helper()
	return b.host.Plugins()[0]
}

func post(body string) pluginhost.HookRequest {
	return pluginhost.HookRequest{Method: http.MethodPost, URL: "https://x/hooks/1", Body: []byte(body), Header: http.Header{"X-A": {"b"}}}
}

func TestHostFirstLight(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	id := b.core.send(b.account, "hello")
	b.core.until(t, "the result of a command", func() bool { return b.core.settled(id) })
	resp, err := b.host.Hook(t.Context(), b.account, post("m1"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Status != 202 || string(resp.Body) != "taken" || resp.Header.Get("X-Echo") != "POST" {
		t.Errorf("hook: got %+v", resp)
	}
	b.core.mu.Lock()
	got := len(b.core.events)
	b.core.mu.Unlock()
	if got != 1 {
		t.Errorf("events of the hook: got %d, want 1", got)
	}
	if err := b.host.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
