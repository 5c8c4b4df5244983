package sessionwork

import (
	"context"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// viewer is what is needed to ask a tool something on somebody's behalf.
type viewer struct {
	party    plugin.Party
	plugin   string
	account  conversation.AccountID
	instance string
}

// look finds a tool's session for an agent who takes part, or for a supervisor who takes part. Only if
// acts is unset may the supervisor be one whom agents do not see.
func (w *Work) look(ctx context.Context, conv conversation.ConversationID, agent conversation.AgentID, id conversation.SessionID, acts bool) (v viewer, err error) {
	_, err = w.convs.Do(ctx, conv, Step{Decide: func(s *conversation.State) (Plan, error) {
		who := conversation.Author{Kind: conversation.Agent, Agent: agent}
		if !s.JoinedAgent(agent) {
			mode := s.ModeOf(agent)
			if mode == "" || acts && mode == conversation.ModeMonitor {
				return Plan{}, gone(s, agent)
			}
			who.Kind = conversation.Supervisor
		}
		x := s.Session(id)
		if x == nil || x.Kind != conversation.SessionTool {
			return Plan{}, conversation.ErrNoSuchSession
		}
		if x.Pin.Node != w.node {
			return Plan{}, fmt.Errorf("another node has the session: %w", ErrUnavailable)
		}
		v = viewer{party: plugin.Party{Who: who, Name: w.nameOf(who)}, plugin: x.Plugin, account: x.Account, instance: x.Pin.Instance}
		return Plan{}, nil
	}})
	if err == nil && w.host() == nil {
		err = ErrUnavailable
	}
	return v, err
}

// ActRequest asks to use a tool's panel.
type ActRequest struct {
	Conversation conversation.ConversationID
	Agent        conversation.AgentID
	Session      conversation.SessionID
	Act          [16]byte // the same again is the same act; zero: a new one
	Action       string
	Values       []byte // JSON object; nil: none
	Revision     uint64 // of the panel that the agent saw
}

// Act brings an agent's act to a tool. Errors: as Start, and conversation.ErrNoSuchSession.
func (w *Work) Act(ctx context.Context, r ActRequest) (Answer, error) {
	if r.Action == "" || len(r.Action) > 128 || !isJSON(r.Values) {
		return Answer{}, fmt.Errorf("act: %w", ErrInvalid)
	}
	v, err := w.look(ctx, r.Conversation, r.Agent, r.Session, true)
	if err != nil {
		return Answer{}, err
	}
	if r.Act == ([16]byte{}) {
		r.Act = conversation.NewID[conversation.MessageID]()
	}
	return w.act(ctx, r.Conversation, v, plugin.ToolAct{
		Session: r.Session, Viewer: v.party, Act: r.Act, Action: r.Action, Values: r.Values, Revision: r.Revision,
	})
}

func (w *Work) act(ctx context.Context, conv conversation.ConversationID, v viewer, act plugin.ToolAct) (Answer, error) {
	call, cancel := context.WithTimeout(ctx, callLimit)
	a, err := w.host().ToolAct(call, v.plugin, v.instance, act)
	cancel()
	w.called("act", err, a.Fault)
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("act: %w: %w", ErrUnavailable, err)
	case a.Fault != nil:
		return Answer{}, &Fault{*a.Fault}
	}
	return w.answered(conv, v.account, act.Session, v.instance, a, false)
}

// Panel returns the panel of a tool's session as an agent or supervisor sees it; nil: there is none.
func (w *Work) Panel(ctx context.Context, conv conversation.ConversationID, agent conversation.AgentID, id conversation.SessionID) (*plugin.Panel, error) {
	v, err := w.look(ctx, conv, agent, id, false)
	if err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	p, err := w.host().ToolPanel(call, v.plugin, v.instance, id, v.party)
	w.called("panel", err, nil)
	if err != nil {
		return nil, fmt.Errorf("panel: %w: %w", ErrUnavailable, err)
	}
	return p, nil
}

// End ends a tool's session for an agent or supervisor who takes part. The end is durable when End returns; the
// tool hears of it afterwards.
func (w *Work) End(ctx context.Context, conv conversation.ConversationID, agent conversation.AgentID, id conversation.SessionID) (uint64, error) {
	out, err := w.convs.Do(ctx, conv, Step{Decide: func(s *conversation.State) (Plan, error) {
		who := conversation.Author{Kind: conversation.Agent, Agent: agent}
		if !s.JoinedAgent(agent) {
			if m := s.ModeOf(agent); m != conversation.ModeCoach && m != conversation.ModeBarge {
				return Plan{}, gone(s, agent)
			}
			who.Kind = conversation.Supervisor
		}
		if x := s.Session(id); x == nil || x.Kind != conversation.SessionTool {
			return Plan{}, conversation.ErrNoSuchSession
		}
		return Plan{Commands: []conversation.Command{conversation.EndSession{Session: id, By: who, Cause: conversation.CauseFinished}}}, nil
	}})
	return out.Last, err
}
