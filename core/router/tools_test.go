package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/sessionwork"
)

// toolHost is a plugin host with a tool that remembers its sessions by instance.
type toolHost struct {
	mu       sync.Mutex
	known    map[string]map[conversation.SessionID]*plugin.ToolSession // by instance
	newest   string
	fault    *plugin.ToolFault
	deaf     int // how many further calls are carried out but not answered
	starts   []plugin.ToolStart
	acts     []plugin.ToolAct
	ended    []conversation.Cause
	endedBy  []plugin.Party
	notices  []string
	last     string        // the line with which the tool answers an end; "" = none
	numbered uint64        // the revision of that answer
	hangs    string        // the generation that answers no end; "" = none
	blocking chan struct{} // not nil: Start waits for it
}

func newToolHost() *toolHost {
	return &toolHost{known: map[string]map[conversation.SessionID]*plugin.ToolSession{}}
}

// up starts a generation.
func (h *toolHost) up(r *router.Router, instance string, info plugin.ToolInfo) {
	h.mu.Lock()
	if h.newest = instance; h.known[instance] == nil {
		h.known[instance] = map[conversation.SessionID]*plugin.ToolSession{}
	}
	h.mu.Unlock()
	r.PluginReady("counter", instance, &port{info: plugin.Info{ID: "counter", Tool: &info}})
}

// down ends a generation, which forgets everything.
func (h *toolHost) down(r *router.Router, instance string) {
	h.mu.Lock()
	delete(h.known, instance)
	h.mu.Unlock()
	r.PluginGone("counter", instance)
}

// makeDeaf lets the next n calls go without an answer.
func (h *toolHost) makeDeaf(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = n
}

// answer is called with h.mu held.
func (h *toolHost) answer(instance string) error {
	if h.known[instance] == nil {
		return plugin.ErrInstanceGone
	}
	if h.deaf > 0 {
		h.deaf--
		return plugin.ErrNoAnswer
	}
	return nil
}

