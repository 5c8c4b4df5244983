package intervals

import (
	"context"
	"database/sql"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/database"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/project"
)

// Length is how long an interval is. Intervals begin at full quarters of an hour, in UTC.
const Length = 15 * time.Minute

// Name is the projection's name.
const Name = "intervals"

// Projection returns the projection, for a project.Follower.
func Projection() project.Projection {
	return project.Projection{
		Name: Name, Version: 1, Tables: []string{"report_conversations", "report_intervals"},
		Schema: map[database.Dialect]string{database.SQLite: schemaSQLite, database.Postgres: schemaPostgres},
		Apply:  apply,
	}
}

// Times are milliseconds since 1970 UTC, 0 when not known; durations are milliseconds. waiting: JSON, the
// requests that wait for an agent.
const schemaSQLite = `
CREATE TABLE report_conversations (
  id            BLOB    PRIMARY KEY,
  service       BLOB    NOT NULL,
  channel       TEXT    NOT NULL,
  kind          TEXT    NOT NULL,
  started_at    INTEGER NOT NULL,
  taken_at      INTEGER NOT NULL,
  answered_at   INTEGER NOT NULL,
  ended_at      INTEGER NOT NULL,
  end_cause     TEXT    NOT NULL,
  from_customer INTEGER NOT NULL,
  from_agent    INTEGER NOT NULL,
  from_bot      INTEGER NOT NULL,
  from_system   INTEGER NOT NULL,
  waiting       TEXT    NOT NULL
) STRICT;
CREATE INDEX report_conversations_service ON report_conversations (service, started_at);
CREATE TABLE report_intervals (
  service       BLOB    NOT NULL,
  start         INTEGER NOT NULL,
  arrived       INTEGER NOT NULL,
  taken         INTEGER NOT NULL,
  wait_ms       INTEGER NOT NULL,
  longest_ms    INTEGER NOT NULL,
  answered      INTEGER NOT NULL,
  answer_ms     INTEGER NOT NULL,
  ended         INTEGER NOT NULL,
  abandoned     INTEGER NOT NULL,
  from_customer INTEGER NOT NULL,
  from_agent    INTEGER NOT NULL,
  from_bot      INTEGER NOT NULL,
  from_system   INTEGER NOT NULL,
  PRIMARY KEY (service, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_intervals_start ON report_intervals (start);
`

const schemaPostgres = `
CREATE TABLE report_conversations (
  id            bytea  PRIMARY KEY,
  service       bytea  NOT NULL,
  channel       text   NOT NULL,
  kind          text   NOT NULL,
  started_at    bigint NOT NULL,
  taken_at      bigint NOT NULL,
  answered_at   bigint NOT NULL,
  ended_at      bigint NOT NULL,
  end_cause     text   NOT NULL,
  from_customer bigint NOT NULL,
  from_agent    bigint NOT NULL,
  from_bot      bigint NOT NULL,
  from_system   bigint NOT NULL,
  waiting       text   NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX report_conversations_service ON report_conversations (service, started_at);
CREATE TABLE report_intervals (
  service       bytea  NOT NULL,
  start         bigint NOT NULL,
  arrived       bigint NOT NULL,
  taken         bigint NOT NULL,
  wait_ms       bigint NOT NULL,
  longest_ms    bigint NOT NULL,
  answered      bigint NOT NULL,
  answer_ms     bigint NOT NULL,
  ended         bigint NOT NULL,
  abandoned     bigint NOT NULL,
  from_customer bigint NOT NULL,
  from_agent    bigint NOT NULL,
  from_bot      bigint NOT NULL,
  from_system   bigint NOT NULL,
  PRIMARY KEY (service, start)
) WITH (fillfactor = 80);
CREATE INDEX report_intervals_start ON report_intervals (start);
`

// Counts are what a service had in one interval.
type Counts struct {
	Arrived   int64 `json:"arrived"`    // conversations that came to the service
	Taken     int64 `json:"taken"`      // times that an agent joined from its queue
	WaitMS    int64 `json:"wait_ms"`    // how long those waited, together
	LongestMS int64 `json:"longest_ms"` // how long the one waited that waited longest
	Answered  int64 `json:"answered"`   // first messages of an agent in conversations that customers began
	AnswerMS  int64 `json:"answer_ms"`  // from the start of those conversations to that message, together
	Ended     int64 `json:"ended"`
	Abandoned int64 `json:"abandoned"` // those of Ended in which the customer left before an agent joined
	Written
}

