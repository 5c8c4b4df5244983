package wire

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Limits of a tool's answers.
const (
	maxBlocks  = 64 << 10 // bytes of a panel
	maxInsert  = 16 << 10 // bytes of a text for the composer
	maxEffects = 16
)

// ToToolSession converts what a tool says of a session. The instance is filled in.
func (p *Plugin) ToToolSession(t *pluginv1.ToolSession) (*plugin.ToolSession, error) {
	out := &plugin.ToolSession{
		Instance: p.Instance, Code: toCode(t.GetCode()), Revision: t.GetRevision(), Note: t.GetNote(),
	}
	if err := ParseID(&out.Session, t.GetSession()); err != nil {
		return nil, fmt.Errorf("tool: session: %w", err)
	}
	switch t.GetState() {
	case pluginv1.SessionState_SESSION_STATE_ENDED:
		out.Ended, out.Cause = true, toCause(t.GetCause())
	default:
		var err error
		if out.State, err = toSessionState(t.GetState()); err != nil {
			return nil, fmt.Errorf("tool: %w", err)
		}
	}
	if err := within(maxField, out.Note); err != nil {
		return nil, fmt.Errorf("tool: note: %w", err)
	}
	var err error
	if out.Panel, err = ToPanel(t.GetPanel()); err != nil {
		return nil, fmt.Errorf("tool: panel: %w", err)
	}
	if out.CustomerPanel, err = ToPanel(t.GetCustomerPanel()); err != nil {
		return nil, fmt.Errorf("tool: customer_panel: %w", err)
	}
	return out, nil
}

func toSessionState(s pluginv1.SessionState) (conversation.SessionState, error) {
	switch s {
	case pluginv1.SessionState_SESSION_STATE_REQUESTED:
		return conversation.SessionStateRequested, nil
	case pluginv1.SessionState_SESSION_STATE_WAITING:
		return conversation.SessionStateWaiting, nil
	case pluginv1.SessionState_SESSION_STATE_ACTIVE:
		return conversation.SessionStateActive, nil
	default:
		return "", invalid("state of a session")
	}
}

// ToPanel converts a panel; nil for none. A panel without blocks has nil Blocks.
func ToPanel(p *pluginv1.Panel) (*plugin.Panel, error) {
	if p == nil {
		return nil, nil
	}
	out := &plugin.Panel{Revision: p.GetRevision()}
	blocks := strings.Trim(p.GetBlocks(), jsonSpace)
	if blocks == "" {
		return out, nil
	}
	if len(p.GetBlocks()) > maxBlocks {
		return nil, fmt.Errorf("blocks of %d bytes, at most %d: %w", len(p.GetBlocks()), maxBlocks, ErrTooLarge)
	}
	if blocks[0] != '[' || !json.Valid([]byte(blocks)) {
		return nil, invalid("blocks: want a JSON array")
	}
	if strings.Trim(blocks[1:], jsonSpace) != "]" {
		out.Blocks = json.RawMessage(blocks)
	}
	return out, nil
}

// FromToolStart converts the request for a session.
func FromToolStart(r *plugin.ToolStart) *pluginv1.ToolStartRequest {
	return &pluginv1.ToolStartRequest{
		Session: r.Session.String(), Account: r.Account.String(), Conversation: r.Conversation.String(),
		Service: r.Service.String(), By: fromSomebody(r.By), Agent: fromSomebody(r.Agent), AgentEmail: r.AgentEmail,
		Customer: fromSomebody(r.Customer), Locale: r.Locale, Settings: string(r.Settings), Arguments: string(r.Arguments),
		Panels: r.Panels, Expires: ToMicros(r.Expires),
	}
}

// FromToolEnd converts the request for a session's end.
func FromToolEnd(session conversation.SessionID, by plugin.Party, cause conversation.Cause) *pluginv1.ToolEndRequest {
	return &pluginv1.ToolEndRequest{Session: session.String(), By: fromSomebody(by), Cause: string(cause)}
}