func (h *toolHost) ToolStart(ctx context.Context, _ string, r plugin.ToolStart) (plugin.ToolAnswer, error) {
	if h.blocking != nil {
		select {
		case <-h.blocking:
		case <-ctx.Done():
			return plugin.ToolAnswer{}, plugin.ErrNoAnswer
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault != nil {
		return plugin.ToolAnswer{Fault: h.fault}, nil
	}
	h.starts = append(h.starts, r)
	ts := &plugin.ToolSession{Session: r.Session, Instance: h.newest, State: conversation.SessionStateWaiting, Revision: 1,
		Panel: &plugin.Panel{Revision: 1, Blocks: json.RawMessage(`[{"type":"text","text":"0"}]`)}}
	if m := h.known[h.newest]; m != nil {
		m[r.Session] = ts
	}
	return plugin.ToolAnswer{Session: ts, Panel: ts.Panel}, h.answer(h.newest)
}

func (h *toolHost) ToolGet(_ context.Context, _, instance string, id conversation.SessionID) (plugin.ToolSession, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.answer(instance); err != nil {
		return plugin.ToolSession{}, false, err
	}
	ts := h.known[instance][id]
	if ts == nil {
		return plugin.ToolSession{}, false, nil
	}
	return *ts, true, nil
}

func (h *toolHost) ToolEnd(ctx context.Context, _, instance string, id conversation.SessionID, by plugin.Party, cause conversation.Cause) (plugin.ToolSession, error) {
	if h.hangs == instance {
		<-ctx.Done()
		return plugin.ToolSession{}, plugin.ErrNoAnswer
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.answer(instance); err != nil {
		return plugin.ToolSession{}, err
	}
	h.ended, h.endedBy = append(h.ended, cause), append(h.endedBy, by)
	delete(h.known[instance], id)
	return plugin.ToolSession{Session: id, Ended: true, Revision: h.numbered, Note: h.last}, nil
}

func (h *toolHost) ToolPanel(_ context.Context, _, instance string, id conversation.SessionID, viewer plugin.Party) (*plugin.Panel, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.answer(instance); err != nil {
		return nil, err
	}
	return &plugin.Panel{Revision: 1, Blocks: json.RawMessage(`["` + string(viewer.Who.Kind) + `"]`)}, nil
}

func (h *toolHost) ToolAct(_ context.Context, _, instance string, a plugin.ToolAct) (plugin.ToolAnswer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ts := h.known[instance][a.Session]
	if ts != nil && !slices.ContainsFunc(h.acts, func(x plugin.ToolAct) bool { return x.Act == a.Act }) {
		h.acts = append(h.acts, a)
		ts.Revision++
		ts.State = conversation.SessionStateActive
	}
	if err := h.answer(instance); err != nil {
		return plugin.ToolAnswer{}, err
	}
	if ts == nil {
		return plugin.ToolAnswer{Fault: &plugin.ToolFault{Code: "ended"}}, nil
	}
	out := *ts
	out.Panel = &plugin.Panel{Revision: ts.Revision, Blocks: json.RawMessage(`[]`)}
	return plugin.ToolAnswer{Session: &out, Panel: out.Panel, Effects: []plugin.Effect{{Toast: "counted"}}}, nil
}

func (h *toolHost) ToolNotice(_, instance string, n plugin.ToolNotice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notices = append(h.notices, n.What)
}

// toolBubble is a bubble with a tool that the service has.
type toolBubble struct {
	*bubble
	h    *toolHost
	tool conversation.AccountID
	ana  conversation.AgentID
	conv conversation.ConversationID
}

var counter = plugin.ToolInfo{Title: "Counter", AgentStarts: true, CustomerStarts: true, Single: true}

func withTool(t *testing.T, test func(t *testing.T, b *toolBubble)) {
	t.Helper()
	w := newWorld(t, nil)
	acc, err := w.dir.PutAccount(t.Context(), directory.Account{Plugin: "counter", Name: "counter", Service: w.service.ID, Enabled: true}, nil)
	must(t, err)
	w.service.Tools = []directory.ServiceTool{{Account: acc.ID, Settings: json.RawMessage(`{"step":2}`)}}
	w.service, err = w.dir.PutService(t.Context(), w.service)
	must(t, err)
	w.inBubble(t, func(t *testing.T, in *bubble) {
		b := &toolBubble{bubble: in, h: newToolHost(), tool: acc.ID}
		b.r.UseTools(b.h)
		b.h.up(b.r, "counter-1", counter)
		b.ana, b.conv = b.accepted("ana")
		test(t, b)
	})
}

func (b *toolBubble) start() (sessionwork.Answer, error) {
	return b.r.StartTool(b.t.Context(), sessionwork.StartRequest{Conversation: b.conv, Agent: b.ana, Account: b.tool, Arguments: json.RawMessage(`{"a":1}`)})
}

func (b *toolBubble) live() []conversation.Session {
	b.t.Helper()
	info, err := b.r.Info(b.t.Context(), b.conv)
	must(b.t, err)
	return info.State.Sessions
}

// said lists what an audience sees of sessions: type and, for an end, its cause.
func (b *toolBubble) said(a conversation.Audience) (out []string) {
	b.t.Helper()
	recs, err := b.r.Records(b.t.Context(), b.conv, a, 0, 1000)
	must(b.t, err)
	for _, rec := range recs {
		switch rec.Type {
		case conversation.TypeSessionEnded:
			var h conversation.SessionEnded
			must(b.t, json.Unmarshal(rec.Head, &h))
			out = append(out, fmt.Sprintf("ended %s", h.Cause))
		case conversation.TypeSessionRequested, conversation.TypeSessionChanged, conversation.TypeSessionPanel,
			conversation.TypeSessionCustomerPanel, conversation.TypeSessionNoted:
			out = append(out, string(rec.Type))
		}
	}
	return out
}

func (b *toolBubble) event(key string, ts plugin.ToolSession) plugin.Ack {
	ack := ingest(b.r, plugin.Inbound{Plugin: "counter", Account: b.tool, DedupeKey: key, Tool: &ts})
	synctest.Wait()
	return ack
}

func wantStrings(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestToolLife(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		a, err := b.start()
		must(t, err)
		st := b.h.starts[0]
		if st.Session != a.Session || st.Conversation != b.conv || st.Agent.Who.Agent != b.ana || st.Agent.Name != "Agent ana" || st.Customer.Name != "Cora" ||
			string(st.Settings) != `{"step":2}` || string(st.Arguments) != `{"a":1}` || a.Panel == nil {
			t.Errorf("the tool was started with %+v, answered %+v", st, a)
		}
		x := b.live()[0]
		if x.State != conversation.SessionStateWaiting || x.Pin != (conversation.Pin{Node: "n1", Instance: "counter-1"}) || x.Revision != 1 || x.For.Agent != b.ana {
			t.Errorf("session %+v", x)
		}
		if _, err := b.start(); !errors.Is(err, conversation.ErrTooManySessions) {
			t.Errorf("a second session of a single tool: %v", err)
		}
		act, err := b.r.ActTool(t.Context(), sessionwork.ActRequest{Conversation: b.conv, Agent: b.ana, Session: a.Session, Action: "add", Values: []byte(`{}`)})
		must(t, err)
		if act.Panel == nil || len(act.Effects) != 1 || act.Seq == 0 || b.live()[0].State != conversation.SessionStateActive {
			t.Errorf("act answered %+v, session %+v", act, b.live()[0])
		}
		p, err := b.r.ToolPanel(t.Context(), b.ana, b.conv, a.Session)
		if err != nil || string(p.Blocks) != `["agent"]` {
			t.Errorf("panel %+v, %v", p, err)
		}
		_, err = b.r.EndTool(t.Context(), b.ana, b.conv, a.Session)
		must(t, err)
		synctest.Wait()
		if len(b.live()) != 0 || !slices.Equal(b.h.ended, []conversation.Cause{"finished"}) {
			t.Errorf("ended: %+v, the tool was told %v", b.live(), b.h.ended)
		}
		wantStrings(t, "agents see", b.said(conversation.AudienceAgent), "session.requested/1", "session.panel/1", "session.changed/1", "session.panel/1", "session.changed/1", "ended finished")
		wantStrings(t, "the customer sees", b.said(conversation.AudienceCustomer), "session.requested/1", "session.changed/1", "session.changed/1", "ended finished")
		wantStrings(t, "notices", b.h.notices, "session_ended")
	})
}

func TestToolRefusals(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		start := func(change func(*sessionwork.StartRequest)) string {
			r := sessionwork.StartRequest{Conversation: b.conv, Agent: b.ana, Account: b.tool}
			change(&r)
			_, err := b.r.StartTool(t.Context(), r)
			return router.Code(err)
		}
		for want, change := range map[string]func(*sessionwork.StartRequest){
			"not_joined":    func(r *sessionwork.StartRequest) { r.Agent = b.agents["ben"] },
			"no_tool":       func(r *sessionwork.StartRequest) { r.Account = b.chat.ID },
			"not_found":     func(r *sessionwork.StartRequest) { r.Conversation = conversation.ConversationID{7} },
			"unknown_agent": func(r *sessionwork.StartRequest) { r.Agent = conversation.AgentID{7} },
			"invalid":       func(r *sessionwork.StartRequest) { r.Arguments = json.RawMessage(`{`) },
		} {
			if got := start(change); got != want {
				t.Errorf("start: got %q, want %q", got, want)
			}
		}
		b.h.fault = &plugin.ToolFault{Code: "busy", Text: "all seats are taken"}
		_, err := b.start()
		var fault *sessionwork.Fault
		if !errors.As(err, &fault) || fault.Text != "all seats are taken" || router.Code(err) != "tool_fault" {
			t.Errorf("a tool that refuses: %v", err)
		}
		b.h.fault = nil
		if len(b.live()) != 0 || len(b.h.ended) != 0 {
			t.Errorf("after the refusal: %+v; the tool was told %v", b.live(), b.h.ended)
		}
		wantStrings(t, "agents see", b.said(conversation.AudienceAgent), "session.requested/1", "ended failed")
		a, err := b.start()
		must(t, err)
		ben := b.agents["ben"]
		if _, err := b.r.ActTool(t.Context(), sessionwork.ActRequest{Conversation: b.conv, Agent: ben, Session: a.Session, Action: "x"}); !errors.Is(err, conversation.ErrNotJoined) {
			t.Errorf("a stranger acts: %v", err)
		}
		if _, err := b.r.ToolPanel(t.Context(), ben, b.conv, a.Session); !errors.Is(err, conversation.ErrNotJoined) {
			t.Errorf("a stranger looks: %v", err)
		}
		if _, err := b.r.EndTool(t.Context(), ben, b.conv, a.Session); !errors.Is(err, conversation.ErrNotJoined) {
			t.Errorf("a stranger ends: %v", err)
		}
		b.h.down(b.r, "counter-1")
		b.h.up(b.r, "counter-2", plugin.ToolInfo{CustomerStarts: true})
		synctest.Wait()
		if got := start(func(*sessionwork.StartRequest) {}); got != "denied" {
			t.Errorf("a tool that only customers start: %q", got)
		}
		b.h.up(b.r, "counter-3", plugin.ToolInfo{AgentStarts: true, NeedsPanels: true})
		if got := start(func(*sessionwork.StartRequest) {}); got != "no_tool" {
			t.Errorf("a tool that needs panels on a channel without: %q", got)
		}
		b.h.down(b.r, "counter-2")
		b.h.down(b.r, "counter-3")
		b.h.up(b.r, "counter-4", counter)
		b.r.PluginGone("counter", "counter-4")
		if got := start(func(*sessionwork.StartRequest) {}); got != "unavailable" {
			t.Errorf("a tool that does not run: %q", got)
		}
	})
}

