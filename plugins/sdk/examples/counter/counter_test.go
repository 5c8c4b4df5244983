package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/kit"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
)

// TestConformance runs the kit against the built program.
func TestConformance(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "counter")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	fixtures, err := kit.LoadFixtures("testdata/kit.json")
	if err != nil {
		t.Fatal(err)
	}
	report, err := kit.Run(t.Context(), kit.Options{Exec: bin, Fixtures: fixtures})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.WriteText(&table); err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("the counter breaks rules:\n%s", &table)
	}
	t.Logf("%s", &table)
}

const account = "00000000-0000-7000-c000-000000000001"

var agent, cora = sdk.Party{Kind: "agent", ID: uuid.NewString(), Name: "Anna"}, sdk.Party{Kind: customer}

func start(t *testing.T, arguments string) (*sdktest.Host, sdk.SessionID) {
	t.Helper()
	h := sdktest.Start(t, new(counter), sdktest.Options{Config: sdk.Config{Accounts: []sdk.Account{
		{ID: account, Settings: json.RawMessage(`{"step":2}`), Enabled: true},
	}}})
	id := sdktest.NewSessionID()
	for range 2 { // a repeat after a lost answer is the same session
		s, err := h.StartTool(sdk.ToolStart{Session: id, Account: account, By: agent, Agent: agent, Arguments: json.RawMessage(arguments), Panels: true})
		if err != nil || s.Revision != 1 {
			t.Fatalf("start: %+v, %v", s, err)
		}
	}
	return h, id
}

func count(t *testing.T, h *sdktest.Host, id sdk.SessionID) string {
	t.Helper()
	for _, b := range h.Panel(id, agent).Blocks {
		if kv, ok := b.(sdk.PanelKeyValue); ok {
			return kv.Items[0].Value
		}
	}
	t.Fatal("the panel has no number")
	return ""
}

func TestCount(t *testing.T) {
	h, id := start(t, `{"from":10}`)
	act := sdk.ToolAct{ID: uuid.NewString(), Session: id, Viewer: agent, Action: "add", Revision: 1}
	for range 2 {
		if a, err := h.Act(act); err != nil || a.Session.Revision != 2 {
			t.Errorf("act: %+v, %v", a, err)
		}
	}
	if got := count(t, h, id); got != "12" {
		t.Errorf("after one act that came twice: %s, want 12", got)
	}
	if _, err := h.Act(sdk.ToolAct{Session: id, Viewer: cora, Action: "add"}); err != nil {
		t.Errorf("the customer's act: %v", err)
	}
	a, err := h.Act(sdk.ToolAct{Session: id, Viewer: agent, Action: "copy"})
	if err != nil || !cmp.Equal(a.Effects, []sdk.Effect{sdk.InsertText{Text: "We are at 14."}}) {
		t.Errorf("copy: %+v, %v", a, err)
	}
	if _, err := h.Act(sdk.ToolAct{Session: id, Viewer: agent, Action: "end"}); err != nil {
		t.Errorf("end: %v", err)
	}
	ev := h.WaitEvent(func(ev sdk.Event) bool {
		e, ok := ev.Body.(sdk.ToolEvent)
		return ok && e.Session.State == sdk.SessionEnded
	})
	if s := ev.Body.(sdk.ToolEvent).Session; s.Cause != "finished" || s.Note != "The counter ended at 14." || len(s.CustomerPanel.Blocks) != 0 {
		t.Errorf("the end: %+v", s)
	}
	var fault *sdk.ToolFault
	if _, err := h.Act(sdk.ToolAct{Session: id, Viewer: agent, Action: "add"}); !errors.As(err, &fault) || fault.Code != "ended" {
		t.Errorf("act after the end: %v, want the fault ended", err)
	}
	for range 2 {
		if s, err := h.EndTool(sdk.ToolEnd{Session: id, Cause: "conversation_ended"}); err != nil || s.Cause != "finished" {
			t.Errorf("end after the end: %+v, %v; want the first cause", s, err)
		}
	}
}

func TestConsent(t *testing.T) {
	for action, want := range map[string]sdk.SessionState{"accept": sdk.SessionActive, "decline": sdk.SessionEnded} {
		h, id := start(t, `{"consent":true}`)
		if _, err := h.Act(sdk.ToolAct{Session: id, Viewer: agent, Action: "add"}); err == nil {
			t.Error("it counts without the customer's consent")
		}
		var fault *sdk.ToolFault
		if _, err := h.Act(sdk.ToolAct{Session: id, Viewer: agent, Action: action}); !errors.As(err, &fault) || fault.Code != "denied" {
			t.Errorf("the agent's %s: %v, want the fault denied", action, err)
		}
		if a, err := h.Act(sdk.ToolAct{Session: id, Viewer: cora, Action: action}); err != nil || a.Session.State != want {
			t.Errorf("%s: %+v, %v", action, a, err)
		}
	}
}

func TestExpiry(t *testing.T) {
	h, _ := start(t, "")
	id := sdktest.NewSessionID()
	if _, err := h.StartTool(sdk.ToolStart{Session: id, Account: account, Expires: time.Now().Add(-time.Second)}); err != nil {
		t.Fatal(err)
	}
	h.WaitEvent(func(ev sdk.Event) bool {
		e, ok := ev.Body.(sdk.ToolEvent)
		return ok && e.Session.ID == id && e.Session.Cause == "expired"
	})
}

func TestBadStart(t *testing.T) {
	h, _ := start(t, "")
	var fault *sdk.ToolFault
	if _, err := h.StartTool(sdk.ToolStart{Session: sdktest.NewSessionID(), Account: account, Arguments: json.RawMessage(`[1]`)}); !errors.As(err, &fault) || fault.Code != "invalid" {
		t.Errorf("arguments that are no object: %v, want the fault invalid", err)
	}
	if _, err := h.StartTool(sdk.ToolStart{Session: sdktest.NewSessionID(), Account: "nobody"}); !errors.As(err, &fault) || fault.Code != "not_configured" {
		t.Errorf("an account of nobody: %v, want the fault not_configured", err)
	}
}
