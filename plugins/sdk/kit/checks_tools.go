package kit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

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
			rule: "an act that comes again is carried out once and gets the same answer; an unknown action, revision or session is a fault or changes nothing",
		},
		{
			group: "tools", name: "restart", run: checkToolRestart, needs: needsTool,
			rule: "the process after a crash knows the sessions, and answers acts that come again as before",
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

// acting is how somebody uses a panel in a check.
type acting struct {
	req   *pluginv1.ToolActRequest
	first *pluginv1.ToolActResponse // the first answer
}

// act sends an act and checks the form of the answer.
func act(ctx context.Context, tool pluginv1.ToolServiceClient, req *pluginv1.ToolActRequest) (*pluginv1.ToolActResponse, error) {
	r, err := tool.Act(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("act %s: %w", req.GetAction(), err)
	}
	if n := len(r.GetEffects()); n > contract.MaxEffects {
		return nil, fmt.Errorf("act %s: %d effects", req.GetAction(), n)
	}
	return r, soundPanel(r.GetPanel())
}

func actID(n int) string { return fmt.Sprintf("00000000-0000-7000-f000-%012d", n) }

// useTool begins a session, and has the customer and then the agent use what they see, and the agent what nobody
// has.
func (s *subject) useTool(ctx context.Context, p *process, tool pluginv1.ToolServiceClient) ([]acting, error) {
	if _, err := s.begin(ctx, p, tool); err != nil {
		return nil, err
	}
	var all []acting
	for _, viewer := range []*pluginv1.Party{{Kind: "customer"}, kitAgent()} {
		r, err := tool.Panel(ctx, &pluginv1.ToolPanelRequest{Session: toolSession, Viewer: viewer})
		if err != nil {
			return nil, fmt.Errorf("panel of the %s: %w", viewer.GetKind(), err)
		}
		actions := []string{firstAction(r.GetPanel().GetBlocks())}
		if viewer.GetKind() == "agent" {
			actions = append(actions, "kit.unknown")
		}
		for _, action := range actions {
			if action == "" {
				continue
			}
			req := &pluginv1.ToolActRequest{
				Session: toolSession, Viewer: viewer, Act: actID(len(all) + 1), Action: action, Revision: r.GetPanel().GetRevision(),
			}
			first, err := act(ctx, tool, req)
			if err != nil {
				return nil, err
			}
			all = append(all, acting{req, first})
		}
	}
	return all, nil
}

// repeatActs sends acts again and compares the answers. It also checks that they changed nothing. The session and
// the panel of an answer may be those of now.
func repeatActs(ctx context.Context, tool pluginv1.ToolServiceClient, acts []acting) error {
	before, err := tool.Get(ctx, &pluginv1.ToolGetRequest{Session: toolSession})
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if !before.GetFound() {
		return errors.New("the session is not found")
	}
	for _, a := range acts {
		action := a.req.GetAction()
		again, err := act(ctx, tool, a.req)
		if err != nil {
			return fmt.Errorf("again: %w", err)
		}
		if was, is := a.first.GetFault().GetCode(), again.GetFault().GetCode(); (a.first.GetFault() == nil) != (again.GetFault() == nil) || was != is {
			return fmt.Errorf("the act %s got %s, and again %s", action, faultOr(was), faultOr(is))
		}
		if diff := cmp.Diff(a.first.GetEffects(), again.GetEffects(), protocmp.Transform()); diff != "" {
			return fmt.Errorf("the act %s again has other effects: (-first +again)\n%s", action, diff)
		}
		if was, is := a.first.GetSession(), again.GetSession(); is != nil && is.GetRevision() < was.GetRevision() {
			return fmt.Errorf("the act %s got revision %d, and again %d", action, was.GetRevision(), is.GetRevision())
		}
	}
	after, err := tool.Get(ctx, &pluginv1.ToolGetRequest{Session: toolSession})
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	if was, is := before.GetSession(), after.GetSession(); was.GetRevision() != is.GetRevision() || was.GetState() != is.GetState() {
		return fmt.Errorf("acts were carried out again: revision %d %v, then %d %v", was.GetRevision(), was.GetState(), is.GetRevision(), is.GetState())
	}
	return nil
}

func faultOr(code string) string {
	if code == "" {
		return "no fault"
	}
	return "the fault " + code
}

func checkToolAct(ctx context.Context, s *subject) error {
	p, ses, tool, err := s.tool(ctx)
	if err != nil {
		return err
	}
	acts, err := s.useTool(ctx, p, tool)
	if err != nil {
		return err
	}
	if err := repeatActs(ctx, tool, acts); err != nil {
		return err
	}
	strange := &pluginv1.ToolActRequest{Session: toolNobody, Viewer: kitAgent(), Act: actID(100), Action: "kit", Revision: 1}
	if r, err := act(ctx, tool, strange); err != nil || r.GetFault() == nil {
		return fmt.Errorf("act in a session that is not known: %v, %w; want a fault", r, err)
	}
	for i, revision := range []uint64{0, 1 << 60} {
		req := &pluginv1.ToolActRequest{Session: toolSession, Viewer: kitAgent(), Act: actID(101 + i), Action: "kit.unknown", Revision: revision}
		if _, err := act(ctx, tool, req); err != nil {
			return err
		}
	}
	return alive(ctx, p, ses)
}

// checkToolRestart kills the process that has a session. The next one finds what was stored.
func checkToolRestart(ctx context.Context, s *subject) error {
	p, _, tool, err := s.tool(ctx)
	if err != nil {
		return err
	}
	acts, err := s.useTool(ctx, p, tool)
	if err != nil {
		return err
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited
	p, ses, tool, err := s.tool(ctx)
	if err != nil {
		return fmt.Errorf("after a crash: %w", err)
	}
	p.ledger.Session(toolSession, s.opts.Fixtures.Accounts[0].ID, talkID, false)
	if err := repeatActs(ctx, tool, acts); err != nil {
		return fmt.Errorf("after a crash: %w", err)
	}
	return alive(ctx, p, ses)
}

// noticed waits until notices that were sent have arrived.
func noticed(ctx context.Context, ses *wirehost.Session) error {
	return ping(ctx, ses, 7, 2*time.Second)
}