// A lost answer is asked for; a retry of the request is the same session.
func TestToolAnswerLost(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		b.h.makeDeaf(2) // the start, and the first time that it is asked for
		req := sessionwork.StartRequest{Conversation: b.conv, Agent: b.ana, Account: b.tool, ClientID: "c1"}
		a, err := b.r.StartTool(t.Context(), req)
		must(t, err)
		if x := b.live(); len(x) != 1 || x[0].State != conversation.SessionStateWaiting || len(b.h.starts) != 1 || a.Panel == nil {
			t.Errorf("live %+v, starts %d, answer %+v", x, len(b.h.starts), a)
		}
		again, err := b.r.StartTool(t.Context(), req)
		if err != nil || again.Session != a.Session || len(b.h.starts) != 1 {
			t.Errorf("the retry gives %+v, %v; starts %d", again, err, len(b.h.starts))
		}
		_, err = b.r.EndTool(t.Context(), b.ana, b.conv, a.Session)
		must(t, err)
		synctest.Wait()
		b.h.makeDeaf(1000)
		_, err = b.start()
		if router.Code(err) != "unavailable" || len(b.live()) != 0 {
			t.Errorf("a tool that never answers: %v, live %+v", err, b.live())
		}
		b.h.makeDeaf(0)
		b.after(time.Minute)
		wantStrings(t, "agents see", b.said(conversation.AudienceAgent), "session.requested/1", "session.panel/1", "session.changed/1", "ended finished", "session.requested/1", "ended failed")
	})
}

