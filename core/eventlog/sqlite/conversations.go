package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/parley-gateway/parley/core/eventlog"
)

const conversationColumns = `c.id, c.seq, c.account, c.service, c.contact, c.key_id, c.phase, c.display, c.started_at, c.ended_at, c.state, c.agents, c.sum`

// Conversations implements eventlog.Log.
func (l *Log) Conversations(ctx context.Context, q eventlog.ConversationQuery) ([]eventlog.ConversationRow, error) {
	started, err := l.startOf(ctx, q.Before)
	if err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	text, args := conversationQuery(q, started)
	s, err := l.reader.PrepareContext(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("list conversations: %w", l.readFailure(err))
	}
	defer func() { _ = s.Close() }()
	var out []eventlog.ConversationRow
	err = l.query(ctx, s, each(conversationOf, func(r eventlog.ConversationRow) { out = append(out, r) }), args...)
	if err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	if q.Limit <= 0 {
		slices.SortFunc(out, func(a, b eventlog.ConversationRow) int {
			return cmp.Or(b.StartedAt.Compare(a.StartedAt), bytes.Compare(b.ID[:], a.ID[:]))
		})
	}
	return out, nil
}

// startOf is when a conversation began, or the far future if there is no such row: the page before
// it is then the first page.
func (l *Log) startOf(ctx context.Context, id eventlog.StreamID) (started int64, err error) {
	if id == (eventlog.StreamID{}) {
		return math.MaxInt64, nil
	}
	r, err := l.Conversation(ctx, id)
	if errors.Is(err, eventlog.ErrNotFound) {
		return math.MaxInt64, nil
	}
	return timeValue(r.StartedAt), err
}

// conversationQuery writes the SELECT for q. The order comes from an index
// when there is a limit; all rows at once are sorted in memory afterwards,
// since SQLite would carry their states through its sorter.
func conversationQuery(q eventlog.ConversationQuery, before int64) (text string, args []any) {
	var none eventlog.StreamID
	from, where := "conversations c", []string{}
	and := func(cond string, a ...any) {
		where = append(where, cond)
		args = append(args, a...)
	}
	order := "c.started_at DESC, c.id DESC"
	if q.Agent != none {
		from = "conversation_agents a CROSS JOIN conversations c ON c.id = a.conversation"
		order = "a.started_at DESC, a.conversation DESC"
		and("a.agent = ?", q.Agent[:])
		if q.Active {
			and("a.active = 1")
		}
	}
	if len(q.Phases) > 0 {
		marks := strings.TrimSuffix(strings.Repeat("?, ", len(q.Phases)), ", ")
		and("c.phase IN (" + marks + ")")
		for _, p := range q.Phases {
			args = append(args, p)
		}
	}
	for _, f := range []struct {
		column string
		id     eventlog.StreamID
	}{{"account", q.Account}, {"service", q.Service}, {"contact", q.Contact}} {
		if f.id != none {
			and("c."+f.column+" = ?", f.id[:])
		}
	}
	if before != math.MaxInt64 {
		and("(c.started_at, c.id) < (?, ?)", before, q.Before[:])
	}
	text = "SELECT " + conversationColumns + " FROM " + from
	if len(where) > 0 {
		text += " WHERE " + strings.Join(where, " AND ")
	}
	if q.Limit > 0 {
		text += " ORDER BY " + order + " LIMIT ?"
		args = append(args, int64(q.Limit))
	}
	return text, args
}

// conversationOf reads the conversationColumns and checks the row's checksum.
func conversationOf(c columns) (eventlog.ConversationRow, error) {
	r := eventlog.ConversationRow{
		ID:        c.id(0),
		Seq:       uint64(c.number(1)),
		Account:   c.id(2),
		Service:   c.id(3),
		Contact:   c.id(4),
		KeyID:     c.number(5),
		Phase:     c.text(6),
		Display:   c.text(7),
		StartedAt: timeOf(c.number(8)),
		EndedAt:   timeOf(c.number(9)),
		State:     c.bytes(10),
		Agents:    agentsOf(c.bytes(11)),
	}
	if conversationSum(&r, c.number(8), c.number(9), c.bytes(11)) != c.number(12) {
		return r, fmt.Errorf("%w: checksum of conversation %x", eventlog.ErrCorrupt, r.ID)
	}
	return r, nil
}
