package memlog

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

type boundKey struct {
	account eventlog.StreamID
	key     eventlog.Key
}

type boundEvent struct {
	stream eventlog.StreamID
	seq    uint64
}

type lease struct {
	node  string // "" when the lease was released
	epoch int64
	until time.Time
}

// Log is the store. The zero value is not usable; see New.
type Log struct {
	mu            sync.Mutex
	events        []eventlog.Record // the event at position p is at index p-1
	streams       map[eventlog.StreamID][]int
	external      map[boundKey]boundEvent
	threads       map[boundKey]eventlog.StreamID
	conversations map[eventlog.StreamID]*eventlog.ConversationRow
	agents        map[eventlog.StreamID]eventlog.AgentRow
	outbox        []*eventlog.OutboxRow
	commands      map[[16]byte]*eventlog.OutboxRow
	leases        map[string]*lease
	members       map[string]member
	receipts      map[boundKey][]eventlog.EarlyReceipt
	maxKey        int64
	grown         chan struct{} // closed and replaced when events are added
	closed        bool
	stats         eventlog.Stats
	failed        chan struct{}               // never closed: memory does not fail
	rewriting     chan struct{}               // holds a token while a Rewrite runs
	replaced      map[int64]eventlog.StreamID // keys that Rewrite has replaced
}

var _ eventlog.Shared = (*Log)(nil)

// New makes an empty log.
func New() *Log {
	return &Log{
		streams:       map[eventlog.StreamID][]int{},
		external:      map[boundKey]boundEvent{},
		threads:       map[boundKey]eventlog.StreamID{},
		conversations: map[eventlog.StreamID]*eventlog.ConversationRow{},
		agents:        map[eventlog.StreamID]eventlog.AgentRow{},
		commands:      map[[16]byte]*eventlog.OutboxRow{},
		leases:        map[string]*lease{},
		members:       map[string]member{},
		receipts:      map[boundKey][]eventlog.EarlyReceipt{},
		replaced:      map[int64]eventlog.StreamID{},
		rewriting:     make(chan struct{}, 1),
		grown:         make(chan struct{}),
		failed:        make(chan struct{}),
	}
}

// Read implements eventlog.Log.
func (l *Log) Read(ctx context.Context, stream eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	at := l.streams[stream]
	at = at[min(after, uint64(len(at))):]
	if limit > 0 && len(at) > limit {
		at = at[:limit]
	}
	var out []eventlog.Record
	for _, i := range at {
		out = append(out, copyRecord(l.events[i]))
	}
	return out, nil
}

// Tail implements eventlog.Log.
func (l *Log) Tail(ctx context.Context, after int64, limit int) ([]eventlog.Record, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	rest := l.events[min(max(after, 0), int64(len(l.events))):]
	if limit > 0 && len(rest) > limit {
		rest = rest[:limit]
	}
	var out []eventlog.Record
	for _, r := range rest {
		out = append(out, copyRecord(r))
	}
	return out, nil
}

// Position implements eventlog.Log.
func (l *Log) Position(ctx context.Context) (int64, error) {
	if err := l.enter(ctx); err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	return int64(len(l.events)), nil
}

