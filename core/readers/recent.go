package readers

import (
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Recent is the list of an agent's exchanges with unread messages (O1, O2, N16).
type Recent struct {
	Unread int          // number of unread messages in all items, shown as the badge
	Items  []RecentItem // newest first
}

// RecentItem is an exchange with unread messages from the customer.
type RecentItem struct {
	Conversation conversation.ConversationID
	Unread       int
	At           time.Time // when the newest unread message came
}

// recents keeps the unread messages of each agent. It is a view of the conversations' states and
// rows, which are the truth and survive a restart and a logout.
type recents struct {
	mu     sync.Mutex
	items  map[conversation.ConversationID]conversation.Unread
	agents map[conversation.AgentID]map[conversation.ConversationID]struct{}
}

func newRecents() *recents {
	return &recents{items: map[conversation.ConversationID]conversation.Unread{}, agents: map[conversation.AgentID]map[conversation.ConversationID]struct{}{}}
}

// sync updates the view from a conversation's committed state and returns the agents whose Recent
// changed. The conversation's worker calls it.
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

// SyncRecent updates agents' Recent from a conversation's committed state and tells their feeds.
func (r *Readers) SyncRecent(s *conversation.State) {
	for _, id := range r.recents.sync(s) {
		for _, f := range r.feedsOf(id) {
			f.recentChanged()
		}
	}
}

// Waits reports whether unread messages of a conversation wait in somebody's Recent.
func (r *Readers) Waits(conv conversation.ConversationID) bool {
	r.recents.mu.Lock()
	defer r.recents.mu.Unlock()
	_, ok := r.recents.items[conv]
	return ok
}

// Recent returns the exchanges in which unread messages wait for an agent now.
func (r *Readers) Recent(agent conversation.AgentID) Recent { return r.recents.of(agent) }
