package sessionwork

import (
	"context"
	"fmt"

	"golang.org/x/time/rate"

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

// reach finds out how to ask for something at a session of a tool. The sessions of other nodes are out of reach
// (docs/decisions/0031).
func (w *Work) reach(x *conversation.Session, who plugin.Party) (viewer, error) {
	switch {
	case x == nil || x.Kind != conversation.SessionTool:
		return viewer{}, conversation.ErrNoSuchSession
	case x.Pin.Node != w.node:
		return viewer{}, fmt.Errorf("another node has the session: %w", ErrUnavailable)
	}
	return viewer{party: who, plugin: x.Plugin, account: x.Account, instance: x.Pin.Instance}, nil
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
		v, err = w.reach(s.Session(id), plugin.Party{Who: who, Name: w.nameOf(who)})
		return Plan{}, err
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

// Act brings an agent's act to a tool. Errors: as Start, ErrRate, and conversation.ErrNoSuchSession.
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

// act brings an act to a tool, unless there were too many of late.
func (w *Work) act(ctx context.Context, conv conversation.ConversationID, v viewer, act plugin.ToolAct) (Answer, error) {
	if !w.mayAct(v, act.Session) {
		w.metrics.limited.WithLabelValues(string(v.party.Who.Kind)).Inc()
		return Answer{}, fmt.Errorf("act: %w", ErrRate)
	}
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
		return finish(s, id, who)
	}})
	return out.Last, err
}

// finish plans the end of a tool's session. A command in the same append tells the tool (ToolEndOf).
func finish(s *conversation.State, id conversation.SessionID, who conversation.Author) (Plan, error) {
	x := s.Session(id)
	if x == nil || x.Kind != conversation.SessionTool {
		return Plan{}, conversation.ErrNoSuchSession
	}
	return Plan{Commands: []conversation.Command{conversation.EndSession{Session: id, By: who, Cause: conversation.CauseFinished}}}, nil
}

// How many acts of one session a tool gets: of its customer, and of all agents together, so that neither side's
// clicks hold up the other's.
const (
	actsPerSecond = 5
	actBurst      = 20
)

// actRates limit the acts of a session. The zero value is ready to use.
type actRates struct{ customer, agents *rate.Limiter }

// mayAct counts an act of a session that this node has in memory.
func (w *Work) mayAct(v viewer, id conversation.SessionID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.sessions[sessionKey{v.account, id}]
	if h == nil {
		return true // it has ended since the conversation was asked, and the tool says so
	}
	l := &h.acts.agents
	if v.party.Who.Kind == conversation.Customer {
		l = &h.acts.customer
	}
	if *l == nil {
		*l = rate.NewLimiter(actsPerSecond, actBurst)
	}
	return (*l).Allow()
}
