package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
)

const account = "0190c1c0-0000-7000-8000-0000000000aa"

var config = sdk.Config{Accounts: []sdk.Account{{ID: account, Enabled: true}}}

// described is a plugin that says m and accepts every configuration. Its further parts are a's.
func described(m sdk.Manifest, a sdk.Abilities) sdk.Abilities {
	if m.ID == "" {
		m.ID = "test"
	}
	a.Describer = sdk.DescribeFunc(func(context.Context) (sdk.Manifest, error) { return m, nil })
	a.Configurer = sdk.ConfigureFunc(func(context.Context, *sdk.Config) error { return nil })
	if a.Sender == nil && m.Delivery == sdk.StoreAndForward {
		a.Sender = sdk.SendFunc(func(context.Context, *sdk.SendCommand) sdk.Result { return sdk.Sent() })
	}
	return a
}

// attached makes p attach, and returns where its Host is to be found then.
func attached(a *sdk.Abilities) *sdk.Host {
	var h sdk.Host
	a.Attacher = sdk.AttachFunc(func(_ context.Context, host sdk.Host) error {
		h = host
		return nil
	})
	return &h
}

// notAChannel has no Send.
type notAChannel struct{ sdk.ToolServer }

func (notAChannel) Describe(context.Context) (sdk.Manifest, error) {
	return sdk.Manifest{ID: "tool", Delivery: sdk.NoChannel, Tool: &sdk.ToolInfo{Title: "Tool"}}, nil
}
func (notAChannel) Configure(context.Context, *sdk.Config) error { return nil }

var _ sdk.Plugin = notAChannel{}

func TestPluginWithoutAChannel(t *testing.T) {
	h := sdktest.Start(t, notAChannel{}, sdktest.Options{Config: config})
	if m := h.Manifest(); m.Delivery != sdk.NoChannel || m.Tool == nil {
		t.Errorf("got %+v, want a tool without a channel", m)
	}
	if r := h.Send(sdk.SendCommand{}); r.Outcome != sdk.OutcomeFailed || r.Code != "unsupported" {
		t.Errorf("a message to it: got %+v, want an unsupported failure", r)
	}
}

