package readers

import (
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Recent is what waits unread in an agent's Recent (O1, O2, N16).
type Recent struct {
	Unread int          // messages, over all items: the badge
	Items  []RecentItem // newest first
}

// RecentItem is an exchange with unread messages of the customer's.
type RecentItem struct {
	Conversation conversation.ConversationID
	Unread       int
	At           time.Time // when the newest came
}

// recents keeps what waits for each agent. The truth is in the conversations'
// states and rows, so it survives restart and logout; this is a view of it.
type recents struct {
	mu     sync.Mutex
	items  map[conversation.ConversationID]conversation.Unread
	agents map[conversation.AgentID]map[conversation.ConversationID]struct{}
}

func newRecents() *recents {
	return &recents{items: map[conversation.ConversationID]conversation.Unread{}, agents: map[conversation.AgentID]map[conversation.ConversationID]struct{}{}}
}

// sync takes over a conversation's committed state and returns whose Recent
// changed. The worker calls it.
func (q *recents) sync(s *conversation.State) (changed []conversation.AgentID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	old, had := q.items[s.ID]
	switch {
	case s.Unread == nil && !had, s.Unread != nil && had && *s.Unread == old:
		return nil
	case had:
		delete(q.items, s.ID)
		if mine := q.agents[old.Owner]; len(mine) > 1 {
			delete(mine, s.ID)
		} else {
			delete(q.agents, old.Owner)
		}
		changed = append(changed, old.Owner)
	}
	if u := s.Unread; u != nil {
		q.items[s.ID] = *u
		if q.agents[u.Owner] == nil {
			q.agents[u.Owner] = map[conversation.ConversationID]struct{}{}
		}
		q.agents[u.Owner][s.ID] = struct{}{}
		if !had || u.Owner != old.Owner {
			changed = append(changed, u.Owner)
		}
	}
	return changed
}

func (q *recents) of(agent conversation.AgentID) (out Recent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for id := range q.agents[agent] {
		u := q.items[id]
		out.Unread += u.Count
		out.Items = append(out.Items, RecentItem{Conversation: id, Unread: u.Count, At: u.At})
	}
	slices.SortFunc(out.Items, func(a, b RecentItem) int {
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return slices.Compare(b.Conversation[:], a.Conversation[:])
	})
	return out
}

// SyncRecent brings agents' Recent up to a conversation's committed state and
// tells their feeds.
func (r *Readers) SyncRecent(s *conversation.State) {
	for _, id := range r.recents.sync(s) {
		for _, f := range r.feedsOf(id) {
			f.recentChanged()
		}
	}
}

// Recent is what waits unread for an agent now.
func (r *Readers) Recent(agent conversation.AgentID) Recent { return r.recents.of(agent) }
