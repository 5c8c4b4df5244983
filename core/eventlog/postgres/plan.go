package postgres

import (
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/eventlog"
)

// boundKey is an account's thread or external id.
type boundKey struct {
	account eventlog.StreamID
	key     eventlog.Key
}

// head is the last sequence of a stream. fresh: read in this transaction, or
// the result of an append in it; otherwise what the lane believes.
type head struct {
	seq   uint64
	fresh bool
}

type boundEvent struct {
	stream eventlog.StreamID
	seq    uint64
}

// thread is who holds a thread, before and after the transaction.
type thread struct{ was, now eventlog.StreamID }

// conversation is a row before (nil: none) and after the transaction.
type conversation struct{ stored, row *eventlog.ConversationRow }

// command is an outbox row; seen: it is in the table.
type command struct {
	row           eventlog.OutboxRow
	seen, changed bool
}

// plan is a transaction in memory: first what it has to read, then what its
// appends do, each checked against those before it, then what it writes.
type plan struct {
	careful bool
	stale   bool // an append was refused for what is only believed: read, then decide
	raced   bool // a write found its place taken
	believe map[eventlog.StreamID]uint64

	pos       int64 // the next position, counted from 1 within the transaction
	positions int64 // how many it reserves
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
	checks map[eventlog.StreamID]bool // streams that must stay where they are, without an event
	events eventColumns
	bound  []eventlog.ExternalID // external ids to add, resolved
	queued []*command            // new outbox rows, in order
	writes int                   // appends that stand
}

// reads are the keys of what must be read.
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

// lease is what an append under it is compared with.
type lease struct {
	node  string
	epoch int64
}

// newPlan is a plan for about n appends.
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

// ask notes what b needs to be checked and merged. What the lane believes of
// streams, and that new keys are free, need not be read: the inserts prove it.
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
		return s.Stream == x.Stream && x.Seq > s.Expect // never so with ExpectAny
	})
}

// add checks b against what was read and what was added before it, in the
// order that package eventlog gives, and adds it when nothing stands against it.
func (p *plan) add(b *eventlog.Batch) (done eventlog.Appended, err error) {
	if name := b.Lease.Name; name != "" {
		if held, ok := p.leases[name]; !ok || held.node == "" || held.epoch != b.Lease.Epoch {
			return done, fmt.Errorf("append under lease %s epoch %d: %w", name, b.Lease.Epoch, eventlog.ErrFenced)
		}
	}
	if done, err = p.place(b); err != nil {
		return eventlog.Appended{}, err
	}
	bound, err := p.bind(b, done)
	if err != nil {
		return eventlog.Appended{}, err
	}
	threads, err := p.checkThreads(b)
	if err != nil {
		return eventlog.Appended{}, err
	}
	if err := p.checkOutbox(b); err != nil {
		return eventlog.Appended{}, err
	}
	if err := p.checkReceipts(b, bound); err != nil {
		return eventlog.Appended{}, err
	}
	p.writes++
	p.addEvents(b, done)
	for _, x := range bound {
		p.external[boundKey{x.Account, x.Key}] = boundEvent{x.Stream, x.Seq}
	}
	p.bound = append(p.bound, bound...)
	for k, now := range threads {
		p.thread(k).now = now
	}
	p.addRows(b, done)
	return done, nil
}

// place decides the sequence of each event, and its position within the transaction.
func (p *plan) place(b *eventlog.Batch) (eventlog.Appended, error) {
	done := eventlog.Appended{Streams: make([]eventlog.AppendedStream, len(b.Streams))}
	pos := p.pos
	for i := range b.Streams {
		s := &b.Streams[i]
		h := p.heads[s.Stream]
		seq := h.seq
		for j := range b.Streams[:i] { // a stream may come twice
			if b.Streams[j].Stream == s.Stream {
				seq += uint64(len(b.Streams[j].Events))
			}
		}
		if s.Expect != eventlog.ExpectAny && s.Expect != seq {
			p.stale = p.stale || !h.fresh
			return done, fmt.Errorf("append to stream %x at %d, head is %d: %w", s.Stream, s.Expect, seq, eventlog.ErrConflict)
		}
		done.Streams[i] = eventlog.AppendedStream{FirstSeq: seq + 1, FirstPos: pos}
		pos += int64(len(s.Events))
	}
	return done, nil
}