// TestManifestSaysWhatThePluginIs: a manifest that declares what the plugin does not implement, or
// what is out of bounds, is refused.
func TestManifestSaysWhatThePluginIs(t *testing.T) {
	tool, bot, calls := &sdk.ToolInfo{Title: "T"}, &sdk.BotInfo{}, &sdk.CallInfo{Commands: sdk.CallCommands(sdk.CallDial{})}
	call := sdk.CallFunc(func(context.Context, *sdk.CallCommand) sdk.Result { return sdk.Sent() })
	for name, c := range map[string]struct {
		m    sdk.Manifest
		a    sdk.Abilities
		want string
	}{
		"neither channel nor tool": {sdk.Manifest{Delivery: sdk.NoChannel}, sdk.Abilities{}, "neither a Tool nor a Bot"},
		"tool without a server":    {sdk.Manifest{Delivery: sdk.NoChannel, Tool: tool}, sdk.Abilities{}, "no ToolServer"},
		"tool without a title":     {sdk.Manifest{Delivery: sdk.NoChannel, Tool: &sdk.ToolInfo{}}, sdk.Abilities{ToolServer: &counter{}}, "without a Title"},
		"bot that does not answer": {sdk.Manifest{Delivery: sdk.NoChannel, Bot: bot}, sdk.Abilities{}, "neither a Bot nor"},
		"calls without commander":  {sdk.Manifest{Delivery: sdk.Connected, Calls: calls}, sdk.Abilities{}, "no CallCommander"},
		"unknown call command": {
			sdk.Manifest{Delivery: sdk.Connected, Calls: &sdk.CallInfo{Commands: []string{"sing"}}}, sdk.Abilities{CallCommander: call}, "unknown or named twice",
		},
		"call command twice": {
			sdk.Manifest{Delivery: sdk.Connected, Calls: &sdk.CallInfo{Commands: []string{"dial", "dial"}}}, sdk.Abilities{CallCommander: call}, "unknown or named twice",
		},
		"silence": {sdk.Manifest{Delivery: sdk.Connected, Silence: 31 * time.Second}, sdk.Abilities{}, "Silence"},
		"drain":   {sdk.Manifest{Delivery: sdk.Connected, Drain: time.Hour + 1}, sdk.Abilities{}, "Drain"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, described(c.m, c.a))
			t.Cleanup(r.close)
			_, err := r.client.Describe(t.Context(), &pluginv1.DescribeRequest{HostMinor: contract.Minor})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestOldHostIsToldNothingNew: with a gateway of minor 0 nothing of minor 1 is sent.
func TestOldHostIsToldNothingNew(t *testing.T) {
	a := described(sdk.Manifest{
		Delivery: sdk.StoreAndForward, Tool: &sdk.ToolInfo{Title: "T"}, Templates: true, Silence: 5 * time.Second,
		Capabilities: sdk.Capabilities{Text: true, Quotes: true},
	}, sdk.Abilities{
		ToolServer: &counter{},
		ReadMarker: sdk.MarkReadFunc(func(context.Context, *sdk.MarkReadCommand) sdk.Result { return sdk.Sent() }),
		AccountDescriber: sdk.DescribeAccountsFunc(func(context.Context, *sdk.Config) ([]sdk.AccountTraits, error) {
			return []sdk.AccountTraits{{Account: account, Placement: sdk.OneNode}}, nil
		}),
		Hooker: sdk.HookFunc(func(context.Context, *sdk.HookRequest) sdk.HookResponse {
			return sdk.HookResponse{Events: []sdk.Event{
				{Thread: "t", DedupeKey: "window", Body: sdk.ReplyWindow{Expires: time.Now()}},
				{Thread: "t", DedupeKey: "m", Body: sdk.Message{Parts: []sdk.Part{sdk.Text{Text: "hi"}}}},
			}}
		}),
	})
	host := attached(&a)
	h := sdktest.Start(t, a, sdktest.Options{Config: config, OldHost: true})
	if m := h.Manifest(); m.Tool != nil || m.Silence != 0 || m.Templates || m.Capabilities.Quotes || !m.Capabilities.Text {
		t.Errorf("manifest: got %+v, want nothing of minor 1", m)
	}
	if got := h.Traits(); got != nil {
		t.Errorf("traits: got %+v, want none", got)
	}
	ctx := t.Context()
	for _, body := range []sdk.EventBody{
		sdk.ReplyWindow{}, sdk.ToolEvent{Session: sdk.ToolSession{ID: "s", State: sdk.SessionActive}}, sdk.BotEnd{Conversation: "c"}, sdk.CallState{Session: "s"},
		sdk.Message{Parts: []sdk.Part{sdk.Revoke{ProviderID: "p"}}}, sdk.Receipt{ReadProviderID: "p"},
	} {
		if _, err := (*host).Emit(ctx, sdk.Event{Account: account, Thread: "t", Body: body}); !errors.Is(err, sdk.ErrHostTooOld) {
			t.Errorf("emit %T: got %v, want ErrHostTooOld", body, err)
		}
	}
	if err := sdk.ReportTemplates(*host, account, nil); !errors.Is(err, sdk.ErrHostTooOld) {
		t.Errorf("templates: got %v, want ErrHostTooOld", err)
	}
	quote := sdk.Message{ReplyToProviderID: "p", Parts: []sdk.Part{sdk.Text{Text: "an answer"}}}
	if _, err := (*host).Emit(ctx, sdk.Event{Account: account, Thread: "t", DedupeKey: "q", Body: quote}); err != nil {
		t.Errorf("emit of a quote: %v, want it as a plain message", err)
	}
	ended := make(chan string, 1)
	(*host).Subscribe(ctx, account, "", sdk.Cursor{}, func(b sdk.RecordBatch) { ended <- b.End }, sdk.SubscribeOptions{Audience: "bot", Conversation: "c"})
	if got := <-ended; got != "unsupported" {
		t.Errorf("subscription of a bot: ended %q, want unsupported", got)
	}
	if got := h.Hook(sdk.HookRequest{Account: account}); len(got.Events) != 1 {
		t.Errorf("a webhook's events: got %+v, want the message only", got.Events)
	}
	for _, ev := range h.Events() {
		if m, ok := ev.Body.(sdk.Message); !ok || m.ReplyToProviderID != "" {
			t.Errorf("it sent %+v", ev.Body)
		}
	}
}

// TestOldHostRefusesToolsPolitely: a plugin that is no channel tells an old gateway why it cannot
// work.
func TestOldHostRefusesToolsPolitely(t *testing.T) {
	r := newRig(t, described(sdk.Manifest{Delivery: sdk.NoChannel, Tool: &sdk.ToolInfo{Title: "T"}}, sdk.Abilities{ToolServer: &counter{}}))
	t.Cleanup(r.close)
	_, err := r.client.Describe(t.Context(), &pluginv1.DescribeRequest{})
	if contract.Reason(err) != contract.ReasonVersion {
		t.Errorf("got %v, want the reason VERSION", err)
	}
}

// TestWaitingEventsMeetAnOlderHost: what waits for a Session ends with an error if the next gateway
// does not know it, and the rest is sent.
func TestWaitingEventsMeetAnOlderHost(t *testing.T) {
	r := newRig(t, described(sdk.Manifest{Delivery: sdk.Connected}, sdk.Abilities{}))
	t.Cleanup(r.close)
	r.configure(t)
	answers := make(chan error, 2)
	for _, body := range []sdk.EventBody{sdk.ReplyWindow{}, sdk.Page{URL: "https://x.example/"}} {
		if err := r.host.EmitAsync(sdk.Event{Account: "a", Thread: "t", Body: body}, func(_ sdk.Ack, err error) {
			// A callback may use the Host.
			r.host.Subscribe(context.Background(), "a", "t", sdk.Cursor{}, func(sdk.RecordBatch) {}).Close()
			answers <- err
		}); err != nil {
			t.Fatal(err)
		}
	}
	hello := wirehost.Hello()
	hello.Minor = 0
	ses, err := wirehost.Open(t.Context(), r.conn, hello, wirehost.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ses.Cut)
	if err := <-answers; !errors.Is(err, sdk.ErrHostTooOld) {
		t.Errorf("event of minor 1: got %v, want ErrHostTooOld", err)
	}
	var refused *sdk.RefusedError
	if err := <-answers; !errors.As(err, &refused) { // no conversation is open
		t.Errorf("event of minor 0: got %v, want the gateway's answer", err)
	}
}

func TestCommandsOfChannels(t *testing.T) {
	marks, typing := make(chan *sdk.MarkReadCommand, 1), make(chan *sdk.TypingCommand, 1)
	h := sdktest.Start(t, described(sdk.Manifest{Delivery: sdk.StoreAndForward}, sdk.Abilities{
		ReadMarker: sdk.MarkReadFunc(func(_ context.Context, c *sdk.MarkReadCommand) sdk.Result {
			marks <- c
			return sdk.Retry(sdk.KindTemporary, "busy", "", time.Second)
		}),
		Typist: sdk.TypingFunc(func(_ context.Context, c *sdk.TypingCommand) sdk.Result {
			typing <- c
			return sdk.Retry(sdk.KindTemporary, "busy", "", time.Second)
		}),
	}), sdktest.Options{Config: config})
	info := sdk.CommandInfo{Account: account, Thread: "t"}
	if r := h.MarkRead(sdk.MarkReadCommand{CommandInfo: info, MessageID: "m", ProviderID: "p1", ProviderIDs: []string{"p1", "p2"}}); !r.Retryable || r.RetryAfter != time.Second {
		t.Errorf("mark: got %+v, want a retryable failure", r)
	}
	if got := <-marks; got.MessageID != "m" || !cmp.Equal(got.ProviderIDs, []string{"p1", "p2"}) {
		t.Errorf("mark: the plugin got %+v", got)
	}
	if r := h.Typing(sdk.TypingCommand{CommandInfo: info, On: true, ProviderID: "p"}); r.Retryable || r.Outcome != sdk.OutcomeFailed {
		t.Errorf("typing: got %+v, want a failure that is not repeated", r)
	}
	if got := <-typing; !got.On || got.ProviderID != "p" {
		t.Errorf("typing: the plugin got %+v", got)
	}
}

// TestCallCommands: the plugin gets those that it declares, those of one call in order, and not
// behind the messages of the thread.
func TestCallCommands(t *testing.T) {
	hold, sent := make(chan struct{}), make(chan struct{}, 1)
	a := described(sdk.Manifest{
		Delivery: sdk.StoreAndForward, IdempotentSend: true,
		Calls: &sdk.CallInfo{Commands: sdk.CallCommands(sdk.CallDial{}, sdk.CallHangUp{})},
	}, sdk.Abilities{
		Sender: sdk.SendFunc(func(context.Context, *sdk.SendCommand) sdk.Result {
			<-hold
			sent <- struct{}{}
			return sdk.Sent()
		}),
		CallCommander: sdk.CallFunc(func(ctx context.Context, c *sdk.CallCommand) sdk.Result {
			if dial, ok := c.Do.(sdk.CallDial); !ok || dial.To != "+15005550006" {
				return sdk.Failed(sdk.KindInternal, "wrong", "")
			}
			if err := c.Begin(ctx); err != nil {
				return sdk.Retry(sdk.KindTemporary, "not_begun", "", 0)
			}
			return sdk.Sent()
		}),
	})
	r := start(t, a)
	ses := r.open(t, 0, wirehost.Policy{})
	defer ses.Cut()
	// Run before the Session is cut: Close waits for the hanging command.
	defer close(hold)
	send := sendCommand("t", "00000000-0000-7000-8000-000000000001")
	dial := &pluginv1.Command{CommandId: "00000000-0000-7000-8000-000000000002", Account: "a", Thread: "t", Kind: &pluginv1.Command_Call{Call: &pluginv1.CallCommand{
		Session: "s", Command: &pluginv1.CallCommand_Dial{Dial: &pluginv1.CallDial{To: "+15005550006"}},
	}}}
	mute := &pluginv1.Command{CommandId: "00000000-0000-7000-8000-000000000003", Account: "a", Thread: "t", Kind: &pluginv1.Command_Call{Call: &pluginv1.CallCommand{
		Session: "s", Command: &pluginv1.CallCommand_Mute{Mute: &pluginv1.CallMute{}},
	}}}
	if err := ses.Command(send, dial, mute); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]pluginv1.Outcome{dial.CommandId: pluginv1.Outcome_OUTCOME_SENT, mute.CommandId: pluginv1.Outcome_OUTCOME_FAILED} {
		got, err := ses.Result(t.Context(), id)
		if err != nil || got.GetOutcome() != want {
			t.Errorf("%s: got %v, %v; want %v", id, got, err, want)
		}
	}
	if len(sent) > 0 {
		t.Error("the message was sent before it was let go")
	}
}

func sendCommand(thread, id string) *pluginv1.Command {
	return &pluginv1.Command{CommandId: id, Account: "a", Thread: thread, Kind: &pluginv1.Command_Send{Send: &pluginv1.Send{
		MessageId: id, To: "+15005550006", Parts: []*pluginv1.Part{{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: "x"}}}},
	}}}
}

