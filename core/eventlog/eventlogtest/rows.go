package eventlogtest

import (
	"errors"
	"testing"

	"github.com/parley-gateway/parley/core/eventlog"
)

// row is a conversation row with number n; change adapts it.
func row(n int, change ...func(*eventlog.ConversationRow)) eventlog.ConversationRow {
	r := eventlog.ConversationRow{
		ID: ID(n), Seq: 1, Account: ID(500), KeyID: 3,
		Phase: eventlog.PhaseOpen, Display: "queued", StartedAt: at(n), State: []byte(`{"n":1}`),
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func putRows(t *testing.T, l eventlog.Log, rows ...eventlog.ConversationRow) {
	t.Helper()
	mustAppend(t, l, &eventlog.Batch{Conversations: rows})
}

func conversationRows(t *testing.T, l eventlog.Log) {
	_, err := l.Conversation(t.Context(), ID(1))
	wantErr(t, "unknown conversation", err, eventlog.ErrNotFound)
	check := func(want eventlog.ConversationRow) {
		t.Helper()
		got, err := l.Conversation(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "row", got, want)
	}
	r := row(1)
	putRows(t, l, r)
	check(r)

	r.Seq, r.Display, r.State, r.Contact, r.Service = 4, "active", []byte(`{"n":2}`), ID(601), ID(701)
	r.Agents = []eventlog.ConversationAgent{{Agent: ID(801), Active: true}, {Agent: ID(802), Active: true}}
	putRows(t, l, r)
	check(r)

	// Agent 802 leaves and is no longer named in the row, but must stay listed.
	r.Seq, r.Phase, r.Account, r.KeyID, r.EndedAt = 9, eventlog.PhaseEnded, ID(501), 12, at(100)
	r.Agents = []eventlog.ConversationAgent{{Agent: ID(803), Active: true}, {Agent: ID(801)}}
	putRows(t, l, r)
	r.Agents = []eventlog.ConversationAgent{{Agent: ID(801)}, {Agent: ID(802)}, {Agent: ID(803), Active: true}}
	check(r)

	r.Contact, r.Service, r.State = eventlog.StreamID{}, eventlog.StreamID{}, nil
	putRows(t, l, r)
	check(r)

	first := r.StartedAt
	r.StartedAt = at(50) // the start of a conversation must not change
	putRows(t, l, r)
	r.StartedAt = first
	check(r)

	twice, last := row(2), row(2, func(r *eventlog.ConversationRow) { r.Seq, r.Phase = 2, eventlog.PhaseEnded })
	putRows(t, l, twice, last)
	check(last)
}

func conversationQueries(t *testing.T, l eventlog.Log) {
	agent := func(a int, active bool) func(*eventlog.ConversationRow) {
		return func(r *eventlog.ConversationRow) {
			r.Agents = append(r.Agents, eventlog.ConversationAgent{Agent: ID(a), Active: active})
		}
	}
	phase := func(p string) func(*eventlog.ConversationRow) {
		return func(r *eventlog.ConversationRow) { r.Phase = p }
	}
	putRows(t, l,
		row(1, phase(eventlog.PhaseConcluded), agent(800, false)),
		row(2, phase(eventlog.PhaseEnded), agent(800, true), agent(801, false)),
		row(3, agent(800, true)),
		row(4, func(r *eventlog.ConversationRow) { r.Account = ID(501) }),
		row(5, func(r *eventlog.ConversationRow) { r.Service = ID(700) }),
		row(6, func(r *eventlog.ConversationRow) { r.Contact, r.StartedAt = ID(600), at(5) }), // started at the same time as conversation 5
	)
	mustAppend(t, l, &eventlog.Batch{Conversations: []eventlog.ConversationRow{row(7)}})
	putRows(t, l, row(7, phase(eventlog.PhaseEnded), agent(801, true))) // changes its phase and gets an agent
	open, ended, concluded := eventlog.PhaseOpen, eventlog.PhaseEnded, eventlog.PhaseConcluded
	for name, c := range map[string]struct {
		q    eventlog.ConversationQuery
		want []int
	}{
		"all":                    {eventlog.ConversationQuery{}, []int{7, 6, 5, 4, 3, 2, 1}},
		"newest two":             {eventlog.ConversationQuery{Limit: 2}, []int{7, 6}},
		"next two":               {eventlog.ConversationQuery{Limit: 2, Before: ID(6)}, []int{5, 4}},
		"rest":                   {eventlog.ConversationQuery{Before: ID(4)}, []int{3, 2, 1}},
		"before the last":        {eventlog.ConversationQuery{Before: ID(1), Limit: 3}, nil},
		"before unknown":         {eventlog.ConversationQuery{Before: ID(99), Limit: 2}, []int{7, 6}},
		"live":                   {eventlog.ConversationQuery{Phases: []string{open, ended}}, []int{7, 6, 5, 4, 3, 2}},
		"live page":              {eventlog.ConversationQuery{Phases: []string{open, ended}, Limit: 2, Before: ID(4)}, []int{3, 2}},
		"concluded":              {eventlog.ConversationQuery{Phases: []string{concluded}}, []int{1}},
		"agent":                  {eventlog.ConversationQuery{Agent: ID(800)}, []int{3, 2, 1}},
		"agent page":             {eventlog.ConversationQuery{Agent: ID(800), Limit: 1, Before: ID(3)}, []int{2}},
		"agent active":           {eventlog.ConversationQuery{Agent: ID(800), Active: true}, []int{3, 2}},
		"agent in phase":         {eventlog.ConversationQuery{Agent: ID(801), Phases: []string{ended}}, []int{7, 2}},
		"active without agent":   {eventlog.ConversationQuery{Active: true, Limit: 1}, []int{7}},
		"unknown agent":          {eventlog.ConversationQuery{Agent: ID(899)}, nil},
		"account":                {eventlog.ConversationQuery{Account: ID(501)}, []int{4}},
		"service":                {eventlog.ConversationQuery{Service: ID(700), Limit: 5}, []int{5}},
		"contact":                {eventlog.ConversationQuery{Contact: ID(600), Limit: 5}, []int{6}},
		"account and phase page": {eventlog.ConversationQuery{Account: ID(500), Phases: []string{open}, Limit: 2}, []int{6, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := l.Conversations(t.Context(), c.q)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []eventlog.StreamID
			for _, r := range rows {
				got = append(got, r.ID)
			}
			for _, n := range c.want {
				want = append(want, ID(n))
			}
			diff(t, "rows", got, want)
		})
	}
}

func agentRows(t *testing.T, l eventlog.Log) {
	a, b := eventlog.AgentRow{ID: ID(1), Seq: 1, State: []byte("x")}, eventlog.AgentRow{ID: ID(2), Seq: 5}
	mustAppend(t, l, &eventlog.Batch{Agents: []eventlog.AgentRow{b, a}})
	a.Seq, a.State = 2, []byte("y")
	mustAppend(t, l, &eventlog.Batch{Agents: []eventlog.AgentRow{a}})
	got, err := l.Agents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byID := map[eventlog.StreamID]eventlog.AgentRow{}
	for _, r := range got {
		byID[r.ID] = r
	}
	diff(t, "agents", byID, map[eventlog.StreamID]eventlog.AgentRow{a.ID: a, b.ID: b})
	for _, want := range []eventlog.AgentRow{a, b} {
		one, err := l.Agent(t.Context(), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, "agent", one, want)
	}
	if _, err := l.Agent(t.Context(), ID(3)); !errors.Is(err, eventlog.ErrNotFound) {
		t.Errorf("an agent without a row: got %v, want ErrNotFound", err)
	}
}
