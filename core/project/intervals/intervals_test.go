package intervals_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/project"
	"github.com/parley-gateway/parley/core/project/intervals"
	"github.com/parley-gateway/parley/internal/enginetest"
)

// engines runs every test on SQLite, then on PostgreSQL.
var engines enginetest.Engines

func TestMain(m *testing.M) { os.Exit(engines.Run(m)) }

var (
	noon    = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	sales   = conversation.ServiceID{1}
	support = conversation.ServiceID{2}
)

// script makes records in the order of positions.
type script struct {
	t    *testing.T
	recs []eventlog.Record
	seqs map[conversation.ConversationID]uint64
}

func (s *script) add(conv conversation.ConversationID, at time.Duration, h conversation.Head) {
	s.t.Helper()
	head, err := conversation.Encode(conversation.Event{Head: h})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.seqs == nil {
		s.seqs = map[conversation.ConversationID]uint64{}
	}
	s.seqs[conv]++
	s.recs = append(s.recs, eventlog.Record{
		Pos: int64(len(s.recs)) + 1, Stream: eventlog.StreamID(conv), Seq: s.seqs[conv],
		Event: eventlog.Event{Type: string(h.Type()), At: noon.Add(at), Head: head},
	})
}

func (s *script) message(conv conversation.ConversationID, at time.Duration, by conversation.AuthorKind) {
	s.t.Helper()
	s.add(conv, at, &conversation.MessagePosted{ID: conversation.NewID[conversation.MessageID](), Author: conversation.Author{Kind: by}, Kinds: []conversation.PartKind{"text"}})
}

// made opens a new database with the projection's empty tables.
func made(t *testing.T) *database.DB {
	t.Helper()
	db := engines.Open(t, engines.DSN(t))
	write(t, db, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, intervals.Projection().Schema[engines.Dialect()])
		return err
	})
	return db
}

