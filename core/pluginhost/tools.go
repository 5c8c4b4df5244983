package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

var _ plugin.Tools = (*Host)(nil)

// toolTimeout is the deadline of a call of ToolService, together with the time for which a ToolStart
// waits for a generation.
const toolTimeout = 15 * time.Second

// maxToolCalls bounds the calls of ToolService that one generation has under way.
const maxToolCalls = 512

// Methods of ToolService and classes of outcomes, as they are counted.
const (
	toolStart = "start"
	toolGet   = "get"
	toolEnd   = "end"
	toolPanel = "panel"
	toolAct   = "act"

	toolOK       = "ok"
	toolFault    = "fault"
	toolGone     = "gone"
	toolNoAnswer = "no_answer"
	toolInvalid  = "invalid"
)

// errBadAnswer marks an answer that breaks the contract.
var errBadAnswer = errors.New("answer breaks the contract")

// ToolStart implements plugin.Tools. While the plugin restarts, the call waits for the next
// generation, and if the generation dies meanwhile, the next one is asked once: what was begun in a
// process that is gone is gone, too.
func (h *Host) ToolStart(ctx context.Context, id string, r plugin.ToolStart) (plugin.ToolAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	p := h.plugin(id)
	if p == nil {
		return plugin.ToolAnswer{}, fmt.Errorf("tool %s: %w: %w", id, plugin.ErrInstanceGone, ErrUnknownPlugin)
	}
	out, err := p.startTool(ctx, &r)
	if errors.Is(err, plugin.ErrInstanceGone) && ctx.Err() == nil {
		out, err = p.startTool(ctx, &r)
	}
	return out, err
}

func (p *hosted) startTool(ctx context.Context, r *plugin.ToolStart) (out plugin.ToolAnswer, err error) {
	instance, err := p.awaitTool(ctx)
	if err != nil {
		p.meters.tool(toolStart, toolGone, 0)
		return out, fmt.Errorf("tool %s: %w: %w", p.id, plugin.ErrInstanceGone, err)
	}
	err = p.callTool(ctx, instance, toolStart, func(ctx context.Context, said *wire.Plugin, tool pluginv1.ToolServiceClient) (string, error) {
		resp, err := tool.Start(ctx, wire.FromToolStart(r))
		if err != nil {
			return "", err
		}
		if out, err = said.ToToolStarted(resp); err != nil {
			return "", badAnswer(err)
		}
		return outcomeOf(&out), sameSession(out.Session, r.Session)
	})
	return out, err
}

// awaitTool returns the newest generation. One whose process has just ended is waited out.
func (p *hosted) awaitTool(ctx context.Context) (instance string, err error) {
	for {
		p.mu.Lock()
		g, changed := p.cur, p.changed
		p.mu.Unlock()
		if g != nil && !g.over() && !g.exited() {
			return g.instance, nil
		}
		select {
		case <-changed:
		case <-p.done:
			return "", ErrClosed
		case <-ctx.Done():
			return "", ErrUnavailable
		}
	}
}

// ToolGet implements plugin.Tools.
func (h *Host) ToolGet(ctx context.Context, id, instance string, session conversation.SessionID) (out plugin.ToolSession, found bool, err error) {
	err = h.callTool(ctx, id, instance, toolGet, func(ctx context.Context, said *wire.Plugin, tool pluginv1.ToolServiceClient) (string, error) {
		resp, err := tool.Get(ctx, &pluginv1.ToolGetRequest{Session: session.String()})
		if err != nil || !resp.GetFound() {
			return toolOK, err
		}
		got, err := said.ToToolSession(resp.GetSession())
		if err != nil {
			return "", badAnswer(err)
		}
		out, found = *got, true
		return toolOK, sameSession(got, session)
	})
	return out, found && err == nil, err
}

// ToolEnd implements plugin.Tools. A session that the plugin does not know has ended.
func (h *Host) ToolEnd(ctx context.Context, id, instance string, session conversation.SessionID, by plugin.Party, cause conversation.Cause) (out plugin.ToolSession, err error) {
	err = h.callTool(ctx, id, instance, toolEnd, func(ctx context.Context, said *wire.Plugin, tool pluginv1.ToolServiceClient) (string, error) {
		resp, err := tool.End(ctx, wire.FromToolEnd(session, by, cause))
		if err != nil {
			return "", err
		}
		if resp.GetSession() == nil {
			out = plugin.ToolSession{Session: session, Instance: instance, Ended: true, Cause: cause}
			return toolOK, nil
		}
		got, err := said.ToToolSession(resp.GetSession())
		if err != nil {
			return "", badAnswer(err)
		}
		out = *got
		return toolOK, sameSession(got, session)
	})
	return out, err
}

