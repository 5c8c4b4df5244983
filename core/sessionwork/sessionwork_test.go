package sessionwork_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/sessionwork"
	"github.com/parley-gateway/parley/core/vault"
)

// house is a Work beside one conversation, whose events are decided by core/conversation and kept in memory, and
// a tool that answers as it is told to.
type house struct {
	t       *testing.T
	w       *sessionwork.Work
	snap    *directory.Snapshot
	account conversation.AccountID
	ana     conversation.AgentID
	wg      sync.WaitGroup
	ctx     context.Context //nolint:containedctx // of the Runner

	mailbox sync.Mutex // one step at a time; taken before mu
	s       *conversation.State

	mu     sync.Mutex
	told   []plugin.ToolEndCommand // ends that a row would tell
	info   plugin.ToolInfo
	answer func(instance string) error // of all calls of the tool
	ended  []string                    // instances that were told of an end
	acts   int
}

func (h *house) Do(_ context.Context, _ conversation.ConversationID, st sessionwork.Step) (sessionwork.Outcome, error) {
	h.mailbox.Lock()
	defer h.mailbox.Unlock()
	p, err := st.Decide(h.s)
	if err != nil || len(p.Commands) == 0 {
		return sessionwork.Outcome{Conversation: h.s.ID}, err
	}
	events, err := conversation.Decide(h.s, conversation.Several(p.Commands), time.Now())
	if err != nil {
		return sessionwork.Outcome{}, err
	}
	out := sessionwork.Outcome{Conversation: h.s.ID}
	for _, ev := range events {
		if end, ok := ev.Head.(*conversation.SessionEnded); ok {
			h.w.Ended(end)
			if c := sessionwork.ToolEndOf(h.s.Session(end.Session), end, p.Reported); c != nil {
				h.mu.Lock()
				h.told = append(h.told, *c)
				h.mu.Unlock()
			}
		}
		if err := h.s.Apply(ev); err != nil {
			return out, err
		}
		out.First, out.Last = max(out.First, 1), ev.Seq
	}
	h.w.Seen(h.s)
	return out, nil
}

func (h *house) Submit(conv conversation.ConversationID, st sessionwork.Step, done func(sessionwork.Outcome, error)) {
	h.Go(func() { done(h.Do(h.ctx, conv, st)) })
}

func (h *house) Plugin(string) (plugin.Info, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	info := h.info
	return plugin.Info{ID: "tool", Tool: &info}, true
}

func (h *house) Customer(context.Context, conversation.ConversationID) (conversation.StartedBody, error) {
	return conversation.StartedBody{Name: "Cora"}, nil
}

func (h *house) Head(context.Context, conversation.ConversationID, uint64) (conversation.Head, error) {
	return nil, eventlog.ErrNotFound
}

func (h *house) File(context.Context, conversation.ConversationID, *plugin.Inbound, conversation.BlobID) (conversation.File, uint64, error) {
	return conversation.File{}, 0, conversation.ErrUnsupported
}

func (h *house) Repeat(plugin.Inbound, eventlog.StreamID, uint64) plugin.Ack {
	return plugin.Ack{Status: plugin.Duplicate}
}

func (h *house) Ack(conv conversation.ConversationID, out sessionwork.Outcome, err error) plugin.Ack {
	if err != nil {
		return plugin.Ack{Status: plugin.Refused, Code: conversation.Code(err)}
	}
	return plugin.Ack{Status: plugin.Committed, Conversation: conv, Seq: out.Last}
}

func (h *house) External(context.Context, eventlog.StreamID, eventlog.Key) (eventlog.StreamID, uint64, error) {
	return eventlog.StreamID{}, 0, eventlog.ErrNotFound
}
func (h *house) MAC(string, ...[]byte) [32]byte { return [32]byte{1} }
func (h *house) Snapshot() *directory.Snapshot  { return h.snap }
func (h *house) Running() context.Context       { return h.ctx }

func (h *house) Go(f func()) bool {
	if h.ctx.Err() != nil {
		return false
	}
	h.wg.Go(f)
	return true
}

func (h *house) After(d time.Duration, f func()) {
	h.Go(func() {
		select {
		case <-time.After(d):
			f()
		case <-h.ctx.Done():
		}
	})
}

func (h *house) said(instance string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answer == nil {
		return nil
	}
	return h.answer(instance)
}

func (h *house) ToolStart(_ context.Context, _ string, r plugin.ToolStart) (plugin.ToolAnswer, error) {
	ts := &plugin.ToolSession{Session: r.Session, State: conversation.SessionStateWaiting, Revision: 1, Panel: &plugin.Panel{Revision: 1}}
	return plugin.ToolAnswer{Session: ts, Panel: ts.Panel}, h.said("start")
}

