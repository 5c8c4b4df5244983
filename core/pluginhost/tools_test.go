package pluginhost_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost"
)

func newSessionID() conversation.SessionID { return conversation.NewID[conversation.SessionID]() }

func (b *bench) startTool(ctx context.Context, arguments string) (plugin.ToolAnswer, error) {
	return b.host.ToolStart(ctx, "tool", plugin.ToolStart{
		Session: newSessionID(), Account: b.account, Arguments: json.RawMessage(`"` + arguments + `"`),
	})
}

func wideDrain(o *pluginhost.Options) { o.DrainLimit = time.Minute }

var agentViewer = plugin.Party{Who: conversation.Author{Kind: conversation.Agent, Agent: conversation.NewID[conversation.AgentID]()}}

func TestTool(t *testing.T) {
	b := newBench(t, nil, self("tool", "tool"), self("echo"))
	b.ready(t)
	got, err := b.startTool(t.Context(), "")
	if err != nil || got.Session == nil || got.Session.State != conversation.SessionStateWaiting || got.Session.Instance == "" {
		t.Fatalf("start: got %+v, %v", got.Session, err)
	}
	instance, session := got.Session.Instance, got.Session.Session
	if s, found, err := b.host.ToolGet(t.Context(), "tool", instance, session); err != nil || !found || s.State != conversation.SessionStateActive || s.Instance != instance {
		t.Errorf("get: got %+v, %v, %v", s, found, err)
	}
	if p, err := b.host.ToolPanel(t.Context(), "tool", instance, session, agentViewer); err != nil || p == nil || string(p.Blocks) != "[1]" {
		t.Errorf("panel: got %+v, %v", p, err)
	}
	if p, err := b.host.ToolPanel(t.Context(), "tool", instance, session, plugin.Party{Who: conversation.Author{Kind: conversation.Customer}}); err != nil || p != nil {
		t.Errorf("panel of the customer: got %+v, %v, want none", p, err)
	}
	act := plugin.ToolAct{Session: session, Viewer: agentViewer, Act: uuid.New(), Action: "a"}
	if a, err := b.host.ToolAct(t.Context(), "tool", instance, act); err != nil || len(a.Effects) != 1 || a.Effects[0].InsertText != "a" {
		t.Errorf("act: got %+v, %v", a, err)
	}
	if s, err := b.host.ToolEnd(t.Context(), "tool", instance, session, agentViewer, "finished"); err != nil || !s.Ended || s.Session != session {
		t.Errorf("end: got %+v, %v", s, err)
	}
	if a, err := b.startTool(t.Context(), "fault"); err != nil || a.Fault == nil || a.Fault.Code != "not_configured" {
		t.Errorf("fault: got %+v, %v", a, err)
	}
	for _, bad := range []string{"bad", "other"} {
		a, err := b.startTool(t.Context(), bad)
		if !errors.Is(err, plugin.ErrNoAnswer) || strings.Contains(err.Error(), "secret") {
			t.Errorf("answer that breaks the contract (%s): got %+v, %v", bad, a, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.startTool(ctx, "hang"); !errors.Is(err, plugin.ErrNoAnswer) {
		t.Errorf("tool that does not answer: got %v", err)
	}
	for _, id := range []string{"echo", "nobody"} {
		if _, _, err := b.host.ToolGet(t.Context(), id, instance, session); !errors.Is(err, plugin.ErrInstanceGone) {
			t.Errorf("call of %s, which is no tool: got %v", id, err)
		}
	}
}

// A tool that dies in a call: the call says that its instance is gone, and a start is given to the
// next generation.
func TestToolCrash(t *testing.T) {
	b := newBench(t, nil, self("tool", "tool"))
	b.ready(t)
	first, err := b.startTool(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	act := plugin.ToolAct{Session: first.Session.Session, Viewer: agentViewer, Act: uuid.New(), Action: "die"}
	if _, err := b.host.ToolAct(t.Context(), "tool", first.Session.Instance, act); !errors.Is(err, plugin.ErrInstanceGone) {
		t.Errorf("act that kills the tool: got %v", err)
	}
	second, err := b.startTool(t.Context(), "panic-once")
	if err != nil || second.Session == nil || second.Session.Instance == first.Session.Instance {
		t.Errorf("start that kills the tool once: got %+v, %v", second.Session, err)
	}
	if _, _, err := b.host.ToolGet(t.Context(), "tool", first.Session.Instance, first.Session.Session); !errors.Is(err, plugin.ErrInstanceGone) {
		t.Errorf("call of an instance that is gone: got %v", err)
	}
	if _, err := b.startTool(t.Context(), "panic"); !errors.Is(err, plugin.ErrInstanceGone) {
		t.Errorf("start that always kills the tool: got %v", err)
	}
}

// A frozen tool is found after the silence that it declared, and its calls fail then.
func TestToolFrozen(t *testing.T) {
	b := newBench(t, nil, self("tool", "tool"))
	b.ready(t)
	first, err := b.startTool(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	act := plugin.ToolAct{Session: first.Session.Session, Viewer: agentViewer, Act: uuid.New(), Action: "freeze"}
	_, err = b.host.ToolAct(t.Context(), "tool", first.Session.Instance, act)
	if took := time.Since(start); !errors.Is(err, plugin.ErrInstanceGone) || took < 2500*time.Millisecond {
		t.Errorf("frozen tool: got %v after %v, want its instance gone after about 3 s", err, took)
	}
	b.core.until(t, "the next generation", func() bool { return len(b.core.readies) > 1 })
}

// A generation in drain still answers for the sessions that it holds, while new ones go to the next
// generation; when it has ended the core is told.
func TestToolDrain(t *testing.T) {
	b := newBench(t, wideDrain, self("tool", "tool", "holds"))
	b.ready(t)
	first, err := b.startTool(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.host.Restart(t.Context(), "tool"); err != nil {
		t.Fatal(err)
	}
	second, err := b.startTool(t.Context(), "")
	if err != nil || second.Session.Instance == first.Session.Instance {
		t.Fatalf("start after the restart: got %+v, %v", second.Session, err)
	}
	old, session := first.Session.Instance, first.Session.Session
	if _, found, err := b.host.ToolGet(t.Context(), "tool", old, session); err != nil || !found {
		t.Errorf("get at the generation in drain: got %v, %v", found, err)
	}
	if _, err := b.host.ToolEnd(t.Context(), "tool", old, session, agentViewer, "finished"); err != nil {
		t.Errorf("end at the generation in drain: got %v", err)
	}
	b.core.until(t, "the end of the old generation", func() bool { return slices.Contains(b.core.gone, old) })
	if _, _, err := b.host.ToolGet(t.Context(), "tool", old, session); !errors.Is(err, plugin.ErrInstanceGone) {
		t.Errorf("get at the generation that is gone: got %v", err)
	}
}

// The end of the host leaves no generation in drain longer than the host may take.
func TestToolDrainAtTheEnd(t *testing.T) {
	b := newBench(t, wideDrain, self("tool", "tool", "holds"))
	b.ready(t)
	first, err := b.startTool(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.host.Restart(t.Context(), "tool"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := b.host.Drain(ctx); err != nil {
		t.Errorf("drain: got %v, want both generations ended in time", err)
	}
	b.core.mu.Lock()
	defer b.core.mu.Unlock()
	if len(b.core.gone) != 2 || !slices.Contains(b.core.gone, first.Session.Instance) {
		t.Errorf("generations that are gone: got %v, want both", b.core.gone)
	}
}

// A generation that dies while it is being drained is gone at once.
func TestToolDrainKilled(t *testing.T) {
	b := newBench(t, wideDrain, self("tool", "tool", "holds"))
	b.ready(t)
	first, err := b.startTool(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	pid := b.status(t).PID
	if err := b.host.Restart(t.Context(), "tool"); err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	b.core.untilWithin(t, 10*time.Second, "the end of the old generation", func() bool { return slices.Contains(b.core.gone, first.Session.Instance) })
}

// What differs between accounts reaches the core, at the start and when it changes; traits of accounts
// that are not the plugin's leave the old ones in force.
func TestTraits(t *testing.T) {
	b := newBench(t, nil, self("tool", "tool"))
	b.ready(t)
	latest := func() *plugin.Info { return &b.core.infos[len(b.core.infos)-1] }
	b.host.SetSettings("tool", json.RawMessage(`{"traits":"one"}`))
	b.core.until(t, "traits", func() bool { return len(b.core.infos) == 2 })
	b.core.mu.Lock()
	info := latest()
	b.core.mu.Unlock()
	if !info.OneNodeOf(b.account) || info.CapabilitiesOf(b.account).MaxLength != 7 || info.Capabilities.MaxLength != 0 || info.Channel {
		t.Errorf("description: got %+v", info)
	}
	start := time.Now()
	if _, err := b.host.Hook(t.Context(), b.account, post("silent")); !errors.Is(err, pluginhost.ErrUnavailable) || time.Since(start) > 4*time.Second {
		t.Errorf("webhook of an account with a budget of 600 ms: got %v after %v", err, time.Since(start))
	}
	b.host.SetSettings("tool", json.RawMessage(`{"traits":"strange"}`))
	b.core.until(t, "the fault", func() bool { return strings.Contains(b.status(t).Reason, "accounts that were not configured") })
	b.host.SetSettings("tool", json.RawMessage(`{}`))
	b.core.until(t, "no traits", func() bool { return !latest().OneNodeOf(b.account) })
	b.core.mu.Lock()
	defer b.core.mu.Unlock()
	if n := len(b.core.infos); n != 3 {
		t.Errorf("descriptions: got %d, want 3", n)
	}
}

// What only minor 1 has is refused from a plugin of minor 0, with a text that says so.
func TestMinor0Tool(t *testing.T) {
	b := newBench(t, nil, self("old", "minor0-tool"))
	b.core.until(t, "the refusal", func() bool {
		c := b.status(t).LastCrash
		return c != nil && strings.Contains(c.Error, "tool needs minor 1")
	})
}