// Written counts messages by who wrote them. Those of supervisors count as agents'.
type Written struct {
	Customer int64 `json:"from_customer"`
	Agent    int64 `json:"from_agent"`
	Bot      int64 `json:"from_bot"`
	System   int64 `json:"from_system"`
}

func (w *Written) count(by conversation.AuthorKind) {
	switch by {
	case conversation.Customer:
		w.Customer++
	case conversation.Agent, conversation.Supervisor:
		w.Agent++
	case conversation.Bot:
		w.Bot++
	case conversation.System:
		w.System++
	case conversation.Outside: // takes part in calls and writes nothing
	}
}

// apply implements project.Projection.Apply: it reads the rows of the conversations concerned, changes
// them in memory, and writes them and the sums of all counts.
func apply(ctx context.Context, tx *sql.Tx, recs []eventlog.Record) error {
	w := work{convs: map[eventlog.StreamID]*row{}, counts: map[interval]*Counts{}}
	for i := range recs {
		rec := &recs[i]
		t := conversation.Type(rec.Type)
		if !reads[t] {
			continue
		}
		head, err := conversation.DecodeHead(t, rec.Head)
		if err != nil {
			return &project.EventError{Pos: rec.Pos, Type: rec.Type, Err: err}
		}
		c := w.convs[rec.Stream]
		if c == nil {
			if c, err = readRow(ctx, tx, rec.Stream); err != nil {
				return err
			}
			w.convs[rec.Stream] = c
		}
		w.event(c, head, rec.At)
	}
	return w.write(ctx, tx)
}

// reads holds the types of events that count. With another type in it the version grows.
var reads = map[conversation.Type]bool{
	conversation.TypeStarted: true, conversation.TypeAssigned: true, conversation.TypeMessage: true,
	conversation.TypeRoutingRequested: true, conversation.TypeRoutingCancelled: true, conversation.TypeJoinedBy: true,
	conversation.TypeEnded: true,
}

type interval struct {
	service conversation.ServiceID // zero: none
	start   int64
}

// work is what a batch of events changes.
type work struct {
	convs  map[eventlog.StreamID]*row
	counts map[interval]*Counts
}

func (w *work) at(service conversation.ServiceID, at time.Time) *Counts {
	k := interval{service, at.Truncate(Length).UnixMilli()}
	c := w.counts[k]
	if c == nil {
		c = &Counts{}
		w.counts[k] = c
	}
	return c
}

func (w *work) event(c *row, head conversation.Head, at time.Time) {
	switch h := head.(type) {
	case *conversation.Started:
		c.channel, c.kind, c.started = h.Channel, string(h.Kind), at.UnixMilli()
	case *conversation.Assigned:
		c.service = h.Service
		w.at(c.service, at).Arrived++
	case *conversation.MessagePosted:
		c.written.count(h.Author.Kind)
		counts := w.at(c.service, at)
		counts.count(h.Author.Kind)
		if h.Author.Kind == conversation.Agent && c.answered == 0 {
			c.answered = at.UnixMilli()
			if c.kind == string(conversation.Inbound) {
				counts.Answered++
				counts.AnswerMS += max(0, c.answered-c.started)
			}
		}
	case *conversation.RoutingRequested:
		c.drop(h.Request)
		if h.Target.Kind != conversation.TargetAgent { // who is asked by name waits in no queue
			c.waiting = append(c.waiting, waiting{h.Request, h.Target.Service, h.WaitingSince.UnixMilli()})
		}
	case *conversation.RoutingCancelled:
		c.drop(h.Request)
	case *conversation.JoinedBy:
		if c.taken == 0 {
			c.taken = at.UnixMilli()
		}
		if was, ok := c.drop(h.Request); ok {
			counts, waited := w.at(was.Service, at), max(0, at.UnixMilli()-was.Since)
			counts.Taken++
			counts.WaitMS += waited
			counts.LongestMS = max(counts.LongestMS, waited)
		}
	case *conversation.Ended:
		c.ended, c.cause, c.waiting = at.UnixMilli(), string(h.Cause), nil
		counts := w.at(c.service, at)
		counts.Ended++
		if h.Cause == conversation.CauseAbandoned {
			counts.Abandoned++
		}
	}
}
