package sessionwork

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// maxJSON bounds what people give a tool, and a panel's blocks, in bytes.
const maxJSON = 64 << 10

// Tool is a tool that a conversation may use.
type Tool struct {
	Account conversation.AccountID
	Plugin  string
	Name    string // of the account
	Info    plugin.ToolInfo
	// MayStart: agents start it, it works on the customer's channel, and no session of it is in the way.
	MayStart bool
}

// Tools lists the tools of a conversation's service that work on the customer's channel.
func (w *Work) Tools(s *conversation.State) (out []Tool) {
	snap := w.dir.Snapshot()
	svc, _ := snap.Service(s.Service)
	for _, t := range svc.Tools {
		acc, info, err := w.tool(snap, t.Account)
		if err != nil || works(s, &info) != nil {
			continue
		}
		out = append(out, Tool{
			Account: acc.ID, Plugin: acc.Plugin, Name: acc.Name, Info: info,
			MayStart: info.AgentStarts && s.Phase == conversation.PhaseOpen && !inTheWay(s, acc.ID, &info) && w.newest(acc.Plugin) != "",
		})
	}
	return out
}

// tool finds the tool of an account.
func (w *Work) tool(snap *directory.Snapshot, account conversation.AccountID) (directory.Account, plugin.ToolInfo, error) {
	acc, ok := snap.Account(account)
	if !ok || !acc.Enabled {
		return acc, plugin.ToolInfo{}, ErrNoTool
	}
	info, ok := w.convs.Plugin(acc.Plugin)
	if !ok || info.Tool == nil {
		return acc, plugin.ToolInfo{}, ErrNoTool
	}
	return acc, *info.Tool, nil
}

// works reports whether the customer's channel can do what a tool needs.
func works(s *conversation.State, info *plugin.ToolInfo) error {
	if info.NeedsPanels && !s.Capabilities.Panels {
		return ErrNoTool
	}
	return nil
}

// inTheWay reports whether a session keeps another one of the same tool from starting.
func inTheWay(s *conversation.State, account conversation.AccountID, info *plugin.ToolInfo) bool {
	if info.Single {
		for i := range s.Sessions {
			if s.Sessions[i].Account == account {
				return true
			}
		}
	}
	return false
}

// circleOf is who learns of a tool's sessions. A tool in which the customer has a part is everybody's.
func circleOf(info *plugin.ToolInfo) conversation.Audience {
	if info.NeedsConsent || info.NeedsPanels || info.CustomerStarts {
		return conversation.AudienceCustomer
	}
	return conversation.AudienceAgent
}

// StartRequest asks to start a tool.
type StartRequest struct {
	Conversation conversation.ConversationID
	Agent        conversation.AgentID
	Account      conversation.AccountID // of the tool
	Arguments    json.RawMessage        // JSON for the tool; nil: none
	ClientID     string                 // at most 64 bytes; a retry under the same id is the same session; "" = none
}

// Answer is what a tool answered, after what it changed was committed.
type Answer struct {
	Session conversation.SessionID
	Panel   *plugin.Panel // the asking agent's; nil: unchanged
	Effects []plugin.Effect
	Seq     uint64 // sequence of the conversation's last event about it; 0: nothing changed
}

// Start starts a tool for an agent who takes part. When it returns, the session and the tool's answer are
// durable. Errors: ErrNoTool, ErrDenied, ErrUnavailable, ErrInvalid, *Fault, and those of conversation. If ctx ends
// first, the tool is started all the same.
func (w *Work) Start(ctx context.Context, r StartRequest) (Answer, error) {
	if len(r.ClientID) > 64 || !isJSON(r.Arguments) {
		return Answer{}, fmt.Errorf("start tool: %w", ErrInvalid)
	}
	who := conversation.Author{Kind: conversation.Agent, Agent: r.Agent}
	b := beginning{account: r.Account, by: who, arguments: r.Arguments, id: conversation.NewID[conversation.SessionID]()}
	b.begun = w.begins(b.id)
	st := w.request(&b)
	if r.ClientID != "" {
		st.Account, st.Keys = conversation.AccountID(r.Agent), []eventlog.Key{w.vault.MAC("client-tool", r.Agent[:], r.Conversation[:], []byte(r.ClientID))}
	}
	out, err := w.convs.Do(ctx, r.Conversation, st)
	if conversation.Code(err) != "" { // the rules may refuse a repeat: its session is there, or has ended
		if before, ok := w.before(ctx, st); ok {
			out, err = before, nil
		}
	}
	if err != nil || out.Duplicate {
		b.begun() // by whoever asked first, if at all
	}
	if err != nil {
		return Answer{}, err
	}
	if out.Duplicate {
		h, err := w.convs.Head(ctx, out.Conversation, out.First)
		if err != nil {
			return Answer{}, err
		}
		req, ok := h.(*conversation.SessionRequested)
		if !ok {
			return Answer{}, fmt.Errorf("start tool: client id is in use: %w", ErrInvalid)
		}
		return Answer{Session: req.Session, Seq: out.First}, nil
	}
	type result struct {
		a   Answer
		err error
	}
	ch := make(chan result, 1)
	if !w.runner.Go(func() { a, err := w.begin(r.Conversation, &b); ch <- result{a, err} }) {
		b.begun()
		return Answer{}, ErrUnavailable
	}
	select {
	case got := <-ch:
		got.a.Session, got.a.Seq = b.id, max(got.a.Seq, out.Last)
		return got.a, got.err
	case <-ctx.Done():
		return Answer{Session: b.id, Seq: out.Last}, fmt.Errorf("start tool: %w", ctx.Err())
	}
}