// bind resolves the external ids of b.
func (p *plan) bind(b *eventlog.Batch, done eventlog.Appended) ([]eventlog.ExternalID, error) {
	var bound []eventlog.ExternalID
	for _, x := range b.External {
		e, dup := p.external[boundKey{x.Account, x.Key}]
		if i := slices.IndexFunc(bound, func(o eventlog.ExternalID) bool { return o.Account == x.Account && o.Key == x.Key }); i >= 0 {
			e, dup = boundEvent{bound[i].Stream, bound[i].Seq}, true
		}
		x.Seq = b.SeqOf(done, x.Stream, x.Index, x.Seq)
		if dup && e == (boundEvent{x.Stream, x.Seq}) {
			continue
		}
		if dup {
			return nil, &eventlog.DuplicateError{Account: x.Account, Key: x.Key, Stream: e.stream, Seq: e.seq}
		}
		bound = append(bound, x)
	}
	return bound, nil
}

func (p *plan) thread(k boundKey) *thread {
	t := p.threads[k]
	if t == nil {
		t = &thread{}
		p.threads[k] = t
	}
	return t
}

// checkThreads gives the holders of threads after b, as far as they change.
func (p *plan) checkThreads(b *eventlog.Batch) (map[boundKey]eventlog.StreamID, error) {
	if len(b.OpenThreads)+len(b.CloseThreads) == 0 {
		return nil, nil
	}
	changed := make(map[boundKey]eventlog.StreamID, len(b.OpenThreads)+len(b.CloseThreads))
	holder := func(k boundKey) eventlog.StreamID {
		if c, ok := changed[k]; ok {
			return c
		}
		if t := p.threads[k]; t != nil {
			return t.now
		}
		return eventlog.StreamID{}
	}
	for _, t := range b.CloseThreads {
		if k := (boundKey{t.Account, t.Key}); holder(k) == t.Conversation {
			changed[k] = eventlog.StreamID{}
		}
	}
	for _, t := range b.OpenThreads {
		k := boundKey{t.Account, t.Key}
		if c := holder(k); c != (eventlog.StreamID{}) && c != t.Conversation {
			t.Conversation = c
			return nil, &eventlog.ThreadOpenError{Thread: t}
		}
		changed[k] = t.Conversation
	}
	return changed, nil
}

// checkOutbox refuses commands that exist and updates that do not fit.
func (p *plan) checkOutbox(b *eventlog.Batch) error {
	if len(b.Outbox)+len(b.OutboxUpdates) == 0 {
		return nil
	}
	rows := make(map[[16]byte]eventlog.OutboxRow, len(b.Outbox)+len(b.OutboxUpdates)) // as b has left them so far
	row := func(id [16]byte) (eventlog.OutboxRow, bool) {
		if o, there := rows[id]; there {
			return o, true
		}
		if c := p.commands[id]; c != nil {
			return c.row, true
		}
		return eventlog.OutboxRow{}, false
	}
	for i := range b.Outbox {
		o := &b.Outbox[i]
		if _, there := row(o.CommandID); there {
			return fmt.Errorf("outbox command %x exists: %w", o.CommandID, eventlog.ErrConflict)
		}
		rows[o.CommandID] = *o
	}
	for i := range b.OutboxUpdates {
		u := &b.OutboxUpdates[i]
		o, there := row(u.CommandID)
		switch {
		case !there:
			return fmt.Errorf("update outbox command %x: %w", u.CommandID, eventlog.ErrNotFound)
		case !u.Fits(o.State, o.Node):
			return fmt.Errorf("outbox command %x from %s to %s: %w", u.CommandID, o.State, u.State, eventlog.ErrConflict)
		}
		u.Apply(&o)
		rows[u.CommandID] = o
	}
	return nil
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

// addRows takes over the rows, outbox and receipts of an append that stands.
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
			r.StartedAt = before.StartedAt // once set it stays: agents' lists are ordered by it
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
