package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
)

// fakeTool is a plugin host with one tool. It shows each viewer who they are.
type fakeTool struct {
	mu     sync.Mutex
	starts []plugin.ToolStart
	acts   []plugin.ToolAct
	fault  *plugin.ToolFault // of all further starts and acts
	err    error             // of all further calls
}

func (f *fakeTool) answer(id conversation.SessionID, who plugin.Party) (plugin.ToolAnswer, error) {
	if f.fault != nil || f.err != nil {
		return plugin.ToolAnswer{Fault: f.fault}, f.err
	}
	rev := uint64(len(f.acts) + 1)
	ts := &plugin.ToolSession{Session: id, Instance: "tool-1", State: conversation.SessionStateActive, Revision: rev, Panel: f.panel(who, rev)}
	return plugin.ToolAnswer{Session: ts, Panel: f.panel(who, rev), Effects: []plugin.Effect{{Toast: "done"}}}, nil
}

func (f *fakeTool) panel(who plugin.Party, rev uint64) *plugin.Panel {
	return &plugin.Panel{Revision: rev, Blocks: json.RawMessage(`[{"type":"text","text":"` + string(who.Who.Kind) + `"}]`)}
}

func (f *fakeTool) ToolStart(_ context.Context, _ string, r plugin.ToolStart) (plugin.ToolAnswer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts = append(f.starts, r)
	return f.answer(r.Session, r.By)
}

func (f *fakeTool) ToolAct(_ context.Context, _, _ string, r plugin.ToolAct) (plugin.ToolAnswer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acts = append(f.acts, r)
	return f.answer(r.Session, r.Viewer)
}

func (f *fakeTool) ToolGet(context.Context, string, string, conversation.SessionID) (plugin.ToolSession, bool, error) {
	return plugin.ToolSession{}, false, nil
}

func (f *fakeTool) ToolEnd(_ context.Context, _, _ string, id conversation.SessionID, _ plugin.Party, _ conversation.Cause) (plugin.ToolSession, error) {
	return plugin.ToolSession{Session: id, Ended: true}, nil
}

func (f *fakeTool) ToolPanel(_ context.Context, _, _ string, _ conversation.SessionID, viewer plugin.Party) (*plugin.Panel, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.panel(viewer, 1), f.err
}

func (f *fakeTool) ToolNotice(string, string, plugin.ToolNotice) {}

func (f *fakeTool) refuse(fault *plugin.ToolFault, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.err = fault, err
}

// withTool stages an open chat whose service has a tool.
func withTool(t *testing.T) (f *floor, tool *fakeTool, account, path string) {
	f, tool = newFloor(t), &fakeTool{}
	f.core.UseTools(tool)
	f.core.PluginReady("tool", "tool-1", takingPort{info: plugin.Info{ID: "tool", Tool: &plugin.ToolInfo{Title: "Tool", AgentStarts: true, Single: true}}})
	acc, err := f.dir.PutAccount(t.Context(), directory.Account{Plugin: "tool", Name: "The tool", Inbound: directory.InboundNone, Enabled: true}, nil)
	f.must(t, err)
	f.service.Tools = []directory.ServiceTool{{Account: acc.ID}}
	f.service, err = f.dir.PutService(t.Context(), f.service)
	f.must(t, err)
	f.stage(chatting)
	return f, tool, acc.ID.String(), "/conversations/" + f.conv.String() + "/tools"
}

func TestToolByREST(t *testing.T) {
	f, tool, account, path := withTool(t)
	f.want("list", f.do("ana", "GET", path, nil), 200, "tools.0.account", account, "tools.0.title", "Tool", "tools.0.name", "The tool", "tools.0.may_start", "true")
	start := `{"account":"` + account + `","client_id":"c","arguments":{"big":9007199254740993}}`
	made := f.do("ana", "POST", path, start)
	f.want("start", made, 201, "panel.revision", "1", "panel.blocks.0.text", "agent", "effects.0.toast", "done")
	f.want("start again", f.do("ana", "POST", path, start), 201, "session", made.get("session"))
	if len(tool.starts) != 1 || string(tool.starts[0].Arguments) != `{"big":9007199254740993}` {
		t.Errorf("the tool was started with %+v", tool.starts)
	}
	f.want("a second one of a single tool", f.do("ana", "POST", path, `{"account":"`+account+`"}`), 409, "code", "too_many_sessions")
	f.want("list", f.do("ana", "GET", path, nil), 200, "tools.0.may_start", "false", "sessions.0.id", made.get("session"), "sessions.0.state", "active", "sessions.0.revision", "1")
	at := path + "/" + made.get("session")
	f.want("panel", f.do("ana", "GET", at, nil), 200, "blocks.0.text", "agent")
	act := conversation.NewID[conversation.MessageID]()
	f.want("act", f.do("ana", "POST", at+"/acts", `{"act":"`+act.String()+`","action":"add","values":{"n":1},"revision":1}`), 200, "panel.revision", "2")
	if a := tool.acts[0]; a.Act != act || a.Action != "add" || string(a.Values) != `{"n":1}` || a.Revision != 1 || a.Viewer.Who.Agent != f.users["ana"].ID {
		t.Errorf("the tool got %+v", a)
	}
	f.want("end", f.do("ana", "POST", at+"/end", nil), 200)
	for _, what := range []string{"GET ", "POST /acts", "POST /end"} {
		method, below, _ := strings.Cut(what, " ")
		var body any
		if below == "/acts" {
			body = `{"action":"add"}`
		}
		f.want(what+" after the end", f.do("ana", method, at+below, body), 409, "code", "no_such_session")
	}
}