// ToolPanel implements plugin.Tools; nil: this viewer has no panel.
func (h *Host) ToolPanel(ctx context.Context, id, instance string, session conversation.SessionID, viewer plugin.Party) (out *plugin.Panel, err error) {
	err = h.callTool(ctx, id, instance, toolPanel, func(ctx context.Context, _ *wire.Plugin, tool pluginv1.ToolServiceClient) (string, error) {
		resp, err := tool.Panel(ctx, wire.FromToolPanel(session, viewer))
		if err != nil {
			return "", err
		}
		if out, err = wire.ToPanel(resp.GetPanel()); err != nil {
			return "", badAnswer(err)
		}
		return toolOK, nil
	})
	return out, err
}

// ToolAct implements plugin.Tools.
func (h *Host) ToolAct(ctx context.Context, id, instance string, r plugin.ToolAct) (out plugin.ToolAnswer, err error) {
	err = h.callTool(ctx, id, instance, toolAct, func(ctx context.Context, said *wire.Plugin, tool pluginv1.ToolServiceClient) (string, error) {
		resp, err := tool.Act(ctx, wire.FromToolAct(&r))
		if err != nil {
			return "", err
		}
		if out, err = said.ToToolActed(resp); err != nil {
			return "", badAnswer(err)
		}
		return outcomeOf(&out), sameSession(out.Session, r.Session)
	})
	return out, err
}

// ToolNotice implements plugin.Tools.
func (h *Host) ToolNotice(id, instance string, n plugin.ToolNotice) {
	if p := h.plugin(id); p != nil {
		if g := p.alive(instance); g != nil {
			g.session.noticeTool(n)
		}
	}
}

func badAnswer(err error) error { return fmt.Errorf("%w: %w", errBadAnswer, err) }

func sameSession(s *plugin.ToolSession, want conversation.SessionID) error {
	if s != nil && s.Session != want {
		return fmt.Errorf("%w: about another session", errBadAnswer)
	}
	return nil
}

func outcomeOf(a *plugin.ToolAnswer) string {
	if a.Fault != nil {
		return toolFault
	}
	return toolOK
}

// callTool calls the tool of a generation, also of one that is being drained. f returns the class of
// the outcome. What f read is not to be used if there is an error.
func (h *Host) callTool(ctx context.Context, id, instance, method string, f func(context.Context, *wire.Plugin, pluginv1.ToolServiceClient) (string, error)) error {
	p := h.plugin(id)
	if p == nil {
		return fmt.Errorf("tool %s: %w: %w", id, plugin.ErrInstanceGone, ErrUnknownPlugin)
	}
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	return p.callTool(ctx, instance, method, f)
}

func (p *hosted) callTool(ctx context.Context, instance, method string, f func(context.Context, *wire.Plugin, pluginv1.ToolServiceClient) (string, error)) error {
	g := p.alive(instance)
	if g == nil || g.over() || g.tool == nil {
		p.meters.tool(method, toolGone, 0)
		return fmt.Errorf("tool %s: %s: %w", p.id, method, plugin.ErrInstanceGone)
	}
	if g.toolCalls.Add(1) > maxToolCalls {
		g.toolCalls.Add(-1)
		p.meters.tool(method, toolNoAnswer, 0)
		return fmt.Errorf("tool %s: %s: %w: %w", p.id, method, plugin.ErrNoAnswer, ErrBusy)
	}
	defer g.toolCalls.Add(-1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer afterClosed(g.gone, cancel)()
	start := time.Now()
	outcome, err := f(ctx, &g.session.said, g.tool)
	switch {
	case err == nil:
	case errors.Is(err, errBadAnswer):
		outcome = toolInvalid
		p.log.Warn("answer of a tool refused", "method", method, "err", err)
		err = fmt.Errorf("tool %s: %s: %w: %w", p.id, method, plugin.ErrNoAnswer, err)
	default:
		outcome, err = p.toolFailed(ctx, g, method, err)
	}
	p.meters.tool(method, outcome, time.Since(start))
	return err
}

// toolFailed tells a generation that is gone from one that did not answer. The connection of a process
// that dies breaks a moment before the process is known to be gone.
func (p *hosted) toolFailed(ctx context.Context, g *generation, method string, err error) (outcome string, _ error) {
	err = g.callFailed(ctx, "tool "+method, err)
	var exit *exitError
	if g.over() || errors.Is(err, ErrGone) || errors.As(err, &exit) {
		return toolGone, fmt.Errorf("tool %s: %s: %w", p.id, method, plugin.ErrInstanceGone)
	}
	return toolNoAnswer, fmt.Errorf("tool %s: %s: %w: %w", p.id, method, plugin.ErrNoAnswer, err)
}

// alive returns the generation of an instance that still takes calls, also one that is being drained;
// nil: there is none.
func (p *hosted) alive(instance string) *generation {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live[instance]
}
