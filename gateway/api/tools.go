package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/sessionwork"
	"github.com/parley-gateway/parley/gateway/auth"
)

// Tools is what the API needs of the session router for tools inside conversations. What it changes is
// committed when it returns.
type Tools interface {
	Tools(s *conversation.State) []sessionwork.Tool
	StartTool(ctx context.Context, req sessionwork.StartRequest) (sessionwork.Answer, error)
	ActTool(ctx context.Context, req sessionwork.ActRequest) (sessionwork.Answer, error)
	EndTool(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, session conversation.SessionID) (uint64, error)
	ToolPanel(ctx context.Context, id conversation.AgentID, conv conversation.ConversationID, session conversation.SessionID) (*plugin.Panel, error)
}

// maxToolJSON bounds what people give a tool, in bytes.
const maxToolJSON = 64 << 10

type toolsOutput struct {
	Body struct {
		Tools    []toolView        `json:"tools" doc:"What the conversation's service has and the customer's channel can do"`
		Sessions []toolSessionView `json:"sessions" doc:"Live sessions of tools"`
	}
}

type toolView struct {
	Account  conversation.AccountID `json:"account" format:"uuid" doc:"By which the tool is started"`
	Plugin   string                 `json:"plugin"`
	Name     string                 `json:"name" doc:"Of the account"`
	Title    string                 `json:"title" doc:"For people"`
	Icon     string                 `json:"icon,omitempty"`
	Consent  bool                   `json:"consent" doc:"Nothing happens before the customer has accepted"`
	Single   bool                   `json:"single" doc:"At most one session at a time"`
	MayStart bool                   `json:"may_start" doc:"An agent may start it now"`
}

type toolSessionView struct {
	ID       conversation.SessionID    `json:"id" format:"uuid"`
	Account  conversation.AccountID    `json:"account" format:"uuid"`
	Plugin   string                    `json:"plugin"`
	State    conversation.SessionState `json:"state" enum:"requested,waiting,active"`
	Revision uint64                    `json:"revision" doc:"Of the panel; 0: there is none"`
}

type startToolInput struct {
	ID   string `path:"id" format:"uuid"`
	Body struct {
		Account   string          `json:"account" format:"uuid" doc:"Of the tool"`
		Arguments json.RawMessage `json:"arguments,omitempty" doc:"JSON object for the tool; at most 64 KiB"`
		ClientID  string          `json:"client_id,omitempty" maxLength:"64" doc:"A retry under the same id is the same session"`
	}
}

type toolSessionInput struct {
	ID      string `path:"id" format:"uuid"`
	Session string `path:"session" format:"uuid"`
}

type actToolInput struct {
	ID      string `path:"id" format:"uuid"`
	Session string `path:"session" format:"uuid"`
	Body    struct {
		Act      string          `json:"act,omitempty" format:"uuid" doc:"A retry under the same id is the same act"`
		Action   string          `json:"action" minLength:"1" maxLength:"128" doc:"Of the button or form that was used"`
		Values   json.RawMessage `json:"values,omitempty" doc:"JSON object of the fields; at most 64 KiB"`
		Revision uint64          `json:"revision,omitempty" doc:"Of the panel that the agent saw"`
	}
}

type toolAnswerOutput struct {
	Body struct {
		Session conversation.SessionID `json:"session" format:"uuid"`
		Seq     uint64                 `json:"seq" doc:"Sequence of the last event about it; 0: nothing changed"`
		Panel   *toolPanelView         `json:"panel,omitempty" doc:"Absent: unchanged"`
		Effects []plugin.Effect        `json:"effects" doc:"What else is to happen on the agent's screen, each with one member. insert_text goes into the composer and is never sent by itself"`
	}
}

type toolPanelView struct {
	Revision uint64            `json:"revision"`
	Blocks   []json.RawMessage `json:"blocks" doc:"Blocks of the plugin contract, each with a type; none: nothing is shown"`
}

type toolPanelOutput struct {
	Body toolPanelView
}

type endToolOutput struct {
	Body struct {
		Seq uint64 `json:"seq"`
	}
}

// toolRoutes serve tools inside a conversation (M1-M8) to agents who take part in it, and to supervisors
// who do. Others learn neither which tools nor which sessions there are.
func (a *API) toolRoutes() {
	const tag, base = "tools", "/conversations/{id}/tools"
	agent := directory.RoleAgent
	register(a, op("list-tools", http.MethodGet, base, tag, "List a conversation's tools, and their live sessions", agent), agent, a.listTools)
	o := op("start-tool", http.MethodPost, base, tag, "Start a tool; the answer comes when its session and what it shows are durable", agent)
	o.DefaultStatus, o.MaxBodyBytes = http.StatusCreated, maxToolJSON+4<<10
	register(a, o, agent, a.startTool)
	register(a, op("get-tool-panel", http.MethodGet, base+"/{session}", tag, "Read a tool's panel as one sees it oneself", agent), agent, a.toolPanel)
	o = op("act-tool", http.MethodPost, base+"/{session}/acts", tag, "Use a tool's panel", agent)
	o.MaxBodyBytes = maxToolJSON + 4<<10
	register(a, o, agent, a.actTool)
	register(a, op("end-tool", http.MethodPost, base+"/{session}/end", tag, "End a tool's session", agent), agent, a.endTool)
}

