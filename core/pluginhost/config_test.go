package pluginhost_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/pluginhost"
)

func accountOf(b *bench, settings string) []pluginhost.AccountConfig {
	return []pluginhost.AccountConfig{{ID: b.account, Plugin: "echo", Name: "One", Settings: json.RawMessage(settings), Enabled: true}}
}

func TestValidate(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	own := conversation.AccountID{}
	tests := []struct {
		name, settings, account string
		want                    []pluginhost.Problem
	}{
		{"good", `{"limit":3}`, `{"number":"1","token":"x"}`, nil},
		{"no settings", ``, `{"number":"1"}`, nil},
		{"missing", `{}`, `{}`, []pluginhost.Problem{{Account: b.account, Path: "/number", Code: "required", Text: "is missing"}}},
		{"type", `{"limit":"canary"}`, `{"number":"1"}`, []pluginhost.Problem{{Account: own, Path: "/limit", Code: "type", Text: "want integer, got string"}}},
		{"unknown", `{}`, `{"number":"1","colour":"canary"}`, []pluginhost.Problem{{Account: b.account, Path: "/colour", Code: "unknown", Text: "is not known"}}},
		{"no object", `{}`, `[]`, []pluginhost.Problem{{Account: b.account, Code: "type", Text: "want a JSON object"}}},
		{"broken", `{"limit":`, `{"number":"1"}`, []pluginhost.Problem{{Account: own, Code: "type", Text: "want a JSON object"}}},
		{"credentials", `{}`, `{"number":"1","token":"wrong"}`, []pluginhost.Problem{{Account: b.account, Path: "/token", Code: "unauthorized", Text: "the vendor refuses it"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := b.host.Validate(t.Context(), "echo", json.RawMessage(tt.settings), accountOf(b, tt.account))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("validate %s %s (-want +got):\n%s", tt.settings, tt.account, diff)
			}
		})
	}
	if _, err := b.host.Validate(t.Context(), "other", nil, nil); err == nil {
		t.Error("validate of an unknown plugin: got no error")
	}
}

// One account's fault, found by the schema or by the plugin, must not stop other accounts.
func TestFaultyAccount(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	noNumber, wrongToken := newAccount(), newAccount()
	b.host.SetAccounts(append(accountOf(b, `{"number":"1"}`),
		pluginhost.AccountConfig{ID: noNumber, Plugin: "echo", Settings: json.RawMessage(`{}`), Enabled: true},
		pluginhost.AccountConfig{ID: wrongToken, Plugin: "echo", Settings: json.RawMessage(`{"number":"2","token":"wrong"}`), Enabled: true},
	))
	b.core.until(t, "both faults", func() bool {
		return b.core.statuses[noNumber] == "required" && b.core.statuses[wrongToken] == "unauthorized"
	})
	b.core.until(t, "degraded", func() bool { return b.status(t).State == pluginhost.StateDegraded })
	id := b.core.send(b.account, "hello")
	b.core.until(t, "the good account's result", func() bool { return b.core.settled(id) })
	b.host.SetAccounts(accountOf(b, `{"number":"1"}`))
	b.core.until(t, "ready again", func() bool { return b.status(t).State == pluginhost.StateReady })
	if s := b.status(t); s.Generation != 1 || len(s.Problems) != 0 {
		t.Errorf("status: got generation %d with %v, want the first without problems", s.Generation, s.Problems)
	}
}

// A change that needs a new process must start one, without a gap.
func TestRestartForConfig(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	b.host.SetSettings("echo", []byte(`{"limit":13}`))
	b.core.until(t, "a new process", func() bool { s := b.status(t); return s.Generation == 2 && s.State == pluginhost.StateReady })
	if s := b.status(t); s.Restarts != 0 {
		t.Errorf("restarts: got %d, want none: it was no crash", s.Restarts)
	}
}

// Faulty settings of the plugin itself must keep it from starting until they change.
func TestFaultySettings(t *testing.T) {
	b := newBench(t, nil, self("echo"))
	b.ready(t)
	b.host.SetSettings("echo", []byte(`{"limit":"many"}`))
	b.core.until(t, "degraded", func() bool { return b.status(t).State == pluginhost.StateDegraded })
	b.core.send(b.account, "exit 1")
	b.core.until(t, "no process", func() bool { return b.status(t).PID == 0 && len(b.status(t).Problems) > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := b.host.Ready(ctx); err == nil {
		t.Error("ready with faulty settings")
	}
	b.host.SetSettings("echo", []byte(`{"limit":1}`))
	b.ready(t)
}

// A plugin that declared no routes must have none even while it is not running, so that no request
// waits for it.
func TestNoRoutes(t *testing.T) {
	b := newBench(t, nil, self("echo", "no-routes"))
	b.ready(t)
	for range 2 {
		if target, ok := b.host.Route("echo"); !ok || len(target.Routes) != 0 {
			t.Errorf("route: got %+v, %v, want none and no reason to wait", target, ok)
		}
		if err := b.host.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDescribed(t *testing.T) {
	b := newBench(t, func(o *pluginhost.Options) {
		o.PluginURL = func(id string, _ bool) string { return "https://chat.example/p/" + id }
	}, self("echo"))
	b.ready(t)
	b.core.mu.Lock()
	info := b.core.infos[0]
	b.core.mu.Unlock()
	if caps := info.CapabilitiesOf(b.account); !caps.Text || caps.Connected || !info.Channel || info.OneNodeOf(b.account) {
		t.Errorf("description: got %+v", info)
	}
	target, ok := b.host.Route("echo")
	want := []pluginhost.Route{{Path: "ws", Access: pluginhost.AccessPublic, Upgrade: true, MaxBody: 64 << 10}}
	if diff := cmp.Diff(want, target.Routes); !ok || diff != "" || len(target.IdentityKey) != 32 || target.Instance == "" {
		t.Errorf("route: got %+v, %v (-want +got routes):\n%s", target, ok, diff)
	}
	if target.Foreign {
		t.Error("route: a plugin of this program is called foreign")
	}
	if _, ok := b.host.Route("other"); ok {
		t.Error("route of an unknown plugin: got one")
	}
	if settings, account, ok := b.host.Schemas("echo"); !ok || settings == "" || account == "" {
		t.Error("schemas: got none")
	}
	b.core.send(b.account, "exit 1")
	b.generation(t, 2)
	select {
	case <-target.Gone:
	default:
		t.Error("Gone of the first generation is open after its end")
	}
	limits, known := b.host.HookLimits(b.account)
	if !known || limits.MaxBody != 64<<10 || len(limits.Methods) != 1 {
		t.Errorf("hook limits: got %+v, %v", limits, known)
	}
}
