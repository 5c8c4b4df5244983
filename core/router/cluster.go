package router

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Nodes is what the router needs to know of the installation's nodes (nodes.Keeper).
type Nodes interface {
	// Owns reports whether this node is the preferred owner of a conversation or an agent.
	Owns(id [16]byte) bool
	// Gone reports whether a node that was there is there no more; false while that is not certain.
	Gone(name string) bool
	// Changes returns a channel that gets a token when an answer of the others may have changed.
	Changes() (<-chan struct{}, func())
}

const (
	// backup is how long after a deadline another node than the owner carries it out, if it has the
	// conversation or the agent in memory.
	backup = 5 * time.Second
	// sweepEvery is how often a node looks for deadlines of which nobody told it.
	sweepEvery = 3 * time.Second
	// sweepAhead is how far ahead it looks, so that what it finds is carried out in time.
	sweepAhead = 2 * sweepEvery
	// sweepOthers is how long a deadline must have passed before a node that does not own the
	// conversation looks at it.
	sweepOthers = 15 * time.Second
	// sweepPage is how many rows are read at a time, and sweepPages how many times in one sweep.
	sweepPage, sweepPages = 500, 8
	// followWithin is how long a start waits for the log's follower.
	followWithin = 15 * time.Second
)

// owns reports whether this node is the preferred owner of a conversation or an agent.
func (r *Router) owns(id [16]byte) bool { return r.nodes == nil || r.nodes.Owns(id) }

// setTimer sets a deadline at this node: at its time if the node is the owner of the stream, else
// later, for the case that the owner does not carry it out.
func (r *Router) setTimer(id timerID, at time.Time) {
	if !r.owns(id.stream) {
		at = at.Add(backup)
	}
	r.timers.Set(id, at)
}

// followLog begins to follow what other nodes commit, and returns once nothing is missed any more.
// What is heard waits until ready is closed. Without it the router hears of other nodes' commits by
// hints alone, which may all be lost (PR8).
func (r *Router) followLog(ctx context.Context, ready <-chan struct{}) error {
	if r.nodes == nil {
		return nil
	}
	begun := make(chan struct{}, 2) // a token from each of the two that follow
	first, firstRows := sync.OnceFunc(func() { begun <- struct{}{} }), sync.OnceFunc(func() { begun <- struct{}{} })
	r.spawn(func() {
		err := r.shared.FollowOutbox(r.ctx, r.node, func(commands [][16]byte) {
			firstRows()
			if len(commands) == 0 {
				return
			}
			select {
			case <-ready:
				r.outbox.Heard(r.ctx, commands)
			case <-r.ctx.Done():
			}
		})
		if r.ctx.Err() == nil {
			r.logger.Error("other nodes' commands are not followed any more", "err", err)
		}
	})
	r.spawn(func() {
		err := r.shared.Follow(r.ctx, func(heads []eventlog.Head) {
			first()
			if len(heads) == 0 {
				return
			}
			select {
			case <-ready:
				r.grew(heads)
			case <-r.ctx.Done():
			}
		})
		if r.ctx.Err() == nil {
			r.logger.Error("the log is not followed any more", "err", err)
		}
	})
	t := time.NewTimer(followWithin)
	defer t.Stop()
	for range cap(begun) {
		select {
		case <-begun:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return fmt.Errorf("follow the log: %w", eventlog.ErrUnavailable)
		}
	}
	return nil
}

// agentTypes is how the types of agents' streams begin.
const agentTypes = "agent."

// grew takes word of streams that have grown, mostly because of other nodes. Of this node's own
// commits the memory knows already.
func (r *Router) grew(heads []eventlog.Head) {
	for i := range heads {
		h := &heads[i]
		switch {
		case h.Display != "":
			r.conversationGrew(h)
		case strings.HasPrefix(h.Type, agentTypes):
			if id := conversation.AgentID(h.Stream); r.agents.State(id).Seq < h.Seq {
				r.agents.Behind(id, h.Seq)
			}
		}
	}
}

