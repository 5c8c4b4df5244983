package kit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

func needsTool(s *subject) string {
	if s.desc.GetTool() == nil {
		return "declares no tool"
	}
	return ""
}

func toolChecks() []check {
	return []check{
		{
			group: "tools", name: "declared", run: checkToolDeclared,
			rule: "ToolService is served by plugins that declare a tool with a title and https origins, and by no others",
		},
		{
			group: "tools", name: "start", run: checkToolStart, needs: needsTool,
			rule: "a Start that comes again is the same session, and Get knows it, in a later Session of the plugin, too",
		},
		{
			group: "tools", name: "end", run: checkToolEnd, needs: needsTool,
			rule: "End may come again, keeps the first cause, and is no error for a session that is not known",
		},
		{
			group: "tools", name: "panel", run: checkToolPanel, needs: needsTool,
			rule: "panels are JSON arrays of blocks within the limits; a stranger's session has none",
		},
		{
			group: "tools", name: "act", run: checkToolAct, needs: needsTool,
			rule: "an act that comes again is carried out once; an unknown action, revision or session is a fault or changes nothing",
		},
	}
}

// tool starts a process with a Session, and returns its ToolService.
func (s *subject) tool(ctx context.Context) (*process, *wirehost.Session, pluginv1.ToolServiceClient, error) {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return nil, nil, nil, err
	}
	return p, ses, pluginv1.NewToolServiceClient(p.conn), nil
}

const (
	toolSession = "00000000-0000-7000-d000-000000000001"
	toolNobody  = "00000000-0000-7000-d000-00000000dead"
	talkID      = "00000000-0000-7000-9000-000000000001"
)

// kitAgent is the agent for whom the kit uses tools.
func kitAgent() *pluginv1.Party {
	return &pluginv1.Party{Kind: "agent", Id: "00000000-0000-7000-e000-000000000001", Name: "Kit"}
}

func (s *subject) startRequest(p *process) *pluginv1.ToolStartRequest {
	account := s.opts.Fixtures.Accounts[0].ID
	p.ledger.Session(toolSession, account, talkID, false)
	return &pluginv1.ToolStartRequest{
		Session: toolSession, Account: account, Conversation: talkID, By: kitAgent(), Agent: kitAgent(), AgentEmail: "kit@kit.invalid",
		Customer: &pluginv1.Party{Kind: "customer"}, Panels: true,
		Settings: string(s.opts.Fixtures.Tool.Settings), Arguments: string(s.opts.Fixtures.Tool.Arguments),
	}
}

// begin starts a session of the tool.
func (s *subject) begin(ctx context.Context, p *process, tool pluginv1.ToolServiceClient) (*pluginv1.ToolSession, error) {
	r, err := tool.Start(ctx, s.startRequest(p))
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	if f := r.GetFault(); f != nil {
		return nil, fmt.Errorf("start: the fault %s; give arguments in the fixtures' tool", f.GetCode())
	}
	return r.GetSession(), soundSession(r.GetSession())
}

// soundSession checks that a session is well-formed.
func soundSession(s *pluginv1.ToolSession) error {
	if s.GetSession() != toolSession {
		return fmt.Errorf("a session with the id %q, want %s", s.GetSession(), toolSession)
	}
	switch s.GetState() {
	case pluginv1.SessionState_SESSION_STATE_WAITING, pluginv1.SessionState_SESSION_STATE_ACTIVE, pluginv1.SessionState_SESSION_STATE_ENDED:
	default:
		return fmt.Errorf("a session in the state %v", s.GetState())
	}
	for _, p := range []*pluginv1.Panel{s.GetPanel(), s.GetCustomerPanel()} {
		if err := soundPanel(p); err != nil {
			return err
		}
	}
	return nil
}

func soundPanel(p *pluginv1.Panel) error {
	if _, err := sdk.DecodeBlocks(p.GetBlocks()); err != nil {
		return err
	}
	return nil
}

func checkToolDeclared(ctx context.Context, s *subject) error {
	_, _, tool, err := s.tool(ctx)
	if err != nil {
		return err
	}
	_, err = tool.Get(ctx, &pluginv1.ToolGetRequest{Session: toolNobody})
	info := s.desc.GetTool()
	switch served := status.Code(err) != codes.Unimplemented; {
	case info == nil && served:
		return errors.New("it serves ToolService and declares no tool")
	case info == nil:
		return nil
	case !served:
		return errors.New("it declares a tool and does not serve ToolService")
	case err != nil:
		return fmt.Errorf("get of a session that is not known: %w", err)
	case info.GetTitle() == "":
		return errors.New("the tool has no title")
	}
	for _, origin := range info.GetEmbedOrigins() {
		if _, err := sdk.EncodeBlocks([]sdk.Block{sdk.PanelEmbed{URL: origin, Title: "x"}}); err != nil {
			return fmt.Errorf("embed origin %q: %w", origin, err)
		}
	}
	return nil
}

func checkToolStart(ctx context.Context, s *subject) error {
	p, ses, tool, err := s.tool(ctx)
	if err != nil {
		return err
	}
	first, err := s.begin(ctx, p, tool)
	if err != nil {
		return err
	}
	again, err := s.begin(ctx, p, tool)
	if err != nil {
		return fmt.Errorf("again: %w", err)
	}
	if first.GetState() != again.GetState() || first.GetRevision() != again.GetRevision() {
		return fmt.Errorf("revision %d %v, and after a repeat %d %v", first.GetRevision(), first.GetState(), again.GetRevision(), again.GetState())
	}
	ses.Cut()
	if _, err := p.session(ctx, nil, wirehost.Policy{}); err != nil {
		return err
	}
	r, err := tool.Get(ctx, &pluginv1.ToolGetRequest{Session: toolSession})
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if !r.GetFound() {
		return errors.New("get: the session is not found")
	}
	if r, err := tool.Get(ctx, &pluginv1.ToolGetRequest{Session: toolNobody}); err != nil || r.GetFound() {
		return fmt.Errorf("get of a session that is not known: found %v, %w", r.GetFound(), err)
	}
	return soundSession(r.GetSession())
}

