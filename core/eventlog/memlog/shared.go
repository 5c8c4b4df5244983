package memlog

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// member is a node and when it counts as gone.
type member struct {
	eventlog.Node
	until time.Time
}

// Beat implements eventlog.Shared. Nodes in memory are objects of one process, which cannot be
// killed: a name is free when its node has left or has not called Beat for its ttl.
func (l *Log) Beat(ctx context.Context, n eventlog.Node, ttl time.Duration) ([]eventlog.Node, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	now := time.Now()
	if m, ok := l.members[n.Name]; ok && m.Instance != n.Instance && now.Before(m.until) {
		return nil, fmt.Errorf("node %s: %w", n.Name, eventlog.ErrNameTaken)
	}
	n.Started = utc(n.Started)
	l.members[n.Name] = member{n, now.Add(ttl)}
	var out []eventlog.Node
	for _, m := range l.members {
		if now.Before(m.until) {
			out = append(out, m.Node)
		}
	}
	slices.SortFunc(out, func(a, b eventlog.Node) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Leave implements eventlog.Shared.
func (l *Log) Leave(ctx context.Context, n eventlog.Node) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.mu.Unlock()
	if l.members[n.Name].Instance == n.Instance {
		delete(l.members, n.Name)
	}
	return nil
}

// Follow implements eventlog.Shared.
func (l *Log) Follow(ctx context.Context, told func([]eventlog.Head)) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	after := len(l.events)
	l.mu.Unlock()
	told(nil)
	for {
		if err := l.Wait(ctx, int64(after)); err != nil {
			return err
		}
		if err := l.enter(ctx); err != nil {
			return err
		}
		heads := l.heads(after)
		after = len(l.events)
		l.mu.Unlock()
		told(heads)
	}
}

// heads lists the streams with events after a position. The caller holds l.mu.
func (l *Log) heads(after int) (out []eventlog.Head) {
	byStream := map[eventlog.StreamID]*eventlog.Head{}
	for _, r := range l.events[after:] {
		h := byStream[r.Stream]
		if h == nil {
			h = &eventlog.Head{Stream: r.Stream, Type: r.Type}
			if c := l.conversations[r.Stream]; c != nil {
				h.Display, h.Due = c.Display, c.Due
			}
			byStream[r.Stream] = h
		}
		h.Seq, h.New = r.Seq, h.New || r.Seq == 1
	}
	for _, h := range byStream {
		out = append(out, *h)
	}
	return out
}

// FollowOutbox implements eventlog.Shared.
func (l *Log) FollowOutbox(ctx context.Context, node string, told func([][16]byte)) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	after := len(l.outbox)
	l.mu.Unlock()
	told(nil)
	for {
		if err := l.enter(ctx); err != nil {
			return err
		}
		var commands [][16]byte
		for _, row := range l.outbox[after:] {
			if row.Node == node && row.State.Pending() {
				commands = append(commands, row.CommandID)
			}
		}
		after = len(l.outbox)
		grown := l.grown
		l.mu.Unlock()
		if len(commands) > 0 {
			told(commands)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// Overdue implements eventlog.Shared.
func (l *Log) Overdue(ctx context.Context, before, due time.Time, id eventlog.StreamID, limit int) ([]eventlog.ConversationRow, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	var out []eventlog.ConversationRow
	for _, r := range l.conversations {
		later := cmp.Or(r.Due.Compare(due), bytes.Compare(r.ID[:], id[:])) > 0
		if !r.Due.IsZero() && r.Phase != eventlog.PhaseConcluded && r.Due.Before(before) && later {
			out = append(out, copyRow(r))
		}
	}
	slices.SortFunc(out, func(a, b eventlog.ConversationRow) int {
		return cmp.Or(a.Due.Compare(b.Due), bytes.Compare(a.ID[:], b.ID[:]))
	})
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}