func TestTraits(t *testing.T) {
	var list []sdk.AccountTraits
	h := sdktest.Start(t, described(sdk.Manifest{Delivery: sdk.Connected}, sdk.Abilities{
		AccountDescriber: sdk.DescribeAccountsFunc(func(context.Context, *sdk.Config) ([]sdk.AccountTraits, error) { return list, nil }),
	}), sdktest.Options{Config: config})
	if got := h.Traits(); got != nil {
		t.Errorf("got %+v, want none", got)
	}
	list = []sdk.AccountTraits{{Account: account, HookBudget: 1500 * time.Millisecond, Placement: sdk.OneNode, Capabilities: &sdk.Capabilities{Text: true}}}
	if err := h.Configure(config); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list, h.Traits()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, bad := range map[string][]sdk.AccountTraits{
		"of a stranger": {{Account: "b"}}, "twice": {{Account: account}, {Account: account}},
	} {
		list = bad
		if err := h.Configure(config); status.Code(errors.Unwrap(err)) != codes.Internal {
			t.Errorf("%s: got %v, want a failed call", name, err)
		}
	}
}

func TestTemplates(t *testing.T) {
	a := described(sdk.Manifest{Delivery: sdk.StoreAndForward, Templates: true}, sdk.Abilities{})
	host := attached(&a)
	h := sdktest.Start(t, a, sdktest.Options{Config: config})
	if !h.Manifest().Templates {
		t.Error("the manifest does not say that it reports templates")
	}
	if err := sdk.ReportTemplates(*host, account, make([]sdk.TemplateInfo, contract.MaxTemplates+1)); !errors.Is(err, sdk.ErrTooLarge) {
		t.Errorf("too many: got %v, want ErrTooLarge", err)
	}
	if err := sdk.ReportTemplates(*host, account, []sdk.TemplateInfo{{Body: strings.Repeat("x", contract.MaxTemplateBytes)}}); !errors.Is(err, sdk.ErrTooLarge) {
		t.Errorf("too large: got %v, want ErrTooLarge", err)
	}
	want := []sdk.TemplateInfo{{Name: "hello", Language: "en", Body: "Hello {{1}}", Status: "approved", Buttons: []sdk.TemplateButton{{Kind: "reply", Title: "Yes"}}}}
	if err := sdk.ReportTemplates(*host, account, want); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again in the next Session
		got := h.WaitTemplates(account, func(list []sdk.TemplateInfo) bool { return len(list) == 1 })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		h.Connect()
	}
}

