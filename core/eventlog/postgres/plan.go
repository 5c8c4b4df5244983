package postgres

import (
	"errors"
	"slices"

	"github.com/parley-gateway/parley/core/eventlog"
)

// boundKey is an account's thread or external id.
type boundKey struct {
	account eventlog.StreamID
	key     eventlog.Key
}

// head is the last sequence of a stream. fresh: it was read in this transaction, or is the result
// of an append in it; otherwise the lane believes it.
type head struct {
	seq   uint64
	fresh bool
}

type boundEvent struct {
	stream eventlog.StreamID
	seq    uint64
}

// thread is the conversation that is open on a thread, before and after the transaction.
type thread struct{ was, now eventlog.StreamID }

// conversation is a row before (nil: none) and after the transaction.
type conversation struct{ stored, row *eventlog.ConversationRow }

// command is an outbox row; seen means that the row is in the table.
type command struct {
	row           eventlog.OutboxRow
	seen, changed bool
}

// plan is a transaction in memory: first what it has to read, then what its appends do, each
// checked against those before it, then what it writes.
type plan struct {
	careful bool
	stale   bool // an append was refused because of something only believed: read it, then decide again
	raced   bool // a write found that another writer was first
	believe map[eventlog.StreamID]uint64

	pos       int64 // the next free position, counted from 1 within the transaction
	positions int64 // how many positions the transaction reserves
	firstPos  int64 // the first of them in the log, known when the server has answered
	maxKey    int64

	heads    map[eventlog.StreamID]head
	external map[boundKey]boundEvent
	threads  map[boundKey]*thread
	convs    map[eventlog.StreamID]*conversation
	agents   map[eventlog.StreamID]*eventlog.AgentRow
	commands map[[16]byte]*command
	leases   map[string]lease
	receipts map[boundKey]*mailbox

	reads  reads
	checks map[eventlog.StreamID]bool // streams that must stay at their sequence, without a new event
	events eventColumns
	bound  []eventlog.ExternalID // external ids to add, with their sequences resolved
	queued []*command            // new outbox rows, in the order of their appends
	writes int                   // how many appends passed their check
}

// reads are the keys of the rows that must be read.
type reads struct {
	heads, convs map[eventlog.StreamID]bool
	external     map[boundKey]bool
	receipts     map[boundKey]bool
	threads      map[boundKey]bool
	commands     map[[16]byte]bool
	leases       map[string]bool
}

func (r *reads) any() bool {
	return len(r.heads)+len(r.convs)+len(r.external)+len(r.receipts)+len(r.threads)+len(r.commands)+len(r.leases) > 0
}

// lease is the state of a lease, with which an append under it is compared.
type lease struct {
	node  string
	epoch int64
}

// newPlan makes a plan for about n appends.
func newPlan(believe map[eventlog.StreamID]uint64, careful bool, n int) *plan {
	return &plan{
		careful: careful, believe: believe, pos: 1,
		heads:    make(map[eventlog.StreamID]head, n),
		external: make(map[boundKey]boundEvent, n),
		threads:  map[boundKey]*thread{},
		convs:    map[eventlog.StreamID]*conversation{},
		agents:   map[eventlog.StreamID]*eventlog.AgentRow{},
		commands: map[[16]byte]*command{},
		leases:   map[string]lease{},
		receipts: map[boundKey]*mailbox{},
		checks:   map[eventlog.StreamID]bool{},
		reads: reads{
			heads: map[eventlog.StreamID]bool{}, convs: map[eventlog.StreamID]bool{},
			external: map[boundKey]bool{}, receipts: map[boundKey]bool{}, threads: map[boundKey]bool{},
			commands: map[[16]byte]bool{}, leases: map[string]bool{},
		},
	}
}

func (p *plan) empty() bool { return p.writes == 0 }