func TestToolEvents(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		a, err := b.start()
		must(t, err)
		panel := func(n uint64) *plugin.Panel { return &plugin.Panel{Revision: n, Blocks: json.RawMessage(`[]`)} }
		ack := b.event("e1", plugin.ToolSession{Session: a.Session, Instance: "counter-1", State: conversation.SessionStateActive, Panel: panel(5), CustomerPanel: panel(2), Note: "She is in."})
		if ack.Status != plugin.Committed || ack.Conversation != b.conv || ack.Seq == 0 {
			t.Errorf("event: %+v", ack)
		}
		if again := b.event("e1", plugin.ToolSession{Session: a.Session, State: conversation.SessionStateActive, Panel: panel(6)}); again.Status != plugin.Duplicate || again.Seq != ack.Seq {
			t.Errorf("repeat: %+v", again)
		}
		if old := b.event("e0", plugin.ToolSession{Session: a.Session, State: conversation.SessionStateWaiting, Panel: panel(4)}); old.Status != plugin.Committed || old.Seq != 0 {
			t.Errorf("an older event: %+v", old)
		}
		if x := b.live()[0]; x.State != conversation.SessionStateActive || x.Revision != 5 || x.CustomerRevision != 2 {
			t.Errorf("session %+v", x)
		}
		for want, ts := range map[string]plugin.ToolSession{
			"unknown_session": {Session: conversation.SessionID{9}},
			"invalid":         {Session: a.Session, Panel: &plugin.Panel{Blocks: json.RawMessage(`{}`)}},
			"too_large":       {Session: a.Session, Panel: &plugin.Panel{Blocks: make([]byte, 65<<10)}},
		} {
			if got := b.event("", ts); got.Status != plugin.Refused || got.Code != want {
				t.Errorf("got %+v, want refused %s", got, want)
			}
		}
		stranger := ingest(b.r, plugin.Inbound{Plugin: "chat", Account: b.chat.ID, Tool: &plugin.ToolSession{Session: a.Session, Ended: true}})
		if stranger.Status != plugin.Refused || stranger.Code != "unknown_session" {
			t.Errorf("another account's event: %+v", stranger)
		}
		if end := b.event("e2", plugin.ToolSession{Session: a.Session, Ended: true, Cause: "declined"}); end.Status != plugin.Committed || end.Seq == 0 {
			t.Errorf("end: %+v", end)
		}
		if late := b.event("e3", plugin.ToolSession{Session: a.Session, State: conversation.SessionStateActive}); late.Status != plugin.Committed || late.Seq != 0 || late.Conversation != b.conv {
			t.Errorf("an event after the end: %+v", late)
		}
		b.after(time.Minute)
		if len(b.h.ended) != 0 {
			t.Errorf("the tool, which ended the session itself, was told to: %v", b.h.ended)
		}
		wantStrings(t, "the customer sees", b.said(conversation.AudienceCustomer), "session.requested/1", "session.changed/1", "session.customer_panel/1", "session.noted/1", "session.changed/1", "ended rejected")
	})
}