func (h *house) ToolGet(_ context.Context, _, instance string, _ conversation.SessionID) (plugin.ToolSession, bool, error) {
	return plugin.ToolSession{}, false, h.said(instance)
}

func (h *house) ToolEnd(_ context.Context, _, instance string, id conversation.SessionID, _ plugin.Party, _ conversation.Cause) (plugin.ToolSession, error) {
	err := h.said(instance)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.ended = append(h.ended, instance)
	}
	return plugin.ToolSession{Session: id, Ended: true}, err
}

func (h *house) ToolPanel(context.Context, string, string, conversation.SessionID, plugin.Party) (*plugin.Panel, error) {
	return &plugin.Panel{}, h.said("panel")
}

func (h *house) ToolAct(_ context.Context, _, _ string, r plugin.ToolAct) (plugin.ToolAnswer, error) {
	if err := h.said("act"); err != nil {
		return plugin.ToolAnswer{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acts++
	return plugin.ToolAnswer{Session: &plugin.ToolSession{Session: r.Session, State: conversation.SessionStateActive, Revision: r.Revision}}, nil
}

func (h *house) ToolNotice(string, string, plugin.ToolNotice) {}

// answers sets what all further calls of the tool answer.
func (h *house) answers(f func(instance string) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

// inHouse runs a test in a bubble beside a chat of the agent Ana, with a tool that runs.
func inHouse(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	dir := t.TempDir()
	v, err := vault.Open(t.Context(), vault.Options{Path: filepath.Join(dir, "keys.db"), Master: make([]byte, 32)})
	must(t, err)
	defer func() { _ = v.Close() }()
	d, err := directory.Open(t.Context(), directory.Options{DSN: filepath.Join(dir, "records.db"), Vault: v, Poll: -1})
	must(t, err)
	defer func() { _ = d.Close() }()
	acc, err := d.PutAccount(t.Context(), directory.Account{Plugin: "tool", Name: "tool", Inbound: directory.InboundNone, Enabled: true}, nil)
	must(t, err)
	svc, err := d.PutService(t.Context(), directory.Service{Name: "Sales", Rules: directory.DefaultRules(), Tools: []directory.ServiceTool{{Account: acc.ID}}})
	must(t, err)
	snap := d.Snapshot()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ana := conversation.NewID[conversation.AgentID]()
		h := &house{t: t, snap: snap, account: acc.ID, ana: ana, ctx: ctx, info: plugin.ToolInfo{AgentStarts: true, CustomerStarts: true},
			s: &conversation.State{ID: conversation.NewID[conversation.ConversationID](), Service: svc.ID, Phase: conversation.PhaseOpen,
				Participants: []conversation.Participant{{Who: conversation.Author{Kind: conversation.Agent, Agent: ana}, State: conversation.Joined}}}}
		h.w = sessionwork.New(sessionwork.Options{Node: "n1", Log: h, Vault: h, Directory: h, Conversations: h, Runner: h, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		h.w.UseTools(h)
		h.w.PluginReady("tool", "g1")
		test(t, h)
		cancel()
		h.wg.Wait()
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) start() (sessionwork.Answer, error) {
	return h.w.Start(h.ctx, sessionwork.StartRequest{Conversation: h.s.ID, Agent: h.ana, Account: h.account})
}

func (h *house) act(id conversation.SessionID) error {
	_, err := h.w.Act(h.ctx, sessionwork.ActRequest{Conversation: h.s.ID, Agent: h.ana, Session: id, Action: "add", Revision: 1})
	return err
}

// gathered returns Work's series: values by name and label values.
func (h *house) gathered() map[string]float64 {
	h.t.Helper()
	reg := prometheus.NewPedanticRegistry()
	must(h.t, reg.Register(h.w))
	families, err := reg.Gather()
	must(h.t, err)
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

// Each metric of tools counts what its help says.
func TestToolMetrics(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		a, err := h.start()
		must(t, err)
		for err == nil {
			err = h.act(a.Session)
		}
		if !errors.Is(err, sessionwork.ErrRate) {
			t.Fatalf("acts without end: %v", err)
		}
		taken := float64(h.acts)
		if _, err := h.w.Panel(h.ctx, h.s.ID, h.ana, a.Session); err != nil {
			t.Error(err)
		}
		h.answers(func(string) error { return plugin.ErrNoAnswer })
		if _, err := h.w.Panel(h.ctx, h.s.ID, h.ana, a.Session); !errors.Is(err, sessionwork.ErrUnavailable) {
			t.Errorf("a panel without an answer: %v", err)
		}
		got := h.gathered()
		_, err = h.w.End(h.ctx, h.s.ID, h.ana, a.Session)
		must(t, err)
		after := h.gathered()
		for name, want := range map[string]float64{
			"parley_tool_calls_total ok start": 1, "parley_tool_calls_total act ok": taken, "parley_tool_acts_limited_total agent": 1,
			"parley_tool_calls_total ok panel": 1, "parley_tool_calls_total no_answer panel": 1, "parley_sessions_live tool": 1,
			"parley_tool_calls_total panel ok": 1, "parley_tool_calls_total panel no_answer": 1, "parley_tool_calls_total start ok": 1,
		} {
			if v, ok := got[name]; ok && v != want {
				t.Errorf("%s: %v, want %v", name, v, want)
			}
		}
		if got["parley_tool_acts_limited_total agent"] != 1 || got["parley_tool_calls_total act ok"] != taken || taken < 20 {
			t.Errorf("acts: %v", got)
		}
		if after["parley_sessions_live tool"] != 0 || after["parley_sessions_ended_total finished tool"]+after["parley_sessions_ended_total tool finished"] != 1 {
			t.Errorf("after the end: %v", after)
		}
	})
}

// What of a session's end a tool is told, and when it is not.
func TestToolEndOf(t *testing.T) {
	agent := conversation.Author{Kind: conversation.Agent, Agent: conversation.AgentID{1}}
	tool := &conversation.Session{ID: conversation.SessionID{1}, Kind: conversation.SessionTool, Account: conversation.AccountID{1}}
	call := &conversation.Session{ID: conversation.SessionID{1}, Kind: conversation.SessionCall, Account: conversation.AccountID{1}}
	for name, c := range map[string]struct {
		x        *conversation.Session
		cause    conversation.Cause
		reported bool
		want     conversation.Cause // "" = it is not told
	}{
		"by a person":         {tool, conversation.CauseFinished, false, conversation.CauseFinished},
		"its time is over":    {tool, conversation.CauseExpired, false, conversation.CauseExpired},
		"with the rest":       {tool, conversation.CauseEnded, false, sessionwork.CauseConversationEnded},
		"lost":                {tool, conversation.CauseLost, false, conversation.CauseCancelled},
		"without an answer":   {tool, conversation.CauseFailed, false, conversation.CauseCancelled},
		"the tool said so":    {tool, conversation.CauseFinished, true, ""},
		"a call":              {call, conversation.CauseFinished, false, ""},
		"it is not there":     {nil, conversation.CauseFinished, false, ""},
		"a tool of no plugin": {&conversation.Session{Kind: conversation.SessionTool}, conversation.CauseFinished, false, ""},
	} {
		got := sessionwork.ToolEndOf(c.x, &conversation.SessionEnded{Cause: c.cause, By: agent}, c.reported)
		switch {
		case got == nil && c.want != "", got != nil && got.Cause != c.want:
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		case got != nil && c.want == sessionwork.CauseConversationEnded && got.By.Kind != conversation.System:
			t.Errorf("%s: by %v", name, got.By)
		}
	}
}

type otherPort struct {
	plugin.CommandPort
	offered int
}

func (p *otherPort) Offer(plugin.Outbound) bool { p.offered++; return true }

// An end is told to every generation that runs, and again until all that are there have answered; other
// commands go to the plugin's port.
func TestEndsAreTold(t *testing.T) {
	noAnswer := func(instance string) error {
		if instance == "g2" {
			return plugin.ErrNoAnswer
		}
		return nil
	}
	gone := func(string) error { return plugin.ErrInstanceGone }
	for name, c := range map[string]struct {
		answer func(string) error
		want   plugin.CommandResult
		ended  []string
	}{
		"both answer":  {nil, plugin.CommandResult{Outcome: conversation.StatusSent}, []string{"g2", "g1"}}, // the newest first
		"one does not": {noAnswer, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true, Code: "no_answer"}, []string{"g1"}},
		"both gone":    {gone, plugin.CommandResult{Outcome: conversation.StatusFailed, Retryable: true, Code: "plugin_lost"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				h.w.PluginReady("tool", "g2") // g1 is being drained
				h.answers(c.answer)
				var results []plugin.CommandResult
				refusals := 1 // of the store
				other := &otherPort{}
				port := h.w.Port("tool", other, func(_ conversation.AccountID, res plugin.CommandResult, done func(plugin.Ack)) {
					if refusals > 0 {
						refusals--
						done(plugin.Ack{Status: plugin.Retry})
						return
					}
					results = append(results, res)
					done(plugin.Ack{Status: plugin.Committed})
				})
				cmd := plugin.Outbound{Command: [16]byte{1}, Account: h.account, Conversation: h.s.ID, ToolEnd: &plugin.ToolEndCommand{Session: conversation.SessionID{1}}}
				if !port.Offer(cmd) || !port.Offer(plugin.Outbound{Process: []byte("x")}) {
					t.Error("not taken")
				}
				time.Sleep(5 * time.Second) // in the bubble
				synctest.Wait()
				if len(results) != 1 || other.offered != 1 || !slices.Equal(h.ended, c.ended) {
					t.Fatalf("results %+v, %d other commands, told %v", results, other.offered, h.ended)
				}
				if got := results[0]; got.Outcome != c.want.Outcome || got.Retryable != c.want.Retryable || got.Code != c.want.Code || got.Command != cmd.Command {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
			})
		})
	}
}

// A node follows what others commit for its own sessions alone.
func TestHolds(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if h.w.Holds(h.s.ID) {
			t.Error("a conversation without sessions is held")
		}
		a, err := h.start()
		must(t, err)
		if !h.w.Holds(h.s.ID) {
			t.Error("a conversation with a session of this node is not held")
		}
		h.mu.Lock()
		h.s.Session(a.Session).Pin.Node = "n2" // it has moved
		h.w.Seen(h.s)
		h.mu.Unlock()
		if h.w.Holds(h.s.ID) || h.gathered()["parley_sessions_live tool"] != 0 {
			t.Error("a conversation with a session of another node is held")
		}
		if err := h.act(a.Session); !errors.Is(err, sessionwork.ErrUnavailable) {
			t.Errorf("an act on another node's session: %v", err)
		}
	})
}