// before finds what an earlier step with the same keys did.
func (w *Work) before(ctx context.Context, st Step) (Outcome, bool) {
	for _, k := range st.Keys {
		if stream, seq, err := w.log.External(ctx, eventlog.StreamID(st.Account), k); err == nil {
			return Outcome{Conversation: conversation.ConversationID(stream), First: seq, Duplicate: true}, true
		}
	}
	return Outcome{}, false
}

// beginning is a session of a tool that is being started.
type beginning struct {
	account   conversation.AccountID
	by        conversation.Author
	arguments json.RawMessage
	id        conversation.SessionID
	start     plugin.ToolStart // filled in from the state
	plugin    string
	instance  string
	begun     func() // see begins
}

// request makes the step that records the request for a session, before the tool hears of it.
func (w *Work) request(b *beginning) Step {
	return Step{Decide: func(s *conversation.State) (Plan, error) {
		if b.by.Kind == conversation.Agent && !s.JoinedAgent(b.by.Agent) {
			return Plan{}, gone(s, b.by.Agent)
		}
		snap := w.dir.Snapshot()
		svc, _ := snap.Service(s.Service)
		of, ok := svc.Tool(b.account)
		acc, info, err := w.tool(snap, b.account)
		if err == nil {
			err = works(s, &info)
		}
		instance := w.newest(acc.Plugin)
		switch {
		case !ok || err != nil:
			return Plan{}, fmt.Errorf("start tool: %w", ErrNoTool)
		case b.by.Kind == conversation.Agent && !info.AgentStarts, b.by.Kind == conversation.Customer && !info.CustomerStarts:
			return Plan{}, fmt.Errorf("start tool: %w", ErrDenied)
		case inTheWay(s, b.account, &info):
			return Plan{}, fmt.Errorf("start tool: %w", conversation.ErrTooManySessions)
		case instance == "" || w.host() == nil:
			return Plan{}, fmt.Errorf("start tool: %w", ErrUnavailable)
		}
		b.plugin, b.instance = acc.Plugin, instance
		agent := conversation.Author{}
		switch all := agentsOf(s); {
		case b.by.Kind == conversation.Agent:
			agent = b.by
		case len(all) > 0:
			agent = all[0]
		}
		user, _ := snap.User(agent.Agent)
		b.start = plugin.ToolStart{
			Session: b.id, Account: b.account, Conversation: s.ID, Service: s.Service, By: plugin.Party{Who: b.by, Name: w.nameOf(b.by)},
			Agent: plugin.Party{Who: agent, Name: user.Name}, AgentEmail: user.Email, Customer: plugin.Party{Who: customer},
			Settings: of.Settings, Arguments: b.arguments, Panels: s.Capabilities.Panels,
		}
		return Plan{Commands: []conversation.Command{conversation.RequestSession{
			Session: b.id, Kind: conversation.SessionTool, Plugin: acc.Plugin, Account: b.account,
			// Pinned already now, so that the session is lost with this generation even if its answer never comes.
			Pin: conversation.Pin{Node: w.node, Instance: instance}, By: b.by, For: agent, Audience: circleOf(&info),
		}}}, nil
	}}
}

var customer = conversation.Author{Kind: conversation.Customer}

// gone is the refusal of somebody who takes no part.
func gone(s *conversation.State, agent conversation.AgentID) error {
	if s.Phase != conversation.PhaseOpen && s.Participant(agent) != nil {
		return conversation.ErrEnded
	}
	return conversation.ErrNotJoined
}