func write(t *testing.T, db *database.DB, do func(context.Context, *sql.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), func(tx *sql.Tx) error { return do(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// apply applies the records, some at a time.
func (s *script) apply(db *database.DB, atOnce func() int) {
	s.t.Helper()
	for rest := s.recs; len(rest) > 0; {
		n := min(atOnce(), len(rest))
		write(s.t, db, func(ctx context.Context, tx *sql.Tx) error { return intervals.Projection().Apply(ctx, tx, rest[:n]) })
		rest = rest[n:]
	}
}

func one() int { return 1 }

func between(t *testing.T, db *database.DB) []intervals.Interval {
	t.Helper()
	all, err := intervals.Between(t.Context(), db, noon.Add(-time.Hour), noon.Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestCounts(t *testing.T) {
	s := &script{t: t}
	c1, c2, c3 := conversation.ConversationID{1}, conversation.ConversationID{2}, conversation.ConversationID{3}
	begin := func(c conversation.ConversationID, at time.Duration, service conversation.ServiceID, kind conversation.Kind) conversation.RequestID {
		s.add(c, at, &conversation.Started{ID: c, Kind: kind, Channel: "webchat"})
		r := conversation.NewID[conversation.RequestID]()
		if !service.IsZero() {
			s.add(c, at, &conversation.Assigned{Service: service})
			s.add(c, at, &conversation.RoutingRequested{Request: r, Target: conversation.Target{Kind: conversation.TargetService, Service: service}, WaitingSince: noon.Add(at)})
		}
		return r
	}
	ana := conversation.AgentID{9}
	r1 := begin(c1, 0, sales, conversation.Inbound)
	s.message(c1, 0, conversation.Customer)
	s.message(c1, time.Second, conversation.System)
	begin(c2, 10*time.Minute, sales, conversation.Inbound)
	s.add(c2, 16*time.Minute, &conversation.Ended{Cause: conversation.CauseAbandoned}) // in the next interval, still waiting
	s.add(c1, 14*time.Minute, &conversation.JoinedBy{Agent: ana, Request: r1})
	s.message(c1, 15*time.Minute, conversation.Agent)
	s.message(c1, 16*time.Minute, conversation.Agent)
	s.message(c1, 16*time.Minute, conversation.Bot)
	// A transfer to another service's queue, taken there: the wait counts there, messages stay with the conversation's service.
	r2, r3 := conversation.NewID[conversation.RequestID](), conversation.NewID[conversation.RequestID]()
	s.add(c1, 17*time.Minute, &conversation.RoutingRequested{Request: r2, Target: conversation.Target{Kind: conversation.TargetAgent, Agent: ana}, WaitingSince: noon})
	s.add(c1, 17*time.Minute, &conversation.RoutingRequested{Request: r3, Target: conversation.Target{Kind: conversation.TargetService, Service: support}, WaitingSince: noon.Add(17 * time.Minute)})
	s.add(c1, 18*time.Minute, &conversation.JoinedBy{Agent: ana, Request: r2})
	s.add(c1, 20*time.Minute, &conversation.JoinedBy{Agent: ana, Request: r3})
	s.message(c1, 20*time.Minute, conversation.Supervisor)
	s.add(c1, 29*time.Minute, &conversation.Ended{Cause: conversation.CauseAgent})
	// An agent's text without a service: no first answer.
	begin(c3, 29*time.Minute, conversation.ServiceID{}, conversation.Outbound)
	s.message(c3, 29*time.Minute, conversation.Agent)
	// Events that count for nothing, and one of a type that this build does not know.
	s.add(c3, 29*time.Minute, &conversation.FlagSet{By: ana})
	s.recs = append(s.recs, eventlog.Record{Pos: int64(len(s.recs)) + 1, Stream: eventlog.StreamID(c3), Seq: 99, Event: eventlog.Event{Type: "message/9", At: noon, Head: []byte("?")}})
	quarter := noon.Add(15 * time.Minute)
	want := []intervals.Interval{
		{Service: sales, Start: noon, Counts: intervals.Counts{
			Arrived: 2, Taken: 1, WaitMS: 840_000, LongestMS: 840_000, Written: intervals.Written{Customer: 1, System: 1}}},
		{Start: quarter, Counts: intervals.Counts{Written: intervals.Written{Agent: 1}}},
		{Service: sales, Start: quarter, Counts: intervals.Counts{
			Answered: 1, AnswerMS: 900_000, Ended: 2, Abandoned: 1, Written: intervals.Written{Agent: 3, Bot: 1}}},
		{Service: support, Start: quarter, Counts: intervals.Counts{Taken: 1, WaitMS: 180_000, LongestMS: 180_000}},
	}
	for name, atOnce := range map[string]func() int{"one by one": one, "at once": func() int { return len(s.recs) }} {
		db := made(t)
		s.apply(db, atOnce)
		if got := between(t, db); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, got, want)
		}
	}
}

// However the events are cut into transactions, the tables are the same.
func TestCutsDoNotMatter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s := &script{t: t}
	ids := make([]conversation.RequestID, 12)
	for i := range ids {
		ids[i] = conversation.NewID[conversation.RequestID]()
	}
	kinds := []conversation.AuthorKind{conversation.Customer, conversation.Agent, conversation.Bot, conversation.System, conversation.Supervisor}
	for i := range 600 {
		c, at, r := conversation.ConversationID{byte(rnd.IntN(5) + 1)}, time.Duration(i)*7*time.Second, ids[rnd.IntN(len(ids))]
		switch rnd.IntN(7) {
		case 0:
			s.add(c, at, &conversation.Started{ID: c, Kind: conversation.Inbound, Channel: "sms"})
		case 1:
			s.add(c, at, &conversation.Assigned{Service: []conversation.ServiceID{sales, support}[rnd.IntN(2)]})
		case 2:
			s.add(c, at, &conversation.RoutingRequested{Request: r, Target: conversation.Target{Kind: conversation.TargetService, Service: sales}, WaitingSince: noon.Add(at / 2)})
		case 3:
			s.add(c, at, &conversation.JoinedBy{Request: r})
		case 4:
			s.add(c, at, &conversation.RoutingCancelled{Request: r, Cause: conversation.CauseCancelled})
		case 5:
			s.add(c, at, &conversation.Ended{Cause: conversation.CauseAgent})
		default:
			s.message(c, at, kinds[rnd.IntN(len(kinds))])
		}
	}
	dump := func(db *database.DB) (out []string) {
		for _, table := range []string{"report_conversations ORDER BY id", "report_intervals ORDER BY service, start"} {
			rows, err := db.Reader().QueryContext(t.Context(), "SELECT * FROM "+table)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rows.Close() }()
			columns, err := rows.Columns()
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				values, dest := make([]any, len(columns)), make([]any, len(columns))
				for i := range dest {
					dest[i] = &values[i]
				}
				if err := rows.Scan(dest...); err != nil {
					t.Fatal(err)
				}
				out = append(out, fmt.Sprint(values...))
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	a, b := made(t), made(t)
	s.apply(a, func() int { return len(s.recs) })
	s.apply(b, func() int { return rnd.IntN(9) + 1 })
	if x, y := dump(a), dump(b); len(x) < 10 || !reflect.DeepEqual(x, y) {
		t.Errorf("the tables differ:\n%s\n\n%s", strings.Join(x, "\n"), strings.Join(y, "\n"))
	}
}

// An event that counts and whose head is damaged stops the projection there.
func TestDamagedHead(t *testing.T) {
	s := &script{t: t}
	s.message(conversation.ConversationID{1}, 0, conversation.Customer)
	s.message(conversation.ConversationID{1}, 0, conversation.Customer)
	s.recs[1].Head = []byte(`{"id":`)
	db := made(t)
	err := db.Write(t.Context(), func(tx *sql.Tx) error { return intervals.Projection().Apply(t.Context(), tx, s.recs) })
	var bad *project.EventError
	if !errors.As(err, &bad) || bad.Pos != 2 {
		t.Errorf("got %v, want an *EventError at position 2", err)
	}
	if got := between(t, db); len(got) != 0 {
		t.Errorf("something was counted: %+v", got)
	}
}