// FromToolPanel converts the request for a panel.
func FromToolPanel(session conversation.SessionID, viewer plugin.Party) *pluginv1.ToolPanelRequest {
	return &pluginv1.ToolPanelRequest{Session: session.String(), Viewer: fromSomebody(viewer)}
}

// FromToolAct converts the use of a panel.
func FromToolAct(r *plugin.ToolAct) *pluginv1.ToolActRequest {
	return &pluginv1.ToolActRequest{
		Session: r.Session.String(), Viewer: fromSomebody(r.Viewer), Act: uuid.UUID(r.Act).String(),
		Action: r.Action, Values: string(r.Values), Revision: r.Revision,
	}
}

// FromToolNotice converts a notice for a tool.
func FromToolNotice(n plugin.ToolNotice) *pluginv1.ToolNotice {
	return &pluginv1.ToolNotice{
		Session: n.Session.String(), Account: n.Account.String(), Conversation: n.Conversation.String(),
		What: n.What, Party: fromSomebody(n.Party),
	}
}

// ToToolStarted converts the answer to a ToolStart.
func (p *Plugin) ToToolStarted(r *pluginv1.ToolStartResponse) (plugin.ToolAnswer, error) {
	if r.GetFault() != nil {
		fault, err := toFault(r.GetFault())
		return plugin.ToolAnswer{Fault: fault}, err
	}
	s, err := p.ToToolSession(r.GetSession())
	if err != nil {
		return plugin.ToolAnswer{}, err
	}
	if s.State == conversation.SessionStateRequested {
		return plugin.ToolAnswer{}, invalid("tool: begun session in the state requested")
	}
	return plugin.ToolAnswer{Session: s}, nil
}

// ToToolActed converts the answer to a ToolAct.
func (p *Plugin) ToToolActed(r *pluginv1.ToolActResponse) (out plugin.ToolAnswer, err error) {
	if r.GetFault() != nil {
		out.Fault, err = toFault(r.GetFault())
		return out, err
	}
	if r.GetSession() != nil {
		if out.Session, err = p.ToToolSession(r.GetSession()); err != nil {
			return out, err
		}
	}
	if out.Panel, err = ToPanel(r.GetPanel()); err != nil {
		return out, fmt.Errorf("panel: %w", err)
	}
	if len(r.GetEffects()) > maxEffects {
		return out, fmt.Errorf("more than %d effects: %w", maxEffects, ErrTooLarge)
	}
	for _, e := range r.GetEffects() {
		effect, known, err := toEffect(e)
		if err != nil {
			return out, fmt.Errorf("effect: %w", err)
		}
		if known {
			out.Effects = append(out.Effects, effect)
		}
	}
	return out, nil
}

// toEffect converts an effect; not known: a newer plugin's, which is left out.
func toEffect(e *pluginv1.Effect) (out plugin.Effect, known bool, err error) {
	switch k := e.GetEffect().(type) {
	case *pluginv1.Effect_InsertText:
		out.InsertText = k.InsertText
		return out, true, within(maxInsert, k.InsertText)
	case *pluginv1.Effect_OpenUrl:
		if err := within(maxField, k.OpenUrl); err != nil {
			return out, true, err
		}
		u, err := url.Parse(k.OpenUrl)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return out, true, invalid("address of a window: want http or https")
		}
		out.OpenURL = k.OpenUrl
		return out, true, nil
	case *pluginv1.Effect_Toast:
		out.Toast = k.Toast
		return out, true, within(maxField, k.Toast)
	case *pluginv1.Effect_End:
		out.End = k.End
		return out, k.End, nil
	default:
		return out, false, nil
	}
}

func toFault(f *pluginv1.ToolFault) (*plugin.ToolFault, error) {
	if !name.MatchString(f.GetCode()) {
		return nil, invalid("code of a fault")
	}
	return &plugin.ToolFault{
		Code: f.GetCode(), Text: f.GetText(), RetryAfter: time.Duration(f.GetRetryAfterMs()) * time.Millisecond,
	}, within(maxField, f.GetText())
}
