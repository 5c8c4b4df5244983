package router

import (
	"context"
	"errors"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// forDispatch is the router as the Assigner sees it: dispatch.Conversations.
type forDispatch struct{ r *Router }

// Offer implements dispatch.Conversations.
func (f forDispatch) Offer(conv conversation.ConversationID, offer conversation.Offer, lease eventlog.LeaseRef, done func(error)) {
	f.r.live(conv).submit(&task{cmd: offer, lease: lease, done: func(_ outcome, err error) { done(err) }})
}

// Retell implements dispatch.Conversations.
func (f forDispatch) Retell(failed acd.Assignment) {
	_, err := f.r.live(failed.Conversation).do(f.r.ctx, &task{read: f.r.dispatch.Conversation})
	if errors.Is(err, ErrNotFound) {
		f.r.dispatch.Gone(failed.Request)
	}
	f.r.dispatch.Agent(f.r.agents.State(failed.Agent))
}

// Unfinished implements dispatch.Conversations.
func (f forDispatch) Unfinished(ctx context.Context, visit func([]eventlog.ConversationRow) error) error {
	return f.r.unfinished(ctx, visit)
}

// Follow implements dispatch.Conversations.
func (f forDispatch) Follow(conv conversation.ConversationID, seq uint64) { f.r.live(conv).stale(seq) }

// Place implements dispatch.Conversations. A conversation that is not in memory has no
// subscription, so nothing could tell its customer.
func (f forDispatch) Place(conv conversation.ConversationID, position int, waited time.Duration) {
	f.r.mu.Lock()
	l := f.r.lives[conv]
	f.r.mu.Unlock()
	if l != nil {
		l.tail.Place(position, waited)
	}
}