func checkToolEnd(ctx context.Context, s *subject) error {
	p, ses, tool, err := s.tool(ctx)
	if err != nil {
		return err
	}
	if _, err := s.begin(ctx, p, tool); err != nil {
		return err
	}
	first := ""
	for i, cause := range []string{"cancelled", "conversation_ended"} {
		r, err := tool.End(ctx, &pluginv1.ToolEndRequest{Session: toolSession, By: kitAgent(), Cause: cause})
		if err != nil {
			return fmt.Errorf("end number %d: %w", i+1, err)
		}
		if got := r.GetSession(); got.GetState() != pluginv1.SessionState_SESSION_STATE_ENDED {
			return fmt.Errorf("state %v after the end", got.GetState())
		}
		if i > 0 && r.GetSession().GetCause() != first {
			return fmt.Errorf("cause %q, and after a repeat %q", first, r.GetSession().GetCause())
		}
		first = r.GetSession().GetCause()
	}
	if _, err := tool.End(ctx, &pluginv1.ToolEndRequest{Session: toolNobody, Cause: "cancelled"}); err != nil {
		return fmt.Errorf("end of a session that is not known: %w", err)
	}
	return alive(ctx, p, ses)
}

func checkToolPanel(ctx context.Context, s *subject) error {
	p, ses, tool, err := s.tool(ctx)
	if err != nil {
		return err
	}
	if _, err := s.begin(ctx, p, tool); err != nil {
		return err
	}
	for _, kind := range []string{"agent", "customer", "supervisor"} {
		viewer := kitAgent()
		viewer.Kind = kind
		r, err := tool.Panel(ctx, &pluginv1.ToolPanelRequest{Session: toolSession, Viewer: viewer})
		if err != nil {
			return fmt.Errorf("panel of the %s: %w", kind, err)
		}
		if err := soundPanel(r.GetPanel()); err != nil {
			return fmt.Errorf("panel of the %s: %w", kind, err)
		}
	}
	r, err := tool.Panel(ctx, &pluginv1.ToolPanelRequest{Session: toolNobody, Viewer: kitAgent()})
	if err != nil || r.GetPanel().GetBlocks() != "" {
		return fmt.Errorf("panel of a session that is not known: %q, %w", r.GetPanel().GetBlocks(), err)
	}
	return alive(ctx, p, ses)
}

// firstAction is the action of the first button of a panel; "" = it has none.
func firstAction(blocks string) string {
	var list []struct {
		Type, Action string
		Disabled     bool
	}
	if json.Unmarshal([]byte(blocks), &list) != nil {
		return ""
	}
	for _, b := range list {
		if b.Type == "button" && !b.Disabled {
			return b.Action
		}
	}
	return ""
}

func checkToolAct(ctx context.Context, s *subject) error {
	p, ses, tool, err := s.tool(ctx)
	if err != nil {
		return err
	}
	if _, err := s.begin(ctx, p, tool); err != nil {
		return err
	}
	panel, err := tool.Panel(ctx, &pluginv1.ToolPanelRequest{Session: toolSession, Viewer: kitAgent()})
	if err != nil {
		return fmt.Errorf("panel: %w", err)
	}
	act := func(session, id, action string, revision uint64) (*pluginv1.ToolActResponse, error) {
		r, err := tool.Act(ctx, &pluginv1.ToolActRequest{Session: session, Viewer: kitAgent(), Act: "00000000-0000-7000-f000-00000000000" + id, Action: action, Revision: revision})
		if err != nil {
			return nil, fmt.Errorf("act %s: %w", action, err)
		}
		if n := len(r.GetEffects()); n > contract.MaxEffects {
			return nil, fmt.Errorf("act %s: %d effects", action, n)
		}
		return r, soundPanel(r.GetPanel())
	}
	if action := firstAction(panel.GetPanel().GetBlocks()); action != "" {
		if _, err := act(toolSession, "1", action, panel.GetPanel().GetRevision()); err != nil {
			return err
		}
		before, err := tool.Get(ctx, &pluginv1.ToolGetRequest{Session: toolSession})
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		if _, err := act(toolSession, "1", action, panel.GetPanel().GetRevision()); err != nil {
			return fmt.Errorf("again: %w", err)
		}
		after, err := tool.Get(ctx, &pluginv1.ToolGetRequest{Session: toolSession})
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		if before.GetSession().GetRevision() != after.GetSession().GetRevision() {
			return fmt.Errorf("the act %s was carried out again: revision %d, then %d", action, before.GetSession().GetRevision(), after.GetSession().GetRevision())
		}
	}
	if r, err := act(toolNobody, "2", "kit", 1); err != nil || r.GetFault() == nil {
		return fmt.Errorf("act in a session that is not known: %v, %w; want a fault", r, err)
	}
	for i, revision := range []uint64{0, 1 << 60} {
		if _, err := act(toolSession, fmt.Sprint(3+i), "kit.unknown", revision); err != nil {
			return err
		}
	}
	return alive(ctx, p, ses)
}

// noticed waits until notices that were sent have arrived.
func noticed(ctx context.Context, ses *wirehost.Session) error {
	return ping(ctx, ses, 7, 2*time.Second)
}