// E7: a plugin that dies loses its sessions, unless its next generation knows them; the conversation goes on.
func TestToolPluginDies(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		a, err := b.start()
		must(t, err)
		b.h.down(b.r, "counter-1")
		synctest.Wait()
		b.h.up(b.r, "counter-2", counter)
		b.after(time.Second)
		wantStrings(t, "agents see", b.said(conversation.AudienceAgent), "session.requested/1", "session.panel/1", "session.changed/1", "ended lost")
		if b.display(b.conv) != conversation.DisplayActive {
			t.Error("the conversation did not go on")
		}
		if late := b.event("l", plugin.ToolSession{Session: a.Session, Ended: true}); late.Status != plugin.Committed {
			t.Errorf("late news: %+v", late)
		}
		a, err = b.start()
		must(t, err)
		b.h.mu.Lock()
		kept := *b.h.known["counter-2"][a.Session]
		b.h.mu.Unlock()
		b.h.down(b.r, "counter-2")
		synctest.Wait()
		b.h.mu.Lock()
		kept.State = conversation.SessionStateActive
		b.h.known["counter-3"] = map[conversation.SessionID]*plugin.ToolSession{a.Session: &kept}
		b.h.mu.Unlock()
		b.h.up(b.r, "counter-3", counter)
		b.after(time.Second)
		if x := b.live(); len(x) != 1 || x[0].Pin.Instance != "counter-3" || x[0].State != conversation.SessionStateActive {
			t.Errorf("a session that the next generation knows: %+v", x)
		}
		b.h.down(b.r, "counter-3")
		gone := counter
		b.r.PluginReady("counter", "counter-4", &port{info: plugin.Info{ID: "counter", Tool: &gone}}) // and dies before it is asked
		b.after(time.Second)
		b.r.PluginGone("counter", "counter-4")
		b.h.mu.Lock()
		b.h.known["counter-5"] = map[conversation.SessionID]*plugin.ToolSession{a.Session: &kept}
		b.h.mu.Unlock()
		b.h.up(b.r, "counter-5", counter)
		b.after(time.Second)
		if x := b.live(); len(x) != 1 || x[0].Pin.Instance != "counter-5" {
			t.Errorf("a session of a plugin that died twice: %+v", x)
		}
		b.h.down(b.r, "counter-5")
		b.r.PluginReady("counter", "counter-6", &port{info: plugin.Info{ID: "counter", Tool: &gone}})
		b.after(time.Second)
		b.r.PluginGone("counter", "counter-6")
		b.after(58 * time.Second)
		if len(b.live()) != 1 {
			t.Error("the session was lost although its plugin may come back")
		}
		b.after(2 * time.Second)
		if len(b.live()) != 0 {
			t.Error("the session was not lost although its plugin stays away")
		}
	})
}

// Sessions of a gateway that died are asked for when their plugin runs again, or are lost.
func TestToolsAfterRestart(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		b.h.blocking = make(chan struct{})
		asked := make(chan error, 1)
		go func() { _, err := b.start(); asked <- err }()
		synctest.Wait()
		b.stop(b.r) // while the tool is being started
		if err := <-asked; err == nil {
			t.Error("a start whose router stopped was answered")
		}
		close(b.h.blocking)
		r, err := router.New(router.Options{Node: "n1", Log: b.log, Vault: &plainVault{}, Directory: fixedDirectory{b.dir.Snapshot()}, Bus: b.bus, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		must(t, r.Start(t.Context()))
		defer b.stop(r)
		r.UseTools(b.h)
		b.r = r
		synctest.Wait()
		if x := b.live(); len(x) != 1 || x[0].State != conversation.SessionStateRequested {
			t.Errorf("before its plugin could run, the session is %+v", x)
		}
		b.h.down(r, "counter-1")
		b.h.up(r, "counter-2", counter)
		b.after(time.Second)
		if len(b.live()) != 0 {
			t.Errorf("live after the restart: %+v", b.live())
		}
		wantStrings(t, "agents see", b.said(conversation.AudienceAgent), "session.requested/1", "ended lost")
		if _, err := b.start(); err != nil {
			t.Errorf("a session afterwards: %v", err)
		}
	})
}