// counter is a ToolServer that counts its calls.
type counter struct {
	mu       sync.Mutex
	sessions map[sdk.SessionID]*sdk.ToolSession
	acts     atomic.Int32
	running  atomic.Int32
	overlaps atomic.Int32
}

func (c *counter) get(id sdk.SessionID) *sdk.ToolSession {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions[id]
}

func (c *counter) Start(_ context.Context, r *sdk.ToolStart) (sdk.ToolSession, error) {
	switch string(r.Arguments) {
	case `{"do":"refuse"}`:
		return sdk.ToolSession{}, fmt.Errorf("vendor: %w", sdk.Fault("unauthorized", "The key is wrong."))
	case `{"do":"fail"}`:
		return sdk.ToolSession{}, errors.New("broken")
	case `{"do":"panic"}`:
		panic("secret")
	case `{"do":"nothing"}`:
		return sdk.ToolSession{}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == nil {
		c.sessions = map[sdk.SessionID]*sdk.ToolSession{}
	}
	if c.sessions[r.Session] == nil {
		c.sessions[r.Session] = &sdk.ToolSession{ID: r.Session, State: sdk.SessionActive, Revision: 1}
	}
	return *c.sessions[r.Session], nil
}

func (c *counter) Get(_ context.Context, id sdk.SessionID) (sdk.ToolSession, error) {
	if s := c.get(id); s != nil {
		return *s, nil
	}
	return sdk.ToolSession{}, sdk.ErrNotFound
}

func (c *counter) End(ctx context.Context, r *sdk.ToolEnd) (sdk.ToolSession, error) {
	s, err := c.Get(ctx, r.Session)
	s.State, s.Cause = sdk.SessionEnded, r.Cause
	return s, err
}

func (c *counter) Panel(_ context.Context, id sdk.SessionID, viewer sdk.Party) (*sdk.Panel, error) {
	switch {
	case c.get(id) == nil:
		return nil, sdk.ErrNotFound
	case viewer.Kind == "customer":
		return nil, nil //nolint:nilnil // no panel
	case viewer.Kind == "supervisor":
		return &sdk.Panel{Blocks: []sdk.Block{sdk.PanelText{}}}, nil
	}
	return &sdk.Panel{Revision: 1, Blocks: []sdk.Block{sdk.PanelText{Text: "Hello"}}}, nil
}

func (c *counter) Act(_ context.Context, r *sdk.ToolAct) (sdk.ToolAnswer, error) {
	if c.running.Add(1) > 1 {
		c.overlaps.Add(1)
	}
	defer c.running.Add(-1)
	n := c.acts.Add(1)
	if c.get(r.Session) == nil {
		return sdk.ToolAnswer{}, sdk.ErrNotFound
	}
	if r.Action == "fail" && n == 1 {
		return sdk.ToolAnswer{}, errors.New("broken")
	}
	return sdk.ToolAnswer{Effects: []sdk.Effect{sdk.Toast{Text: fmt.Sprint(n)}}}, nil
}

func startTool(t *testing.T) (*sdktest.Host, *counter, sdk.SessionID) {
	t.Helper()
	c := &counter{}
	h := sdktest.Start(t, described(sdk.Manifest{Delivery: sdk.NoChannel, Tool: &sdk.ToolInfo{Title: "T"}}, sdk.Abilities{ToolServer: c}), sdktest.Options{Config: config})
	id := sdktest.NewSessionID()
	s, err := h.StartTool(sdk.ToolStart{Session: id, Account: account})
	if err != nil || s.State != sdk.SessionActive {
		t.Fatalf("start: got %+v, %v", s, err)
	}
	return h, c, id
}

func TestToolSessions(t *testing.T) {
	h, _, id := startTool(t)
	agent := sdk.Party{Kind: "agent", ID: uuid.NewString()}
	if s, found := h.GetTool(id); !found || s.Revision != 1 {
		t.Errorf("get: %+v, %v", s, found)
	}
	if _, found := h.GetTool(sdktest.NewSessionID()); found {
		t.Error("get of a stranger: found")
	}
	if p := h.Panel(id, agent); p == nil || !cmp.Equal(p.Blocks, []sdk.Block{sdk.PanelText{Text: "Hello"}}) {
		t.Errorf("agent's panel: %+v", p)
	}
	if p := h.Panel(id, sdk.Party{Kind: "customer"}); p != nil {
		t.Errorf("customer's panel: %+v, want none", p)
	}
	if p := h.Panel(sdktest.NewSessionID(), agent); p != nil {
		t.Errorf("panel of a stranger: %+v, want none", p)
	}
	for range 2 {
		if s, err := h.EndTool(sdk.ToolEnd{Session: id, Cause: "finished"}); err != nil || s.State != sdk.SessionEnded || s.Cause != "finished" {
			t.Errorf("end: %+v, %v", s, err)
		}
	}
	if s, err := h.EndTool(sdk.ToolEnd{Session: sdktest.NewSessionID(), Cause: "expired"}); err != nil || s.State != sdk.SessionEnded {
		t.Errorf("end of a stranger: %+v, %v; want that it has ended", s, err)
	}
}

func TestToolFaults(t *testing.T) {
	h, _, id := startTool(t)
	begin := func(what string) error {
		_, err := h.StartTool(sdk.ToolStart{Session: sdktest.NewSessionID(), Account: account, Arguments: json.RawMessage(`{"do":"` + what + `"}`)})
		return err
	}
	var fault *sdk.ToolFault
	if err := begin("refuse"); !errors.As(err, &fault) || fault.Code != "unauthorized" {
		t.Errorf("refused start: got %v, want the fault", err)
	}
	for _, what := range []string{"fail", "panic", "nothing"} {
		if err := begin(what); status.Code(errors.Unwrap(err)) != codes.Internal || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "broken") {
			t.Errorf("%s: got %v, want a failed call without details", what, err)
		}
	}
	if _, err := h.StartTool(sdk.ToolStart{Account: account}); status.Code(errors.Unwrap(err)) != codes.InvalidArgument {
		t.Errorf("start without an id: got %v", err)
	}
	if _, err := h.Act(sdk.ToolAct{Session: sdktest.NewSessionID(), Action: "x"}); !errors.As(err, &fault) || fault.Code != "ended" {
		t.Errorf("act on a stranger: got %v, want the fault ended", err)
	}
	if _, found := h.GetTool(id); !found {
		t.Error("the session did not survive the faults of others")
	}
}