func (r *Router) conversationGrew(h *eventlog.Head) {
	id := conversation.ConversationID(h.Stream)
	if !h.Due.IsZero() && r.owns(id) {
		r.timers.Set(timerID{timerConversation, id}, h.Due)
	}
	r.mu.Lock()
	l := r.lives[id]
	r.mu.Unlock()
	if l == nil && r.concerned(h) {
		l = r.live(id)
	}
	if l != nil && l.tail.Head() < h.Seq {
		l.stale(h.Seq)
	}
}

// concerned reports whether something here may depend on a conversation that is not in memory: a
// thread that somebody reads, on which the conversation has begun; the Recent of an agent; or the
// queues, if this node leads the ACD; a call or tool that a plugin here has.
//
// It also covers conversations of nodes of a version that writes no Due, during an update: each is
// loaded when it begins, so that this node has its timer from then on, and those that began before
// this node did are visited at its start (recoverTimer). A timer that fires sets the next one.
func (r *Router) concerned(h *eventlog.Head) bool {
	d := conversation.Display(h.Display)
	waits := d == conversation.DisplayParked || d == conversation.DisplayQueued || d == conversation.DisplayOffered
	return waits || h.New || r.dispatch.Leads() || r.readers.Waits(conversation.ConversationID(h.Stream)) || r.sessions.Holds(conversation.ConversationID(h.Stream))
}

// sweepNodes looks for what nobody told this node of, and ends what nodes that are gone have left,
// until ctx ends.
func (r *Router) sweepNodes(ctx context.Context) {
	if r.nodes == nil {
		return
	}
	changes, cancel := r.nodes.Changes()
	defer cancel()
	t := time.NewTimer(0)
	defer t.Stop()
	var from eventlog.ConversationRow
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			from = eventlog.ConversationRow{}
		case <-t.C:
		}
		r.agents.NodesGone(r.nodes.Gone, func(id conversation.AgentID) bool { return r.owns(id) })
		var err error
		if from, err = r.sweep(ctx, from); err != nil && ctx.Err() == nil {
			r.logger.Warn("cannot look for conversations that are due", "err", err)
		}
		t.Reset(sweepEvery)
	}
}

// sweep sets timers for conversations that are due, or soon will be, and have none here. It reads
// rows from the one after from, and returns the row after which to go on next time; zero: all were
// read.
func (r *Router) sweep(ctx context.Context, from eventlog.ConversationRow) (eventlog.ConversationRow, error) {
	now := r.now()
	for range sweepPages {
		rows, err := r.shared.Overdue(ctx, now.Add(sweepAhead), from.Due, from.ID, sweepPage)
		if err != nil {
			return eventlog.ConversationRow{}, err
		}
		for i := range rows {
			r.found(&rows[i], now)
		}
		if len(rows) < sweepPage {
			return eventlog.ConversationRow{}, nil
		}
		from = rows[len(rows)-1]
	}
	return from, nil
}

// found sets the timer of a conversation that a sweep has found.
func (r *Router) found(row *eventlog.ConversationRow, now time.Time) {
	id := timerID{timerConversation, row.ID}
	if r.timers.Has(id) || !r.owns(row.ID) && now.Sub(row.Due) < sweepOthers {
		return
	}
	if row.Due.Before(now) {
		r.metrics.found.Inc()
	}
	r.timers.Set(id, spreadRow(conversation.Display(row.Display), row.ID, row.Due, now))
}

// checkNodes completes the options of a router that is one of several nodes.
func (r *Router) checkNodes(o Options) error {
	r.nodes = o.Nodes
	if o.Nodes == nil {
		return nil
	}
	shared, ok := o.Log.(eventlog.Shared)
	if !ok {
		return errors.New("router: this log cannot be shared by several nodes")
	}
	r.shared = shared
	return nil
}