// atTools returns the state of a conversation in which the user takes part. A supervisor whom agents do not see
// only looks.
func (a *API) atTools(ctx context.Context, id auth.Identity, text string, looks bool) (*conversation.State, error) {
	info, err := a.readable(ctx, id, text)
	if err != nil {
		return nil, err
	}
	st := &info.State
	if takesPart(id, st) || speaksAsSupervisor(id, st) || looks && st.ModeOf(id.User) != "" {
		return st, nil
	}
	return nil, NewFault("not_joined")
}

func (a *API) listTools(ctx context.Context, id auth.Identity, in *oneInput) (*toolsOutput, error) {
	st, err := a.atTools(ctx, id, in.ID, true)
	if err != nil {
		return nil, err
	}
	out := &toolsOutput{}
	out.Body.Tools, out.Body.Sessions = []toolView{}, []toolSessionView{}
	for _, t := range a.opts.Tools.Tools(st) {
		out.Body.Tools = append(out.Body.Tools, toolView{
			Account: t.Account, Plugin: t.Plugin, Name: t.Name, Title: t.Info.Title, Icon: t.Info.Icon,
			Consent: t.Info.NeedsConsent, Single: t.Info.Single, MayStart: t.MayStart && takesPart(id, st),
		})
	}
	for i := range st.Sessions {
		if x := &st.Sessions[i]; x.Kind == conversation.SessionTool {
			out.Body.Sessions = append(out.Body.Sessions, toolSessionView{ID: x.ID, Account: x.Account, Plugin: x.Plugin, State: x.State, Revision: x.Revision})
		}
	}
	return out, nil
}

func (a *API) startTool(ctx context.Context, id auth.Identity, in *startToolInput) (*toolAnswerOutput, error) {
	arguments, err := toolObject("arguments", in.Body.Arguments)
	if err != nil {
		return nil, err
	}
	st, err := a.atTools(ctx, id, in.ID, false)
	if err != nil {
		return nil, err
	}
	got, err := a.opts.Tools.StartTool(ctx, sessionwork.StartRequest{
		Conversation: st.ID, Agent: id.User, Account: conversation.AccountID(stream(in.Body.Account)), Arguments: arguments, ClientID: in.Body.ClientID,
	})
	return toolAnswer(got, err)
}

func (a *API) actTool(ctx context.Context, id auth.Identity, in *actToolInput) (*toolAnswerOutput, error) {
	values, err := toolObject("values", in.Body.Values)
	if err != nil {
		return nil, err
	}
	st, err := a.atTools(ctx, id, in.ID, false)
	if err != nil {
		return nil, err
	}
	got, err := a.opts.Tools.ActTool(ctx, sessionwork.ActRequest{
		Conversation: st.ID, Agent: id.User, Session: conversation.SessionID(stream(in.Session)), Act: stream(in.Body.Act),
		Action: in.Body.Action, Values: values, Revision: in.Body.Revision,
	})
	return toolAnswer(got, err)
}

func (a *API) toolPanel(ctx context.Context, id auth.Identity, in *toolSessionInput) (*toolPanelOutput, error) {
	st, err := a.atTools(ctx, id, in.ID, true)
	if err != nil {
		return nil, err
	}
	p, err := a.opts.Tools.ToolPanel(ctx, id.User, st.ID, conversation.SessionID(stream(in.Session)))
	if err != nil {
		return nil, err
	}
	view, err := panelView(p)
	if err != nil {
		return nil, err
	}
	if view == nil {
		view = &toolPanelView{Blocks: []json.RawMessage{}}
	}
	return &toolPanelOutput{*view}, nil
}

func (a *API) endTool(ctx context.Context, id auth.Identity, in *toolSessionInput) (*endToolOutput, error) {
	st, err := a.atTools(ctx, id, in.ID, false)
	if err != nil {
		return nil, err
	}
	out := &endToolOutput{}
	out.Body.Seq, err = a.opts.Tools.EndTool(ctx, id.User, st.ID, conversation.SessionID(stream(in.Session)))
	return out, err
}

// toolObject checks what is given to a tool: a JSON object, or nothing (nil).
func toolObject(field string, v json.RawMessage) (json.RawMessage, error) {
	switch {
	case len(v) == 0 || string(v) == "null":
		return nil, nil
	case len(v) > maxToolJSON:
		return nil, NewFault("too_large", Detail{field, "is longer than 64 KiB"})
	case v[0] != '{':
		return nil, NewFault("invalid", Detail{field, "must be a JSON object"})
	}
	return v, nil
}

func toolAnswer(got sessionwork.Answer, err error) (*toolAnswerOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &toolAnswerOutput{}
	out.Body.Session, out.Body.Seq, out.Body.Effects = got.Session, got.Seq, got.Effects
	if out.Body.Effects == nil {
		out.Body.Effects = []plugin.Effect{}
	}
	out.Body.Panel, err = panelView(got.Panel)
	return out, err
}

// panelView shows a panel; nil: there is none.
func panelView(p *plugin.Panel) (*toolPanelView, error) {
	if p == nil {
		return nil, nil
	}
	v := &toolPanelView{Revision: p.Revision, Blocks: []json.RawMessage{}}
	if len(p.Blocks) == 0 {
		return v, nil
	}
	return v, json.Unmarshal(p.Blocks, &v.Blocks)
}

// toolFault is what clients learn of a tool's refusal: the tool's own code in the details, and its text.
func toolFault(refused *sessionwork.Fault) *Fault {
	f := NewFault("tool_fault", Detail{Where: "tool", Problem: refused.Code})
	if refused.Text != "" {
		f.Text = refused.Text
	}
	f.RetryAfter = refused.RetryAfter
	return f
}
