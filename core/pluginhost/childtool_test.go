package pluginhost_test

import (
	"context"
	"os"
	"strings"
	"syscall"
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// describeTool makes the child's description that of a tool of minor 1, which is no channel.
func (c *child) describeTool(d *pluginv1.DescribeResponse) {
	d.Minor, d.Delivery = 1, pluginv1.Delivery_DELIVERY_NONE
	d.Tool = &pluginv1.ToolInfo{Title: "Count", AgentStarts: true}
	d.SilenceMs, d.DrainMs = 3000, 20000
}

// traitsOf returns the traits of accounts for which the plugin's settings ask.
func traitsOf(r *pluginv1.ConfigureRequest) (out []*pluginv1.AccountTraits) {
	for _, a := range r.GetAccounts() {
		t := &pluginv1.AccountTraits{Account: a.GetId()}
		switch {
		case strings.Contains(r.GetSettings(), `"traits":"one"`):
			t.HookBudgetMs, t.Placement = 600, pluginv1.Placement_PLACEMENT_ONE
			t.Capabilities = &pluginv1.Capabilities{Text: true, MaxLength: 7}
		case strings.Contains(r.GetSettings(), `"traits":"strange"`):
			t.Account = "01920000-0000-7000-8000-0000000000ff"
		default:
			continue
		}
		out = append(out, t)
	}
	return out
}

// Start does what the arguments of the test say.
func (c *child) Start(ctx context.Context, r *pluginv1.ToolStartRequest) (*pluginv1.ToolStartResponse, error) {
	session := &pluginv1.ToolSession{Session: r.GetSession(), State: pluginv1.SessionState_SESSION_STATE_WAITING}
	switch r.GetArguments() {
	case `"panic"`:
		panic("poisoned start")
	case `"panic-once"`:
		if f, err := os.OpenFile(c.marker(), os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close()
			panic("once")
		}
	case `"hang"`:
		<-ctx.Done()
		return nil, ctx.Err()
	case `"fault"`:
		return &pluginv1.ToolStartResponse{Fault: &pluginv1.ToolFault{Code: "not_configured", Text: "no key"}}, nil
	case `"bad"`:
		session.Panel = &pluginv1.Panel{Blocks: `{"secret":1}`}
	case `"other"`:
		session.Session = "01920000-0000-7000-8000-0000000000ff"
	}
	return &pluginv1.ToolStartResponse{Session: session}, nil
}

func (c *child) Get(_ context.Context, r *pluginv1.ToolGetRequest) (*pluginv1.ToolGetResponse, error) {
	return &pluginv1.ToolGetResponse{Found: true, Session: &pluginv1.ToolSession{Session: r.GetSession(), State: pluginv1.SessionState_SESSION_STATE_ACTIVE}}, nil
}

func (c *child) End(context.Context, *pluginv1.ToolEndRequest) (*pluginv1.ToolEndResponse, error) {
	c.endOnce.Do(func() { close(c.ended) })
	return &pluginv1.ToolEndResponse{}, nil
}

func (c *child) Panel(_ context.Context, r *pluginv1.ToolPanelRequest) (*pluginv1.ToolPanelResponse, error) {
	if r.GetViewer().GetKind() == "customer" {
		return &pluginv1.ToolPanelResponse{}, nil
	}
	return &pluginv1.ToolPanelResponse{Panel: &pluginv1.Panel{Revision: 1, Blocks: `[1]`}}, nil
}

func (c *child) Act(ctx context.Context, r *pluginv1.ToolActRequest) (*pluginv1.ToolActResponse, error) {
	switch r.GetAction() {
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		<-ctx.Done()
		return nil, ctx.Err()
	case "freeze":
		go func() { // the call is answered by nobody; whether the process comes back is the test's business
			time.Sleep(10 * time.Millisecond)
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		}()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pluginv1.ToolActResponse{Effects: []*pluginv1.Effect{{Effect: &pluginv1.Effect_InsertText{InsertText: r.GetAction()}}}}, nil
}
