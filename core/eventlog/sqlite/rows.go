package sqlite

import (
	"database/sql/driver"

	"github.com/parley-gateway/parley/core/eventlog"
)

// blob makes an empty slice NULL: the driver reads both back as nil.
func blob(b []byte) driver.Value {
	if len(b) == 0 {
		return nil
	}
	return b
}

// putConversation writes a conversation's row. In an existing row it updates only the columns that
// changed: SQLite touches only the indexes whose columns a statement names.
func (w *writer) putConversation(r *eventlog.ConversationRow) error {
	old, err := w.sql.conversation.row(r.ID[:])
	if err != nil {
		return err
	}
	if old == nil {
		return w.addConversation(r)
	}
	stored, err := conversationOf(old)
	if err != nil {
		return err
	}
	row := *r
	row.StartedAt = stored.StartedAt // never changed once it is set: agents' lists are ordered by it
	row.Agents = eventlog.MergeAgents(stored.Agents, r.Agents)
	if err := w.setConversation(&row, &stored); err != nil {
		return err
	}
	for i, a := range row.Agents {
		if i < len(stored.Agents) && stored.Agents[i] == a {
			continue
		}
		if err := w.listUnderAgent(&row, a); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) addConversation(r *eventlog.ConversationRow) error {
	row := *r
	row.Agents = eventlog.MergeAgents(nil, r.Agents)
	started, ended, agents := timeValue(r.StartedAt), timeValue(r.EndedAt), agentsValue(row.Agents)
	_, err := w.sql.addConversation.exec(r.ID[:], int64(r.Seq), r.Account[:], idValue(r.Service), idValue(r.Contact),
		r.KeyID, r.Phase, r.Display, started, ended, blob(r.State), blob(agents), conversationSum(&row, started, ended, agents))
	for _, a := range row.Agents {
		if err == nil {
			err = w.listUnderAgent(&row, a)
		}
	}
	return err
}

func (w *writer) setConversation(r, stored *eventlog.ConversationRow) error {
	started, ended, agents := timeValue(r.StartedAt), timeValue(r.EndedAt), agentsValue(r.Agents)
	_, err := w.sql.setConversation.exec(int64(r.Seq), r.KeyID, r.Display, ended, blob(r.State), blob(agents),
		conversationSum(r, started, ended, agents), r.ID[:])
	if err != nil || (r.Account == stored.Account && r.Service == stored.Service && r.Contact == stored.Contact && r.Phase == stored.Phase) {
		return err
	}
	_, err = w.sql.moveConversation.exec(r.Account[:], idValue(r.Service), idValue(r.Contact), r.Phase, r.ID[:])
	return err
}

func (w *writer) listUnderAgent(r *eventlog.ConversationRow, a eventlog.ConversationAgent) error {
	active := int64(0)
	if a.Active {
		active = 1
	}
	_, err := w.sql.addAgentOf.exec(a.Agent[:], timeValue(r.StartedAt), r.ID[:], active)
	return err
}

const agentSize = 17

func agentsValue(agents []eventlog.ConversationAgent) []byte {
	if len(agents) == 0 {
		return nil
	}
	b := make([]byte, 0, len(agents)*agentSize)
	for _, a := range agents {
		active := byte(0)
		if a.Active {
			active = 1
		}
		b = append(append(b, a.Agent[:]...), active)
	}
	return b
}

func agentsOf(b []byte) []eventlog.ConversationAgent {
	var agents []eventlog.ConversationAgent
	for ; len(b) >= agentSize; b = b[agentSize:] {
		agents = append(agents, eventlog.ConversationAgent{Agent: idOf(b[:16]), Active: b[16] == 1})
	}
	return agents
}
