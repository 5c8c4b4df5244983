package router

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// recover takes up what the log says is going on: agents, open conversations'
// timers and waiting requests, pending commands. States come from rows; what
// messages did since is folded when a conversation is first used.
func (r *Router) recover(ctx context.Context) (open int, err error) {
	agents, err := r.log.Agents(ctx)
	if err != nil {
		return 0, fmt.Errorf("read agents: %w", err)
	}
	var connected []*agent
	for _, row := range agents {
		s := &acd.AgentState{}
		if err := json.Unmarshal(row.State, s); err != nil {
			return 0, fmt.Errorf("decode agent: %w", err)
		}
		a := newAgent(conversation.AgentID(row.ID), s)
		r.agentsMu.Lock()
		r.agents[a.id] = a
		r.agentsMu.Unlock()
		r.routing.agent(s)
		if s.LoggedIn && !s.Disconnected {
			connected = append(connected, a)
		}
		if at, ok := s.NextDeadline(); ok {
			r.timers.set(timerID{timerAgent, a.id}, at)
		}
		r.watchLost(s)
	}
	rows, err := r.log.Conversations(ctx, eventlog.ConversationQuery{Phases: []string{eventlog.PhaseOpen, eventlog.PhaseEnded}})
	if err != nil {
		return 0, fmt.Errorf("read conversations: %w", err)
	}
	for i := range rows {
		s, err := decodeState(rows[i].State)
		if err != nil {
			return 0, fmt.Errorf("conversation %x: %w", rows[i].ID, err)
		}
		if at, ok := s.NextDeadline(); ok {
			r.timers.set(timerID{timerConversation, s.ID}, at)
		}
		r.routing.sync(s)
		r.recents.sync(s)
		r.dropOrphans(s)
		if s.Phase == conversation.PhaseOpen {
			open++
		}
	}
	pending, err := r.log.Outbox(ctx, eventlog.StreamID{}, false, 0)
	if err != nil {
		return 0, fmt.Errorf("read outbox: %w", err)
	}
	for _, row := range pending {
		r.outbox.add(&entry{row: row}) // begun ones wait for their plugin's word: see PluginReady
	}
	// The sockets of agents died with the process that had them: their grace
	// begins now (A20). One append for all.
	if len(connected) > 0 {
		r.spawn(func() { r.disconnectAll(connected) })
	}
	return open, nil
}

func (r *Router) disconnectAll(agents []*agent) {
	for _, a := range agents {
		r.disconnect(a)
	}
}