// Who may do what with a tool, and what each refusal is. After all of them the tool has no session that the log
// has not.
func TestToolRefusals(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		ben := conversation.NewID[conversation.AgentID]()
		start := func(change func(*sessionwork.StartRequest)) error {
			r := sessionwork.StartRequest{Conversation: h.s.ID, Agent: h.ana, Account: h.account}
			change(&r)
			_, err := h.w.Start(h.ctx, r)
			return err
		}
		for name, c := range map[string]struct {
			change func(*sessionwork.StartRequest)
			want   error
		}{
			"a stranger":      {func(r *sessionwork.StartRequest) { r.Agent = ben }, conversation.ErrNotJoined},
			"another account": {func(r *sessionwork.StartRequest) { r.Account = conversation.AccountID{9} }, sessionwork.ErrNoTool},
			"no JSON":         {func(r *sessionwork.StartRequest) { r.Arguments = []byte(`{`) }, sessionwork.ErrInvalid},
			"a long id":       {func(r *sessionwork.StartRequest) { r.ClientID = string(make([]byte, 65)) }, sessionwork.ErrInvalid},
		} {
			if err := start(c.change); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		h.answers(func(string) error { return plugin.ErrNoAnswer })
		if _, err := h.start(); !errors.Is(err, sessionwork.ErrUnavailable) {
			t.Errorf("no answer: %v", err)
		}
		if len(h.s.Sessions) != 0 || len(h.told) != 1 || h.told[0].Cause != conversation.CauseCancelled {
			t.Errorf("after it: %+v, told %+v", h.s.Sessions, h.told)
		}
		h.answers(nil)
		a, err := h.start()
		must(t, err)
		for name, r := range map[string]sessionwork.ActRequest{
			"no action":  {Session: a.Session},
			"no JSON":    {Session: a.Session, Action: "add", Values: []byte("{")},
			"a long one": {Session: a.Session, Action: string(make([]byte, 129))},
		} {
			r.Conversation, r.Agent = h.s.ID, h.ana
			if _, err := h.w.Act(h.ctx, r); !errors.Is(err, sessionwork.ErrInvalid) {
				t.Errorf("act with %s: %v", name, err)
			}
		}
		if err := h.act(conversation.SessionID{8}); !errors.Is(err, conversation.ErrNoSuchSession) {
			t.Errorf("an act on no session: %v", err)
		}
		if _, err := h.w.End(h.ctx, h.s.ID, ben, a.Session); !errors.Is(err, conversation.ErrNotJoined) {
			t.Errorf("a stranger's end: %v", err)
		}
		h.w.PluginGone("tool", "g1")
		if _, err := h.start(); !errors.Is(err, sessionwork.ErrUnavailable) {
			t.Errorf("while the plugin is away: %v", err)
		}
		time.Sleep(2 * time.Minute) // in the bubble: the plugin does not come back
		synctest.Wait()
		if len(h.s.Sessions) != 0 || len(h.told) != 2 {
			t.Errorf("lost: %+v, told %+v", h.s.Sessions, h.told)
		}
	})
}
