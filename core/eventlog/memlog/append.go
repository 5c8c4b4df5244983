package memlog

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// Append implements eventlog.Log: everything is checked before anything is
// written.
func (l *Log) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	if err := b.Validate(); err != nil {
		return eventlog.Appended{}, err
	}
	if err := l.enter(ctx); err != nil {
		return eventlog.Appended{}, err
	}
	defer l.mu.Unlock()
	checked, err := b.Check(known{l}, int64(len(l.events))+1)
	if err != nil {
		l.stats.Conflicts++
		return eventlog.Appended{}, err
	}
	l.apply(b, checked)
	l.stats.Batches++
	l.stats.Appends++
	return checked.Appended, nil
}

func (l *Log) apply(b *eventlog.Batch, checked eventlog.Checked) {
	done := checked.Appended
	before := len(l.events)
	for i, s := range b.Streams {
		for j, e := range s.Events {
			e.At, e.Head, e.Body = utc(e.At), bytes.Clone(e.Head), bytes.Clone(e.Body)
			l.streams[s.Stream] = append(l.streams[s.Stream], len(l.events))
			l.events = append(l.events, eventlog.Record{
				Pos:    int64(len(l.events)) + 1,
				Stream: s.Stream,
				Seq:    done.Streams[i].FirstSeq + uint64(j),
				Event:  e,
			})
		}
	}
	for _, x := range checked.Bind {
		l.external[boundKey{x.Account, x.Key}] = boundEvent{x.Stream, x.Seq}
	}
	for _, t := range b.CloseThreads {
		if k := (boundKey{t.Account, t.Key}); l.threads[k] == t.Conversation {
			delete(l.threads, k)
		}
	}
	for _, t := range b.OpenThreads {
		l.threads[boundKey{t.Account, t.Key}] = t.Conversation
	}
	l.applyRows(b, done)
	l.maxKey = max(l.maxKey, b.MaxKeyID())
	n := len(l.events) - before
	l.stats.Events += uint64(n)
	if n+len(b.Outbox) > 0 {
		close(l.grown)
		l.grown = make(chan struct{})
	}
}

func (l *Log) applyRows(b *eventlog.Batch, done eventlog.Appended) {
	for i := range b.Conversations {
		r := copyRow(&b.Conversations[i])
		r.StartedAt, r.EndedAt, r.Due = utc(r.StartedAt), utc(r.EndedAt), utc(r.Due)
		if old := l.conversations[r.ID]; old != nil {
			r.Agents = eventlog.MergeAgents(old.Agents, r.Agents)
			r.StartedAt = old.StartedAt
		}
		l.conversations[r.ID] = &r
	}
	for _, a := range b.Agents {
		a.State = bytes.Clone(a.State)
		l.agents[a.ID] = a
	}
	for i := range b.Outbox {
		o := copyOutbox(&b.Outbox[i])
		o.Seq, o.Index = b.SeqOf(done, o.Conversation, o.Index, o.Seq), -1
		o.NotBefore, o.Deadline = utc(o.NotBefore), utc(o.Deadline)
		l.outbox = append(l.outbox, &o)
		l.commands[o.CommandID] = &o
	}
	for _, u := range b.OutboxUpdates {
		u.NotBefore, u.Deadline = utc(u.NotBefore), utc(u.Deadline)
		u.Apply(l.commands[u.CommandID])
	}
	for _, ref := range b.JoinReceipts {
		delete(l.receipts, boundKey{ref.Account, ref.Key})
	}
	for _, e := range b.ParkReceipts {
		l.park(e)
	}
}

// AcquireLease implements eventlog.Log.
func (l *Log) AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (int64, bool, error) {
	if err := l.enter(ctx); err != nil {
		return 0, false, err
	}
	defer l.mu.Unlock()
	now := time.Now()
	held := l.leases[name]
	if held == nil {
		held = &lease{}
		l.leases[name] = held
	}
	if held.node != node {
		if held.node != "" && now.Before(held.until) {
			return held.epoch, false, nil
		}
		held.node = node
		held.epoch++
	}
	held.until = now.Add(ttl)
	return held.epoch, true, nil
}