// ask records what must be read to check and merge b. The lane's belief about streams, and that new
// keys are free, need not be read: the inserts prove it.
func (p *plan) ask(b *eventlog.Batch) {
	if b.Lease.Name != "" {
		p.reads.leases[b.Lease.Name] = true
	}
	born := false
	for i := range b.Streams {
		s := &b.Streams[i]
		p.positions += int64(max(1, len(s.Events)))
		born = born || s.Expect == 0
		if _, known := p.heads[s.Stream]; known || p.reads.heads[s.Stream] {
			continue
		}
		seq, believed := p.believe[s.Stream]
		switch {
		case p.careful || len(s.Events) == 0:
			p.reads.heads[s.Stream] = true
		case believed && (s.Expect == eventlog.ExpectAny || s.Expect == seq):
			p.heads[s.Stream] = head{seq: seq}
		case s.Expect == 0:
			p.heads[s.Stream] = head{}
		default:
			p.reads.heads[s.Stream] = true
		}
	}
	for i := range b.External {
		// A callback names the id of an earlier event, which is mostly bound already.
		if x := &b.External[i]; p.careful || !bindsNew(b, x) {
			p.reads.external[boundKey{x.Account, x.Key}] = true
		}
	}
	for i := range b.ParkReceipts {
		if r := &b.ParkReceipts[i]; p.careful {
			p.reads.external[boundKey{r.Account, r.Key}] = true
			p.reads.receipts[boundKey{r.Account, r.Key}] = true
		}
	}
	for i := range b.JoinReceipts {
		if j := &b.JoinReceipts[i]; p.careful {
			p.reads.receipts[boundKey{j.Account, j.Key}] = true
		}
	}
	for i := range b.CloseThreads {
		t := &b.CloseThreads[i]
		p.reads.threads[boundKey{t.Account, t.Key}] = true
	}
	for i := range b.OpenThreads {
		if t := &b.OpenThreads[i]; p.careful {
			p.reads.threads[boundKey{t.Account, t.Key}] = true
		}
	}
	for i := range b.Conversations {
		if r := &b.Conversations[i]; p.careful || !born {
			p.reads.convs[r.ID] = true
		}
	}
	for i := range b.Outbox {
		if p.careful {
			p.reads.commands[b.Outbox[i].CommandID] = true
		}
	}
	for i := range b.OutboxUpdates {
		p.reads.commands[b.OutboxUpdates[i].CommandID] = true
	}
}

// bindsNew reports whether x names an event that b itself appends.
func bindsNew(b *eventlog.Batch, x *eventlog.ExternalID) bool {
	return x.Index >= 0 || slices.ContainsFunc(b.Streams, func(s eventlog.StreamAppend) bool {
		return s.Stream == x.Stream && x.Seq > s.Expect // never true with ExpectAny
	})
}

// add checks b against what was read and what was added before it, and adds it if it passes.
func (p *plan) add(b *eventlog.Batch) (eventlog.Appended, error) {
	checked, err := b.Check(known{p}, p.pos)
	if err != nil {
		var at *eventlog.SequenceError
		if errors.As(err, &at) && !p.heads[at.Stream].fresh {
			p.stale = true
		}
		return eventlog.Appended{}, err
	}
	done := checked.Appended
	p.writes++
	p.addEvents(b, done)
	for _, x := range checked.Bind {
		p.external[boundKey{x.Account, x.Key}] = boundEvent{x.Stream, x.Seq}
	}
	p.bound = append(p.bound, checked.Bind...)
	for _, t := range b.CloseThreads {
		if held := p.threads[boundKey{t.Account, t.Key}]; held != nil && held.now == t.Conversation {
			held.now = eventlog.StreamID{}
		}
	}
	for _, t := range b.OpenThreads {
		p.thread(boundKey{t.Account, t.Key}).now = t.Conversation
	}
	p.addRows(b, done)
	return done, nil
}

func (p *plan) thread(k boundKey) *thread {
	t := p.threads[k]
	if t == nil {
		t = &thread{}
		p.threads[k] = t
	}
	return t
}

func (p *plan) addEvents(b *eventlog.Batch, done eventlog.Appended) {
	for i := range b.Streams {
		s := &b.Streams[i]
		seq := done.Streams[i].FirstSeq
		for j := range s.Events {
			p.events.add(p.pos, s.Stream, seq, &s.Events[j])
			p.pos++
			seq++
		}
		switch {
		case len(s.Events) > 0:
			p.heads[s.Stream] = head{seq: seq - 1, fresh: true}
		case s.Expect != eventlog.ExpectAny:
			p.checks[s.Stream] = true
		}
	}
	p.maxKey = max(p.maxKey, b.MaxKeyID())
}

// addRows adds the rows, outbox entries and receipts of an append that passed.
func (p *plan) addRows(b *eventlog.Batch, done eventlog.Appended) {
	for i := range b.Conversations {
		r := b.Conversations[i]
		c := p.convs[r.ID]
		if c == nil {
			c = &conversation{}
			p.convs[r.ID] = c
		}
		before := c.row
		if before == nil {
			before = c.stored
		}
		if before == nil {
			r.Agents = eventlog.MergeAgents(nil, r.Agents)
		} else {
			r.Agents = eventlog.MergeAgents(before.Agents, r.Agents)
			r.StartedAt = before.StartedAt // never changed once it is set: agents' lists are ordered by it
		}
		c.row = &r
	}
	for i := range b.Agents {
		p.agents[b.Agents[i].ID] = &b.Agents[i]
	}
	for i := range b.Outbox {
		o := b.Outbox[i]
		o.Seq = b.SeqOf(done, o.Conversation, o.Index, o.Seq)
		c := &command{row: o}
		p.commands[o.CommandID] = c
		p.queued = append(p.queued, c)
	}
	for i := range b.OutboxUpdates {
		u := &b.OutboxUpdates[i]
		c := p.commands[u.CommandID]
		if c.row.State == eventlog.OutboxSettled {
			continue
		}
		c.changed = true
		u.Apply(&c.row)
	}
	p.addReceipts(b)
}
