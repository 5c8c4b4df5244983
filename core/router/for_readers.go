package router

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
)

// forReaders is the router as the readers see it: readers.Conversations.
type forReaders struct{ r *Router }

// Tail implements readers.Conversations.
func (f forReaders) Tail(conv conversation.ConversationID) *readers.Tail { return f.r.live(conv).tail }

// CatchUp implements readers.Conversations.
func (f forReaders) CatchUp(conv conversation.ConversationID) {
	f.r.live(conv).submit(&task{done: func(outcome, error) {}})
}

// NewFeed opens a reader of many conversations (readers.Readers.NewFeed).
func (r *Router) NewFeed(agent conversation.AgentID, audience conversation.Audience, wake func()) *readers.Feed {
	return r.readers.NewFeed(agent, audience, wake)
}

// Records reads events that the audience may see after a sequence
// (readers.Readers.Records).
func (r *Router) Records(ctx context.Context, conv conversation.ConversationID, audience conversation.Audience, after uint64, limit int) ([]readers.Record, error) {
	return r.readers.Records(ctx, conv, audience, after, limit)
}

// Recent returns what waits unread for an agent now.
func (r *Router) Recent(_ context.Context, agent conversation.AgentID) readers.Recent {
	return r.readers.Recent(agent)
}

// Subscribe opens a reader of a thread (plugin.Core). The conversation that spec.After names must
// belong to the thread.
func (r *Router) Subscribe(ctx context.Context, spec plugin.SubscriptionSpec, sink plugin.Sink) (plugin.Reader, error) {
	acc, ok := r.dir.Snapshot().Account(spec.Account)
	if !ok || acc.Plugin != spec.Plugin {
		return nil, refusedSubscription(ErrUnknownAccount)
	}
	if !spec.Bot.IsZero() {
		return r.subscribeBot(ctx, spec, sink)
	}
	th := r.hold(spec.Account, spec.Thread)
	defer th.release()
	s := r.readers.NewSubscription(th, spec.Audience, spec.Credit, sink)
	open, err := th.resolve(ctx) // resolved first, since the conversation to resume may be the open one
	if err != nil {
		return nil, err
	}
	if !spec.After.IsZero() && (open == nil || open.id != spec.After) {
		l := r.live(spec.After)
		mine := false
		_, err := l.do(ctx, &task{read: func(st *conversation.State) {
			for _, e := range st.Endpoints {
				mine = mine || e.Account == spec.Account && e.Thread == th.hex
			}
		}})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if !mine {
			return nil, refusedSubscription(ErrNotFound)
		}
		th.attach(s, l, spec.AfterSeq)
	}
	th.mu.Lock()
	th.subs = append(th.subs, s)
	if th.open != nil {
		after := uint64(0)
		if th.open.id == spec.After {
			after = spec.AfterSeq
		}
		th.attach(s, th.open, after)
	}
	th.mu.Unlock()
	s.Start()
	return s, nil
}

// refusedSubscription wraps err with its published code, which the plugin gets.
func refusedSubscription(err error) error {
	return fmt.Errorf("router: subscribe: %w: %w", err, &plugin.SubscribeError{Code: Code(err)})
}

// attach gives a subscription a conversation of its thread to read. A customer who waits in a queue
// is told the position again, now that the subscription can pass it on.
func (th *thread) attach(s *readers.Subscription, l *live, after uint64) {
	s.Attach(l.tail, after)
	th.r.dispatch.TellAgain()
}

// Left implements readers.Thread.
func (th *thread) Left(s *readers.Subscription) {
	th.used.Store(th.r.now().UnixNano()) // the thread must stay, since a signal that the customer has gone may follow
	th.mu.Lock()
	th.subs = slices.DeleteFunc(slices.Clone(th.subs), func(x *readers.Subscription) bool { return x == s })
	th.mu.Unlock()
}