// begin has the tool start a session whose request is durable, and records its answer. When the answer is
// lost the tool is asked for it. It calls b.begun.
func (w *Work) begin(conv conversation.ConversationID, b *beginning) (Answer, error) {
	defer b.begun()
	running := w.runner.Running()
	_, err := w.convs.Do(running, conv, Step{Decide: func(s *conversation.State) (Plan, error) {
		if s.Session(b.id) == nil { // the session has ended, so the tool is not asked; a command tells it of the end
			return Plan{}, conversation.ErrNoSuchSession
		}
		return Plan{}, nil
	}})
	if err != nil {
		return Answer{}, fmt.Errorf("start tool: %w", err)
	}
	if body, err := w.convs.Customer(running, conv); err == nil {
		b.start.Customer.Name, b.start.Locale = body.Name, body.Locale
	}
	ctx, cancel := context.WithTimeout(running, callLimit)
	a, err := w.host().ToolStart(ctx, b.plugin, b.start)
	cancel()
	w.called("start", err, a.Fault)
	instance := b.instance
	if a.Session != nil && a.Session.Instance != "" {
		instance = a.Session.Instance
	}
	if err != nil && !errors.Is(err, plugin.ErrInstanceGone) {
		ts, found, getErr := w.get(b.plugin, instance, b.id)
		if getErr == nil && found {
			a, err = plugin.ToolAnswer{Session: &ts, Panel: ts.Panel}, nil
		}
	}
	switch {
	case err != nil && errors.Is(err, plugin.ErrInstanceGone):
		return Answer{}, w.giveUp(conv, b.id, conversation.CauseLost, "", false, fmt.Errorf("start tool: %w", ErrUnavailable))
	case err != nil:
		return Answer{}, w.giveUp(conv, b.id, conversation.CauseFailed, conversation.CodeNoAnswer, false, fmt.Errorf("start tool: %w", ErrUnavailable))
	case a.Fault != nil:
		return Answer{}, w.giveUp(conv, b.id, conversation.CauseFailed, cut(a.Fault.Code, maxCode), true, &Fault{*a.Fault})
	}
	return w.answered(conv, b.account, b.id, instance, a, true)
}

// giveUp ends a session that did not come to be, and returns why. reported: the tool has said that it did not
// begin the session, so it is not told of the end.
func (w *Work) giveUp(conv conversation.ConversationID, id conversation.SessionID, cause conversation.Cause, code string, reported bool, why error) error {
	_, err := w.convs.Do(w.runner.Running(), conv, Step{Decide: func(*conversation.State) (Plan, error) {
		return Plan{Reported: reported, Commands: []conversation.Command{conversation.EndSession{Session: id, By: system, Cause: cause, Code: code}}}, nil
	}})
	if err != nil && conversation.Code(err) == "" {
		return errors.Join(why, err)
	}
	return why
}

var system = conversation.Author{Kind: conversation.System}

// answered records what a tool answered.
func (w *Work) answered(conv conversation.ConversationID, account conversation.AccountID, id conversation.SessionID, instance string, a plugin.ToolAnswer, pin bool) (Answer, error) {
	out := Answer{Session: id, Panel: a.Panel, Effects: a.Effects}
	if a.Session == nil {
		return out, nil
	}
	ts := *a.Session
	ts.Session, ts.Instance = id, instance
	done, err := w.convs.Do(w.runner.Running(), conv, Step{Decide: func(s *conversation.State) (Plan, error) { return w.toolNews(s, account, ts, pin) }})
	if err != nil && conversation.Code(err) == "" {
		return out, err
	}
	out.Seq = done.Last // a session that has ended meanwhile takes no news any more
	return out, nil
}

// get asks a tool how a session is, more than once if it gives no answer.
func (w *Work) get(id, instance string, session conversation.SessionID) (ts plugin.ToolSession, found bool, err error) {
	for range askTimes {
		ctx, cancel := context.WithTimeout(w.runner.Running(), callLimit)
		ts, found, err = w.host().ToolGet(ctx, id, instance, session)
		cancel()
		w.called("get", err, nil)
		if err == nil || errors.Is(err, plugin.ErrInstanceGone) || !w.pause() {
			return ts, found, err
		}
	}
	return ts, found, err
}

// pause waits before a tool is asked again. False: the router is stopping.
func (w *Work) pause() bool {
	waited := make(chan struct{})
	w.runner.After(retryPause, func() { close(waited) })
	select {
	case <-waited:
		return true
	case <-w.runner.Running().Done():
		return false
	}
}

// isJSON reports whether b is nothing, or JSON that is not too large.
func isJSON(b json.RawMessage) bool { return len(b) == 0 || len(b) <= maxJSON && json.Valid(b) }