// Wait implements eventlog.Log.
func (l *Log) Wait(ctx context.Context, after int64) error {
	for {
		if err := l.enter(ctx); err != nil {
			return err
		}
		n, grown := int64(len(l.events)), l.grown
		l.mu.Unlock()
		if n > after {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// Conversation implements eventlog.Log.
func (l *Log) Conversation(ctx context.Context, id eventlog.StreamID) (eventlog.ConversationRow, error) {
	if err := l.enter(ctx); err != nil {
		return eventlog.ConversationRow{}, err
	}
	defer l.mu.Unlock()
	r, ok := l.conversations[id]
	if !ok {
		return eventlog.ConversationRow{}, fmt.Errorf("conversation %x: %w", id, eventlog.ErrNotFound)
	}
	return copyRow(r), nil
}

// Conversations implements eventlog.Log.
func (l *Log) Conversations(ctx context.Context, q eventlog.ConversationQuery) ([]eventlog.ConversationRow, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	newestFirst := func(a, b *eventlog.ConversationRow) int {
		return cmp.Or(b.StartedAt.Compare(a.StartedAt), bytes.Compare(b.ID[:], a.ID[:]))
	}
	before := l.conversations[q.Before]
	var rows []*eventlog.ConversationRow
	for _, r := range l.conversations {
		if matches(r, q) && (before == nil || newestFirst(before, r) < 0) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, newestFirst)
	if q.Limit > 0 && len(rows) > q.Limit {
		rows = rows[:q.Limit]
	}
	var out []eventlog.ConversationRow
	for _, r := range rows {
		out = append(out, copyRow(r))
	}
	return out, nil
}

func matches(r *eventlog.ConversationRow, q eventlog.ConversationQuery) bool {
	var none eventlog.StreamID
	is := func(want, got eventlog.StreamID) bool { return want == none || want == got }
	return (len(q.Phases) == 0 || slices.Contains(q.Phases, r.Phase)) &&
		is(q.Account, r.Account) && is(q.Service, r.Service) && is(q.Contact, r.Contact) &&
		(q.Agent == none || slices.ContainsFunc(r.Agents, func(a eventlog.ConversationAgent) bool {
			return a.Agent == q.Agent && (a.Active || !q.Active)
		}))
}

// Agents implements eventlog.Log.
func (l *Log) Agents(ctx context.Context) ([]eventlog.AgentRow, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	var out []eventlog.AgentRow
	for _, a := range l.agents {
		a.State = bytes.Clone(a.State)
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b eventlog.AgentRow) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out, nil
}

// Agent implements eventlog.Log.
func (l *Log) Agent(ctx context.Context, id eventlog.StreamID) (eventlog.AgentRow, error) {
	if err := l.enter(ctx); err != nil {
		return eventlog.AgentRow{}, err
	}
	defer l.mu.Unlock()
	a, ok := l.agents[id]
	if !ok {
		return a, fmt.Errorf("agent %x: %w", id, eventlog.ErrNotFound)
	}
	a.State = bytes.Clone(a.State)
	return a, nil
}

// Thread implements eventlog.Log.
func (l *Log) Thread(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error) {
	if err := l.enter(ctx); err != nil {
		return eventlog.StreamID{}, err
	}
	defer l.mu.Unlock()
	c, ok := l.threads[boundKey{account, key}]
	if !ok {
		return c, fmt.Errorf("thread of account %x: %w", account, eventlog.ErrNotFound)
	}
	return c, nil
}

// External implements eventlog.Log.
func (l *Log) External(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, uint64, error) {
	if err := l.enter(ctx); err != nil {
		return eventlog.StreamID{}, 0, err
	}
	defer l.mu.Unlock()
	e, ok := l.external[boundKey{account, key}]
	if !ok {
		return e.stream, 0, fmt.Errorf("external id of account %x: %w", account, eventlog.ErrNotFound)
	}
	return e.stream, e.seq, nil
}

// Outbox implements eventlog.Log.
func (l *Log) Outbox(ctx context.Context, account eventlog.StreamID, unknown bool, limit int) ([]eventlog.OutboxRow, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	var out []eventlog.OutboxRow
	for _, r := range l.outbox {
		wanted := r.State.Pending() || (unknown && r.State == eventlog.OutboxUnknown)
		if wanted && (account == eventlog.StreamID{} || account == r.Account) && (limit <= 0 || len(out) < limit) {
			out = append(out, copyOutbox(r))
		}
	}
	return out, nil
}

// OutboxRow implements eventlog.Log.
func (l *Log) OutboxRow(ctx context.Context, command [16]byte) (eventlog.OutboxRow, error) {
	if err := l.enter(ctx); err != nil {
		return eventlog.OutboxRow{}, err
	}
	defer l.mu.Unlock()
	r, ok := l.commands[command]
	if !ok {
		return eventlog.OutboxRow{}, fmt.Errorf("outbox command %x: %w", command, eventlog.ErrNotFound)
	}
	return copyOutbox(r), nil
}

// MaxKeyID implements eventlog.Log.
func (l *Log) MaxKeyID(ctx context.Context) (int64, error) {
	if err := l.enter(ctx); err != nil {
		return 0, err
	}
	defer l.mu.Unlock()
	return l.maxKey, nil
}

// Stats implements eventlog.Log.
func (l *Log) Stats() eventlog.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Failed implements eventlog.Log; the channel is never closed.
func (l *Log) Failed() <-chan struct{} { return l.failed }

// Close implements eventlog.Log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.grown)
	}
	return nil
}

// enter locks the log, or returns why it cannot be used.
func (l *Log) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return eventlog.ErrClosed
	}
	return nil
}

func copyRecord(r eventlog.Record) eventlog.Record {
	r.Head, r.Body = bytes.Clone(r.Head), bytes.Clone(r.Body)
	return r
}

func copyRow(r *eventlog.ConversationRow) eventlog.ConversationRow {
	c := *r
	c.State, c.Agents = bytes.Clone(r.State), slices.Clone(r.Agents)
	return c
}

func copyOutbox(r *eventlog.OutboxRow) eventlog.OutboxRow {
	c := *r
	c.Payload = bytes.Clone(r.Payload)
	return c
}

// utc removes time zone and monotonic reading, as a database does.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Round(0)
}