// The customer asks for a tool, consents, fills in a form, and nothing of it is in the log.
func TestCustomerUsesTool(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		does := func(key string, a plugin.CustomerAction) plugin.Ack {
			ack := ingest(b.r, plugin.Inbound{Plugin: "chat", Account: b.chat.ID, Thread: "v", DedupeKey: key, Action: &a})
			synctest.Wait()
			return ack
		}
		start := plugin.CustomerAction{Tool: &plugin.CustomerTool{Account: b.tool, Action: "start"}}
		first := does("s", start)
		if first.Status != plugin.Committed || first.Conversation != b.conv {
			t.Fatalf("start: %+v", first)
		}
		if again := does("s", start); again.Status != plugin.Duplicate || again.Seq != first.Seq {
			t.Errorf("start again: %+v", again)
		}
		if other := does("s2", start); other.Status != plugin.Refused || other.Code != "too_many_sessions" {
			t.Errorf("a second one: %+v", other)
		}
		x := b.live()[0]
		if x.By.Kind != conversation.Customer || x.For.Agent != b.ana || x.State != conversation.SessionStateWaiting {
			t.Errorf("session %+v", x)
		}
		accept := plugin.CustomerAction{Tool: &plugin.CustomerTool{Session: x.ID, Action: "accept"}}
		b.h.makeDeaf(1)
		if got := does("a", accept); got.Status != plugin.Refused || got.Code != sessionwork.CodeUnavailable {
			t.Errorf("an act whose answer is lost: %+v", got)
		}
		if got := does("a", accept); got.Status != plugin.Committed {
			t.Errorf("the act again: %+v", got)
		}
		if len(b.h.acts) != 1 || b.h.acts[0].Viewer.Who.Kind != conversation.Customer || b.live()[0].State != conversation.SessionStateActive {
			t.Errorf("acts %+v", b.h.acts)
		}
		if got := does("f", plugin.CustomerAction{Form: &plugin.FormAnswer{Session: x.ID, Sealed: []byte("secret")}}); got.Status != plugin.Committed {
			t.Errorf("form: %+v", got)
		}
		if a := b.h.acts[1]; a.Action != sessionwork.FormAnswered || string(a.Values) != `{"sealed":"c2VjcmV0"}` {
			t.Errorf("form went as %+v", a)
		}
		for want, a := range map[string]plugin.CustomerAction{
			"no_such_session": {Tool: &plugin.CustomerTool{Session: conversation.SessionID{9}, Action: "accept"}},
			"invalid":         {Tool: &plugin.CustomerTool{Session: x.ID, Action: ""}},
			"no_tool":         {Tool: &plugin.CustomerTool{Account: b.chat.ID, Action: "start"}},
		} {
			if got := does("", a); got.Status != plugin.Refused || got.Code != want {
				t.Errorf("got %+v, want refused %s", got, want)
			}
		}
		recs, err := b.r.Records(t.Context(), b.conv, conversation.AudienceAudit, 0, 1000)
		must(t, err)
		for _, r := range recs {
			if slices.Contains([]string{string(r.Head), string(r.Body)}, "c2VjcmV0") {
				t.Error("the answer to a form is in the log")
			}
		}
		if got := does("e", plugin.CustomerAction{End: true}); got.Status != plugin.Committed {
			t.Errorf("end: %+v", got)
		}
		b.after(time.Second)
		if !slices.Equal(b.h.ended, []conversation.Cause{sessionwork.CauseConversationEnded}) || !slices.Equal(b.h.notices, []string{"ended"}) {
			t.Errorf("at the end the tool was told %v, %v", b.h.ended, b.h.notices)
		}
	})
}