// ReleaseLease implements eventlog.Log.
func (l *Log) ReleaseLease(ctx context.Context, name, node string, epoch int64) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.mu.Unlock()
	if held := l.leases[name]; held != nil && held.node == node && held.epoch == epoch {
		held.node = ""
	}
	return nil
}

// Rewrite implements eventlog.Log. The functions of rw run outside the lock, so they may read.
func (l *Log) Rewrite(ctx context.Context, stream eventlog.StreamID, rw eventlog.Rewriting) error {
	select {
	case l.rewriting <- struct{}{}:
		defer func() { <-l.rewriting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	bodies, payloads := map[uint64][]byte{}, map[[16]byte][]byte{}
	old := map[int64]bool{}
	var after uint64
	for {
		recs, err := l.Read(ctx, stream, after, 0)
		if err != nil {
			return err
		}
		for _, r := range recs {
			after = r.Seq
			if r.Body == nil {
				continue
			}
			old[r.KeyID] = true
			if bodies[r.Seq], err = rw.Body(r); err != nil {
				return fmt.Errorf("rewrite stream %x seq %d: %w", stream, r.Seq, err)
			}
		}
		rows, err := l.Outbox(ctx, eventlog.StreamID{}, true, 0)
		if err != nil {
			return err
		}
		if err := rw.Payloads(stream, rows, payloads); err != nil {
			return fmt.Errorf("rewrite stream %x: %w", stream, err)
		}
		var events []eventlog.Event
		if rw.Events != nil {
			events = rw.Events()
		}
		if err := l.enter(ctx); err != nil {
			return err
		}
		if uint64(len(l.streams[stream])) > after || l.unseen(stream, &rw, payloads) { // what there is grew meanwhile
			l.mu.Unlock()
			continue
		}
		defer l.mu.Unlock()
		for seq, body := range bodies {
			r := &l.events[l.streams[stream][seq-1]]
			r.Body, r.KeyID = bytes.Clone(body), rw.Key
			if body == nil {
				r.KeyID = 0
			}
		}
		if c := l.conversations[stream]; c != nil {
			old[c.KeyID] = true
			c.KeyID = rw.Key
		}
		for id, payload := range payloads {
			if o := l.commands[id]; payload != nil && rw.HasOld(stream, o) {
				old[o.KeyID] = true
				o.Payload, o.KeyID = bytes.Clone(payload), rw.Key
			}
		}
		for key := range old {
			if key != rw.Key && key != 0 {
				l.replaced[key] = stream
			}
		}
		if len(events) > 0 {
			b := &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: stream, Expect: after, Events: events}}}
			l.apply(b, eventlog.Checked{Appended: eventlog.Appended{Streams: []eventlog.AppendedStream{{FirstSeq: after + 1}}}})
		}
		l.maxKey = max(l.maxKey, rw.Key)
		return nil
	}
}

// unseen reports whether a row has a payload that is not in sealed. It needs l.mu.
func (l *Log) unseen(stream eventlog.StreamID, rw *eventlog.Rewriting, sealed map[[16]byte][]byte) bool {
	return slices.ContainsFunc(l.outbox, func(o *eventlog.OutboxRow) bool {
		_, seen := sealed[o.CommandID]
		return !seen && rw.HasOld(stream, o)
	})
}

// ReplacedKeys implements eventlog.Log.
func (l *Log) ReplacedKeys(ctx context.Context) ([]eventlog.ReplacedKey, error) {
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	var out []eventlog.ReplacedKey
	for _, key := range slices.Sorted(maps.Keys(l.replaced)) {
		out = append(out, eventlog.ReplacedKey{Stream: l.replaced[key], Key: key})
	}
	return out, nil
}

// ForgetKeys implements eventlog.Log.
func (l *Log) ForgetKeys(ctx context.Context, keys ...int64) error {
	if err := l.enter(ctx); err != nil {
		return err
	}
	defer l.mu.Unlock()
	for _, key := range keys {
		delete(l.replaced, key)
	}
	return nil
}