// TestActsOnce: a repeat of an act gets the first one's answer; one that failed is tried again; acts
// of a session come one after another.
func TestActsOnce(t *testing.T) {
	h, c, id := startTool(t)
	act := sdk.ToolAct{ID: uuid.NewString(), Session: id, Action: "fail"}
	if _, err := h.Act(act); status.Code(errors.Unwrap(err)) != codes.Internal {
		t.Errorf("failing act: got %v", err)
	}
	var wg sync.WaitGroup
	toasts := make(chan sdk.Effect, 8)
	for range cap(toasts) {
		wg.Go(func() {
			a, err := h.Act(act)
			if err != nil || len(a.Effects) != 1 {
				t.Errorf("act: %+v, %v", a, err)
				return
			}
			toasts <- a.Effects[0]
		})
	}
	wg.Wait()
	close(toasts)
	for toast := range toasts {
		if toast != (sdk.Toast{Text: "2"}) {
			t.Errorf("got %v, want the answer of the second try", toast)
		}
	}
	for range 20 {
		wg.Go(func() { _, _ = h.Act(sdk.ToolAct{Session: id, Action: "x"}) })
	}
	wg.Wait()
	if c.overlaps.Load() > 0 {
		t.Errorf("%d acts overlapped", c.overlaps.Load())
	}
	if got := c.acts.Load(); got != 22 {
		t.Errorf("the tool was called %d times, want 22", got)
	}
}

