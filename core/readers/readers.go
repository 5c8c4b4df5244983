package readers

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Conversations is what readers need of the router, which keeps the conversations.
type Conversations interface {
	// Tail returns the part of a conversation that readers have in memory; it is made when needed.
	Tail(conv conversation.ConversationID) *Tail
	// CatchUp adds to a conversation's tail what the log has beyond it. It never blocks.
	CatchUp(conv conversation.ConversationID)
}

// Log reads events of a stream after a sequence (eventlog.Log).
type Log interface {
	Read(ctx context.Context, stream eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error)
}

// Readers holds all readers of conversations on this node. Safe for concurrent use.
type Readers struct {
	conversations Conversations
	log           Log
	keys          Opener
	logger        *slog.Logger
	pump          *pump
	recents       *recents

	mu    sync.Mutex
	feeds map[conversation.AgentID][]*Feed // copy on write
}

// New makes Readers. Subscriptions are served while Run runs.
func New(conversations Conversations, log Log, keys Opener, logger *slog.Logger) *Readers {
	return &Readers{
		conversations: conversations, log: log, keys: keys, logger: logger,
		pump: newPump(), recents: newRecents(), feeds: map[conversation.AgentID][]*Feed{},
	}
}

// Run serves subscriptions until ctx ends. Several calls may run at the same time.
func (r *Readers) Run(ctx context.Context) { r.pump.run(ctx) }

// AgentChanged tells an agent's feeds that a new state of the agent was committed.
func (r *Readers) AgentChanged(agent conversation.AgentID) {
	for _, f := range r.feedsOf(agent) {
		f.agentChanged()
	}
}

func (r *Readers) feedsOf(agent conversation.AgentID) []*Feed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.feeds[agent]
}

func (r *Readers) addFeed(f *Feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feeds[f.agent] = append(slices.Clip(r.feeds[f.agent]), f)
}

func (r *Readers) removeFeed(f *Feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := without(r.feeds[f.agent], f)
	if len(kept) == 0 {
		delete(r.feeds, f.agent)
		return
	}
	r.feeds[f.agent] = kept
}

// without returns a copy of all without one. It leaves all unchanged, since others may be reading
// it.
func without[T comparable](all []T, one T) []T {
	kept := make([]T, 0, len(all))
	for _, x := range all {
		if x != one {
			kept = append(kept, x)
		}
	}
	return kept
}