// What a tool or the API refuses, and what people are told then.
func TestToolFaultsByREST(t *testing.T) {
	f, tool, account, path := withTool(t)
	made := f.do("ana", "POST", path, `{"account":"`+account+`"}`)
	f.want("start", made, 201)
	acts := path + "/" + made.get("session") + "/acts"
	large := strings.Repeat("x", 64<<10)
	for name, c := range map[string]struct {
		path, body string
		status     int
		code       string
	}{
		"no object":            {acts, `{"action":"add","values":[1]}`, 422, "invalid"},
		"no JSON":              {acts, `{"action":"add","values":{]}`, 400, "malformed"},
		"no action":            {acts, `{"action":""}`, 422, "invalid"},
		"a long action":        {acts, `{"action":"` + large[:129] + `"}`, 422, "invalid"},
		"large values":         {acts, `{"action":"add","values":{"a":"` + large + `"}}`, 413, "too_large"},
		"a larger body":        {acts, `{"action":"add","values":{"a":"` + large + large + `"}}`, 413, "too_large"},
		"arguments, no object": {path, `{"account":"` + account + `","arguments":"x"}`, 422, "invalid"},
		"large arguments":      {path, `{"account":"` + account + `","arguments":{"a":"` + large + `"}}`, 413, "too_large"},
		"no account":           {path, `{}`, 422, "invalid"},
		"an unknown field":     {path, `{"account":"` + account + `","by":"x"}`, 422, "invalid"},
	} {
		f.want(name, f.do("ana", "POST", c.path, c.body), c.status, "code", c.code)
	}
	if len(tool.acts) != 0 || len(tool.starts) != 1 {
		t.Errorf("the tool heard of %d acts and %d starts", len(tool.acts), len(tool.starts))
	}
	tool.refuse(&plugin.ToolFault{Code: "busy", Text: "all seats are taken", RetryAfter: 3 * time.Second}, nil)
	f.want("the tool refuses", f.do("ana", "POST", acts, `{"action":"add"}`), 409, "code", "tool_fault", "detail", "all seats are taken", "errors.0.where", "tool", "errors.0.problem", "busy")
	tool.refuse(nil, plugin.ErrNoAnswer)
	got := f.do("ana", "POST", acts, `{"action":"add"}`)
	f.want("the tool does not answer", got, 503, "code", "unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

// Too many acts on one session are refused for now, and not the end.
func TestToolActsAreLimitedByREST(t *testing.T) {
	f, tool, account, path := withTool(t)
	made := f.do("ana", "POST", path, `{"account":"`+account+`"}`)
	f.want("start", made, 201)
	at := path + "/" + made.get("session")
	for range 200 {
		if got := f.do("ana", "POST", at+"/acts", `{"action":"add"}`); got.status != 200 {
			f.want("too many acts", got, 429, "code", "rate_limited")
			f.want("the end", f.do("ana", "POST", at+"/end", nil), 200)
			return
		}
	}
	t.Errorf("200 acts at once were taken, the tool got %d", len(tool.acts))
}

// Who takes no part learns of no session; a supervisor whom agents do not see looks and does nothing else.
func TestToolIsForWhoTakesPart(t *testing.T) {
	f, tool, account, path := withTool(t)
	made := f.do("ana", "POST", path, `{"account":"`+account+`"}`)
	f.want("start", made, 201)
	session := made.get("session")
	at := path + "/" + session
	calls := []struct{ method, path, body string }{
		{"GET", path, ""}, {"GET", at, ""}, {"POST", path, `{"account":"` + account + `"}`}, {"POST", at + "/acts", `{"action":"add"}`}, {"POST", at + "/end", ""},
	}
	try := func(login, want string) {
		t.Helper()
		for i, c := range calls {
			var body any
			if c.body != "" {
				body = c.body
			}
			got := f.do(login, c.method, c.path, body)
			if want == "looks" && i < 2 {
				f.want(login+" looks", got, 200)
				continue
			}
			code := want
			if want == "looks" {
				code = "not_joined"
			}
			f.want(fmt.Sprint(login, " ", c.method, " ", c.path), got, statusOf[code], "code", code)
			if strings.Contains(got.text, session) {
				t.Errorf("%s learns of the session: %s", login, got.text)
			}
		}
	}
	for _, login := range []string{"ben", "cem", "otto"} {
		try(login, "not_found")
	}
	for _, login := range []string{"dora", "emil", "sue", "adam"} {
		try(login, "not_joined")
	}
	f.must(t, f.core.AgentConnected(t.Context(), f.users["sue"].ID))
	supervise := func(mode conversation.Mode) {
		t.Helper()
		_, err := f.core.Supervise(t.Context(), f.users["sue"].ID, f.conv, mode)
		f.must(t, err)
	}
	supervise(conversation.ModeMonitor)
	try("sue", "looks")
	if len(tool.acts) != 0 || len(tool.starts) != 1 {
		t.Fatalf("the tool heard of %d acts and %d starts", len(tool.acts), len(tool.starts))
	}
	supervise(conversation.ModeCoach)
	f.want("panel", f.do("sue", "GET", at, nil), 200, "blocks.0.text", "supervisor")
	f.want("act", f.do("sue", "POST", at+"/acts", `{"action":"add"}`), 200, "panel.blocks.0.text", "supervisor")
	f.want("list", f.do("sue", "GET", path, nil), 200, "tools.0.may_start", "false")
	f.want("end", f.do("sue", "POST", at+"/end", nil), 200)
}