func TestToolNotices(t *testing.T) {
	got := make(chan sdk.ToolNotice, 2)
	h := sdktest.Start(t, described(sdk.Manifest{Delivery: sdk.NoChannel, Tool: &sdk.ToolInfo{Title: "T"}}, sdk.Abilities{
		ToolServer: &counter{}, ToolNoticeHandler: sdk.ToolNoticeFunc(func(_ context.Context, n sdk.ToolNotice) {
			got <- n
			if n.What == "left" {
				panic("contained")
			}
		}),
	}), sdktest.Options{Config: config})
	for _, what := range []string{"left", "ended"} {
		want := sdk.ToolNotice{Session: "s", Account: account, Conversation: "c", What: what, Party: sdk.Party{Kind: "agent", Name: "Anna"}}
		h.NotifyTool(want)
		if n := <-got; n != want {
			t.Errorf("got %+v, want %+v", n, want)
		}
	}
}

const talk = "0190c1c0-0000-7000-9000-0000000000cc"

// said makes the record of a message.
func said(seq uint64, by, text string) sdk.Record {
	head, _ := json.Marshal(map[string]any{"id": uuid.NewString(), "author": map[string]string{"kind": by}, "kinds": []string{"text"}})
	body, _ := json.Marshal(map[string]any{"parts": []any{map[string]string{"kind": "text", "text": text}}})
	return sdk.Record{Seq: seq, Type: "message/1", Head: head, Body: body}
}