// does is an action of the customer's, under a dedupe key.
func (b *toolBubble) does(key string, a plugin.CustomerAction) plugin.Ack {
	ack := ingest(b.r, plugin.Inbound{Plugin: "chat", Account: b.chat.ID, Thread: "v", DedupeKey: key, Action: &a})
	synctest.Wait()
	return ack
}

// E6: the customer's end is in the log before the tool hears of it, once, and whether or not the tool answers.
func TestCustomerEndsTool(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		a, err := b.start()
		must(t, err)
		end := plugin.CustomerAction{Tool: &plugin.CustomerTool{Session: a.Session, Action: "end"}}
		b.h.makeDeaf(1)
		first := b.does("e", end)
		if first.Status != plugin.Committed || first.Seq == 0 || first.Conversation != b.conv || len(b.live()) != 0 {
			t.Errorf("end: %+v, live %+v", first, b.live())
		}
		b.after(10 * time.Second)
		if len(b.h.acts) != 0 || !slices.Equal(b.h.ended, []conversation.Cause{"finished"}) || b.h.endedBy[0].Who.Kind != conversation.Customer {
			t.Errorf("the tool got the acts %+v, and was told %v by %+v", b.h.acts, b.h.ended, b.h.endedBy)
		}
		if again := b.does("e", end); again.Status != plugin.Duplicate || again.Seq != first.Seq {
			t.Errorf("the same end again: %+v", again)
		}
		if late := b.does("e2", end); late.Status != plugin.Refused || late.Code != "no_such_session" {
			t.Errorf("another end: %+v", late)
		}
		wantStrings(t, "the customer sees", b.said(conversation.AudienceCustomer), "session.requested/1", "session.changed/1", "ended finished")
		if b.display(b.conv) != conversation.DisplayActive {
			t.Error("the conversation did not go on")
		}
	})
}

// E7: a tool that cannot be reached refuses the customer for now. The same act is carried out later; the
// channel's other events are not held back (no plugin.Retry).
func TestCustomerToolOutOfReach(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		notNow := func(what string, got plugin.Ack) {
			t.Helper()
			if got.Status != plugin.Refused || got.Code != sessionwork.CodeUnavailable {
				t.Errorf("%s: %+v", what, got)
			}
		}
		start := plugin.CustomerAction{Tool: &plugin.CustomerTool{Account: b.tool, Action: "start"}}
		b.r.PluginGone("counter", "counter-1")
		notNow("a start while the plugin is away", b.does("s", start))
		b.h.up(b.r, "counter-1", counter)
		if got := b.does("s", start); got.Status != plugin.Committed {
			t.Errorf("the same start afterwards: %+v", got)
		}
		x := b.live()[0]
		act := plugin.CustomerAction{Tool: &plugin.CustomerTool{Session: x.ID, Action: "add"}}
		b.h.mu.Lock()
		kept := b.h.known["counter-1"]
		delete(b.h.known, "counter-1") // the process is gone, and nobody has noticed yet
		b.h.mu.Unlock()
		notNow("an act for a process that is gone", b.does("a", act))
		b.h.mu.Lock()
		b.h.known["counter-2"] = kept
		b.h.mu.Unlock()
		b.h.up(b.r, "counter-2", counter)
		b.r.PluginGone("counter", "counter-1")
		b.after(time.Second)
		if got := b.does("a", act); got.Status != plugin.Committed || len(b.h.acts) != 1 {
			t.Errorf("the same act with the next process: %+v, acts %+v", got, b.h.acts)
		}
	})
}

