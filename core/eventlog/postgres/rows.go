package postgres

import (
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Conversions between Go and column values. A zero id is NULL where it may be missing, a zero time
// is 0, and an empty slice is NULL.

func idValue(id [16]byte) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != [16]byte{}} }

func blob(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func keyOf(b []byte) (k eventlog.Key) {
	copy(k[:], b)
	return k
}

func timeValue(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

const conversationColumns = `c.id, c.seq, c.account, c.service, c.contact, c.key_id, c.phase, c.display, c.started_at, c.ended_at, c.due, c.state, c.agents`

// conversationOf reads a row of the conversationColumns.
func conversationOf(row pgx.Row) (r eventlog.ConversationRow, err error) {
	var service, contact pgtype.UUID
	var started, ended, due int64
	var agents []byte
	err = row.Scan((*[16]byte)(&r.ID), &r.Seq, (*[16]byte)(&r.Account), &service, &contact, &r.KeyID, &r.Phase, &r.Display,
		&started, &ended, &due, &r.State, &agents)
	r.Service, r.Contact = service.Bytes, contact.Bytes
	r.StartedAt, r.EndedAt, r.Due, r.Agents = timeOf(started), timeOf(ended), timeOf(due), agentsOf(agents)
	return r, err
}

// conversationSet holds the columns of several rows, one slice per column.
type conversationSet struct {
	ids, accounts            [][16]byte
	services, contacts       []pgtype.UUID
	seqs, keys, starts, ends []int64
	dues                     []int64
	phases, displays         []string
	states, agents           [][]byte
}

func (s *conversationSet) add(r *eventlog.ConversationRow) {
	s.ids, s.accounts = append(s.ids, r.ID), append(s.accounts, r.Account)
	s.services, s.contacts = append(s.services, idValue(r.Service)), append(s.contacts, idValue(r.Contact))
	s.seqs, s.keys = append(s.seqs, int64(r.Seq)), append(s.keys, r.KeyID)
	s.starts, s.ends = append(s.starts, timeValue(r.StartedAt)), append(s.ends, timeValue(r.EndedAt))
	s.dues = append(s.dues, timeValue(r.Due))
	s.phases, s.displays = append(s.phases, r.Phase), append(s.displays, r.Display)
	s.states, s.agents = append(s.states, blob(r.State)), append(s.agents, agentsValue(r.Agents))
}

func (s *conversationSet) args() []any {
	return []any{s.ids, s.seqs, s.accounts, s.services, s.contacts, s.keys, s.phases, s.displays, s.starts, s.ends, s.dues, s.states, s.agents}
}

const conversationArgs = `unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[], $7::text[], $8::text[],
  $9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[], $13::bytea[])
  c (id, seq, account, service, contact, key_id, phase, display, started_at, ended_at, due, state, agents)`

func (p *plan) writeConversations(q *pgx.Batch) {
	var added, changed conversationSet
	var agents, conversations [][16]byte
	var starts []int64
	var active []bool
	for id, c := range p.convs {
		if c.row == nil {
			continue
		}
		var listed []eventlog.ConversationAgent
		if c.stored == nil {
			added.add(c.row)
		} else {
			changed.add(c.row)
			listed = c.stored.Agents
		}
		for _, a := range c.row.Agents {
			if !slices.Contains(listed, a) {
				agents, conversations = append(agents, a.Agent), append(conversations, id)
				starts, active = append(starts, timeValue(c.row.StartedAt)), append(active, a.Active)
			}
		}
	}
	if n := len(added.ids); n > 0 {
		q.Queue(`INSERT INTO conversations (id, seq, account, service, contact, key_id, phase, display, started_at, ended_at, due, state, agents)
SELECT * FROM `+conversationArgs+` ORDER BY id ON CONFLICT (id) DO NOTHING`, added.args()...).Exec(p.expect(n))
	}
	if n := len(changed.ids); n > 0 { // the rows were locked when they were read
		q.Queue(`UPDATE conversations o SET seq = c.seq, account = c.account, service = c.service, contact = c.contact, key_id = c.key_id,
  phase = c.phase, display = c.display, started_at = c.started_at, ended_at = c.ended_at, due = c.due, state = c.state, agents = c.agents
FROM `+conversationArgs+` WHERE o.id = c.id`, changed.args()...).Exec(p.expect(n))
	}
	if len(agents) > 0 {
		q.Queue(`INSERT INTO conversation_agents (agent, started_at, conversation, active)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::boolean[]) a (agent, started_at, conversation, active) ORDER BY 1, 2, 3
ON CONFLICT (agent, started_at, conversation) DO UPDATE SET active = excluded.active`, agents, starts, conversations, active)
	}
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
		agents = append(agents, eventlog.ConversationAgent{Agent: eventlog.StreamID(b[:16]), Active: b[16] == 1})
	}
	return agents
}

const outboxColumns = `command_id, account, conversation, seq, kind, route, state, attempt, not_before, deadline, payload, key_id, node, epoch`

// outboxOf reads a row of the outboxColumns.
func outboxOf(row pgx.Row) (r eventlog.OutboxRow, err error) {
	var conversation pgtype.UUID
	var notBefore, deadline int64
	var state string
	err = row.Scan(&r.CommandID, (*[16]byte)(&r.Account), &conversation, &r.Seq, &r.Kind, &r.Route, &state, &r.Attempt,
		&notBefore, &deadline, &r.Payload, &r.KeyID, &r.Node, &r.Epoch)
	r.Index, r.State, r.Conversation = -1, eventlog.OutboxState(state), conversation.Bytes
	r.NotBefore, r.Deadline = timeOf(notBefore), timeOf(deadline)
	return r, err
}

func (p *plan) writeOutbox(q *pgx.Batch) {
	if len(p.queued) > 0 {
		p.addOutbox(q)
	}
	var ids [][16]byte
	var states, nodes []string
	var attempts, notBefore, deadlines, epochs []int64
	for id, c := range p.commands {
		if !c.seen || !c.changed {
			continue
		}
		r := &c.row
		ids, states, nodes = append(ids, id), append(states, string(r.State)), append(nodes, r.Node)
		attempts, notBefore, epochs = append(attempts, int64(r.Attempt)), append(notBefore, timeValue(r.NotBefore)), append(epochs, r.Epoch)
		deadlines = append(deadlines, timeValue(r.Deadline))
	}
	if len(ids) > 0 { // the rows were locked when they were read
		q.Queue(`UPDATE outbox o SET state = u.state, node = u.node, attempt = u.attempt, not_before = u.not_before, epoch = u.epoch, deadline = u.deadline,
  payload = CASE u.state WHEN 'settled' THEN NULL ELSE o.payload END, key_id = CASE u.state WHEN 'settled' THEN 0 ELSE o.key_id END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[]) u (id, state, node, attempt, not_before, epoch, deadline)
WHERE o.command_id = u.id`, ids, states, nodes, attempts, notBefore, epochs, deadlines).Exec(p.expect(len(ids)))
	}
}

// addOutbox inserts the new rows in the order in which the appends came.
func (p *plan) addOutbox(q *pgx.Batch) {
	var ids, accounts [][16]byte
	var conversations []pgtype.UUID
	var kinds, routes, states, nodes []string
	var seqs, attempts, notBefore, deadlines, keys, epochs []int64
	var payloads [][]byte
	for _, c := range p.queued {
		r := &c.row
		ids, accounts, conversations = append(ids, r.CommandID), append(accounts, r.Account), append(conversations, idValue(r.Conversation))
		kinds, routes, states, nodes = append(kinds, r.Kind), append(routes, r.Route), append(states, string(r.State)), append(nodes, r.Node)
		seqs, attempts, epochs = append(seqs, int64(r.Seq)), append(attempts, int64(r.Attempt)), append(epochs, r.Epoch)
		notBefore, deadlines = append(notBefore, timeValue(r.NotBefore)), append(deadlines, timeValue(r.Deadline))
		payloads, keys = append(payloads, blob(r.Payload)), append(keys, r.KeyID)
	}
	q.Queue(`INSERT INTO outbox (`+outboxColumns+`)
SELECT `+outboxColumns+` FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[],
  $9::bigint[], $10::bigint[], $11::bytea[], $12::bigint[], $13::text[], $14::bigint[])
  WITH ORDINALITY o (`+outboxColumns+`, place) ORDER BY place
ON CONFLICT (command_id) DO NOTHING`, ids, accounts, conversations, seqs, kinds, routes, states, attempts,
		notBefore, deadlines, payloads, keys, nodes, epochs).Exec(p.expect(len(ids)))
}