// TestBotAnswersOnce: after a restart the bot reads everything again, and its posts are recognised.
func TestBotAnswersOnce(t *testing.T) {
	answer := sdk.BotFunc(func(ctx context.Context, turn *sdk.BotTurn) error {
		m, ok := turn.Record.Said()
		switch {
		case !ok || m.By != "customer":
			return nil
		case m.Text == "panic":
			panic("contained")
		case m.Text == "person":
			return turn.HandOver(ctx, "", "asked for a person")
		}
		if err := turn.Tell(ctx, sdk.Attribute{Name: "last", Value: m.Text}); err != nil {
			return err
		}
		return errors.Join(turn.Post(ctx, sdk.Text{Text: "You said:"}), turn.Post(ctx, sdk.Text{Text: m.Text}))
	})
	bot := described(sdk.Manifest{Delivery: sdk.NoChannel, Bot: &sdk.BotInfo{Name: "Parrot"}}, sdk.Abilities{Bot: answer})
	records := []sdk.Record{said(1, "customer", "hello"), said(3, "bot", "hello"), said(4, "customer", "panic"), said(5, "customer", "again")}
	var first []sdk.EventBody
	for run := range 2 {
		h := sdktest.Start(t, bot, sdktest.Options{Config: config})
		h.NotifyBot(sdk.BotNotice{Account: account, Conversation: talk, Seq: 2})
		h.NotifyBot(sdk.BotNotice{Account: account, Conversation: talk, Seq: 2})
		h.PublishBot(account, talk, true, records...)
		h.WaitEvent(func(ev sdk.Event) bool {
			post, ok := ev.Body.(sdk.BotPost)
			return ok && cmp.Equal(post.Parts, []sdk.Part{sdk.Text{Text: "again"}})
		})
		var bodies []sdk.EventBody
		for _, ev := range h.Events() {
			if ev.Account != account || ev.Thread != "" || ev.DedupeKey == "" {
				t.Errorf("event %+v", ev)
			}
			bodies = append(bodies, ev.Body)
		}
		if run == 0 {
			first = bodies
			if len(bodies) != 6 {
				t.Fatalf("got %+v, want two posts and an attribute for each of two messages", bodies)
			}
			continue
		}
		if diff := cmp.Diff(first, bodies); diff != "" {
			t.Errorf("after a restart: (-first +again)\n%s", diff)
		}
		h.PublishBot(account, talk, true, said(7, "customer", "person"))
		h.WaitEvent(func(ev sdk.Event) bool { _, ok := ev.Body.(sdk.BotHandOver); return ok })
	}
}