// A session that another node has is out of reach for agents and customers alike; anybody may end it here.
func TestToolOfAnotherNode(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		a, err := b.start()
		must(t, err)
		b.stop(b.r)
		r, err := router.New(router.Options{Node: "n2", Log: b.log, Vault: &plainVault{}, Directory: fixedDirectory{b.dir.Snapshot()}, Bus: b.bus, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		must(t, r.Start(t.Context()))
		defer b.stop(r)
		r.UseTools(b.h)
		b.r = r
		b.h.up(r, "counter-1", counter) // of this node, with the same name
		r.PluginReady("chat", "n2-chat", &port{info: plugin.Info{ID: "chat", Capabilities: conversation.Capabilities{Text: true, Connected: true}}})
		synctest.Wait()
		req := sessionwork.ActRequest{Conversation: b.conv, Agent: b.ana, Session: a.Session, Action: "add"}
		if _, err := r.ActTool(t.Context(), req); !errors.Is(err, sessionwork.ErrUnavailable) {
			t.Errorf("an agent's act: %v", err)
		}
		if got := b.does("a", plugin.CustomerAction{Tool: &plugin.CustomerTool{Session: a.Session, Action: "add"}}); got.Status != plugin.Refused || got.Code != sessionwork.CodeUnavailable {
			t.Errorf("a customer's act: %+v", got)
		}
		if got := b.does("f", plugin.CustomerAction{Form: &plugin.FormAnswer{Session: a.Session, Sealed: []byte("x")}}); got.Status != plugin.Refused || got.Code != sessionwork.CodeUnavailable {
			t.Errorf("a customer's answer to a form: %+v", got)
		}
		if len(b.h.acts) != 0 {
			t.Errorf("the tool got %+v", b.h.acts)
		}
		if got := b.does("e", plugin.CustomerAction{Tool: &plugin.CustomerTool{Session: a.Session, Action: "end"}}); got.Status != plugin.Committed || len(b.live()) != 0 {
			t.Errorf("a customer's end: %+v, live %+v", got, b.live())
		}
	})
}

// Acts are limited by session and side; the code is clear and the same act may come again.
func TestToolActsAreLimited(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		a, err := b.start()
		must(t, err)
		press := plugin.CustomerAction{Tool: &plugin.CustomerTool{Session: a.Session, Action: "add"}}
		taken, refused := 0, ""
		for i := range 100 {
			key := fmt.Sprintf("p%d", i)
			if got := b.does(key, press); got.Status == plugin.Committed {
				taken++
			} else if refused = key; got.Status != plugin.Refused || got.Code != sessionwork.CodeRate {
				t.Fatalf("press %d: %+v", i, got)
			}
		}
		if taken < 10 || taken > 50 || len(b.h.acts) != taken {
			t.Errorf("%d of 100 presses at once were taken, the tool got %d", taken, len(b.h.acts))
		}
		req := sessionwork.ActRequest{Conversation: b.conv, Agent: b.ana, Session: a.Session, Action: "add"}
		if _, err := b.r.ActTool(t.Context(), req); err != nil {
			t.Errorf("the agent pays for the customer: %v", err)
		}
		for range 100 {
			_, err = b.r.ActTool(t.Context(), req)
		}
		if router.Code(err) != sessionwork.CodeRate {
			t.Errorf("a hundred acts of the agent: %v", err)
		}
		b.after(time.Second)
		if got := b.does(refused, press); got.Status != plugin.Committed {
			t.Errorf("a refused press, a second later: %+v", got)
		}
		if _, err := b.r.EndTool(t.Context(), b.ana, b.conv, a.Session); err != nil {
			t.Errorf("the end: %v", err)
		}
	})
}

// M8: a tool hears who comes and goes, and passes to the other agent when the first one leaves.
func TestToolNotices(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		if _, err := b.start(); err != nil {
			t.Fatal(err)
		}
		ben := b.ready("ben")
		req, err := b.r.Invite(t.Context(), b.ana, b.conv, conversation.Target{Kind: conversation.TargetAgent, Agent: ben}, false)
		must(t, err)
		b.after(time.Second)
		_, _, err = b.r.Accept(t.Context(), ben, agentOf(t, b.r, ben).Offer.Offer)
		must(t, err)
		synctest.Wait()
		if got := b.live()[0].For.Agent; got != b.ana {
			t.Errorf("%s: the session is for %s, want ana, who has not left", req, got)
		}
		_, err = b.r.Leave(t.Context(), b.ana, b.conv, false)
		must(t, err)
		synctest.Wait()
		if got := b.live()[0].For.Agent; got != ben {
			t.Errorf("the session is for %s, want ben", got)
		}
		wantStrings(t, "notices", b.h.notices, "joined", "left")
	})
}

// A tool holds up neither inactivity nor the end, and ends with its conversation.
func TestToolDoesNotHoldClocks(t *testing.T) {
	withTool(t, func(t *testing.T, b *toolBubble) {
		if _, err := b.start(); err != nil {
			t.Fatal(err)
		}
		b.after(11 * time.Minute)
		if got := b.display(b.conv); got == conversation.DisplayActive {
			t.Errorf("idle for 11 minutes, the conversation is %s", got)
		}
		wantStrings(t, "agents see", b.said(conversation.AudienceAgent), "session.requested/1", "session.panel/1", "session.changed/1", "ended ended")
	})
}