// TestBotReadersFollowNotices: a Session that was lost resumes where it was; a conversation that the
// bot has left is read no longer, and is read again when the bot comes back.
func TestBotReadersFollowNotices(t *testing.T) {
	seen := make(chan uint64, 8)
	a := described(sdk.Manifest{Delivery: sdk.NoChannel, Bot: &sdk.BotInfo{}}, sdk.Abilities{
		Bot: sdk.BotFunc(func(_ context.Context, turn *sdk.BotTurn) error {
			seen <- turn.Record.Seq
			return nil
		}),
	})
	r := start(t, a)
	open := func(left bool, more ...uint64) (*wirehost.Session, *pluginv1.Subscribe) {
		t.Helper()
		ses := r.open(t, 0, wirehost.Policy{})
		if err := ses.BotNotices(&pluginv1.BotNotice{Account: "a", Conversation: talk, Left: left}); err != nil {
			t.Fatal(err)
		}
		if left {
			return ses, nil
		}
		sub := wait(t, ses, "subscription", func(it wirehost.Item) bool { return it.Subscribe != nil }).Subscribe
		for _, seq := range more {
			if err := ses.Records(&pluginv1.RecordBatch{Subscription: sub.GetSubscription(), Records: []*pluginv1.Record{{Conversation: talk, Seq: seq}}}); err != nil {
				t.Fatal(err)
			}
			if got := <-seen; got != seq {
				t.Errorf("record %d, want %d", got, seq)
			}
		}
		return ses, sub
	}
	ses, sub := open(false, 1, 2)
	if sub.GetAudience() != "bot" || sub.GetConversation() != talk || sub.GetThread() != "" || sub.GetAfterSeq() != 0 {
		t.Errorf("first subscription: %v", sub)
	}
	ses.Cut()
	ses, sub = open(false, 3)
	if sub.GetAfterSeq() != 2 || sub.GetAfterConversation() != "" {
		t.Errorf("subscription after a lost Session: %v, want after 2", sub)
	}
	if err := ses.BotNotices(&pluginv1.BotNotice{Account: "a", Conversation: talk, Left: true}); err != nil {
		t.Fatal(err)
	}
	wait(t, ses, "end of the subscription", func(it wirehost.Item) bool {
		return it.Unsubscribe.GetSubscription() == sub.GetSubscription() && it.Unsubscribe != nil
	})
	ses.Cut()
	ses, sub = open(false, 1)
	if sub.GetAfterSeq() != 0 {
		t.Errorf("subscription of a bot that came back: %v, want from the start", sub)
	}
	// The host ends the reader, and a notice comes at once.
	if err := ses.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_SubscriptionEnd{SubscriptionEnd: &pluginv1.SubscriptionEnd{Subscription: sub.GetSubscription(), Code: "ended"}}}); err != nil {
		t.Fatal(err)
	}
	if err := ses.BotNotices(&pluginv1.BotNotice{Account: "a", Conversation: talk}); err != nil {
		t.Fatal(err)
	}
	wait(t, ses, "another subscription", func(it wirehost.Item) bool {
		return it.Subscribe.GetConversation() == talk && it.Subscribe.GetSubscription() != sub.GetSubscription()
	})
	ses.Cut()
}

func TestSaid(t *testing.T) {
	r := said(1, "customer", "hello")
	if m, ok := r.Said(); !ok || m.By != "customer" || m.Text != "hello" || m.ID == "" || !cmp.Equal(m.Kinds, []string{"text"}) {
		t.Errorf("got %+v, %v", m, ok)
	}
	for _, bad := range []sdk.Record{{Type: "started/1"}, {Type: "message/1", Head: json.RawMessage("[")}, {Type: "message/1", Head: r.Head, Body: json.RawMessage("1")}} {
		if m, ok := bad.Said(); ok {
			t.Errorf("%+v: got %+v", bad, m)
		}
	}
}
