package sqlite

import (
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/eventlog"
)

// append checks b and, if nothing stands against it, writes it into the open
// transaction. It writes nothing when it returns an error that is not
// SQLite's, so that a conflict leaves its neighbours alone. The writer is the
// only one to write events, so what it checked stays true until the commit.
func (w *writer) append(b *eventlog.Batch) (eventlog.Appended, error) {
	if err := w.holdsLease(b.Lease); err != nil {
		return eventlog.Appended{}, err
	}
	done, err := w.place(b)
	if err != nil {
		return eventlog.Appended{}, err
	}
	if err := w.checkThreads(b); err != nil {
		return eventlog.Appended{}, err
	}
	if err := w.checkOutbox(b); err != nil {
		return eventlog.Appended{}, err
	}
	if err := w.checkReceipts(b, done); err != nil {
		return eventlog.Appended{}, err
	}
	// Checks by inserting; therefore last.
	if err := w.bindExternal(b, done); err != nil {
		return eventlog.Appended{}, err
	}
	if err := w.write(b, done); err != nil {
		return eventlog.Appended{}, fmt.Errorf("%w: %w", errPartial, err)
	}
	return done, nil
}

// head is the last sequence of a stream, 0 when it has none.
func (w *writer) head(stream eventlog.StreamID) (uint64, error) {
	if h, ok := w.heads[stream]; ok {
		return h, nil
	}
	row, err := w.sql.head.row(stream[:])
	if err != nil {
		return 0, err
	}
	return uint64(row[0].(int64)), nil
}

// place decides the sequence and position of each event.
func (w *writer) place(b *eventlog.Batch) (eventlog.Appended, error) {
	done := eventlog.Appended{Streams: make([]eventlog.AppendedStream, len(b.Streams))}
	pos := w.pos + 1
	for i := range b.Streams {
		s := &b.Streams[i]
		head, err := w.head(s.Stream)
		if err != nil {
			return done, err
		}
		for j := range b.Streams[:i] { // a stream may come twice
			if b.Streams[j].Stream == s.Stream {
				head += uint64(len(b.Streams[j].Events))
			}
		}
		if s.Expect != eventlog.ExpectAny && s.Expect != head {
			return done, fmt.Errorf("append to stream %x at %d, head is %d: %w", s.Stream, s.Expect, head, eventlog.ErrConflict)
		}
		done.Streams[i] = eventlog.AppendedStream{FirstSeq: head + 1, FirstPos: pos}
		pos += int64(len(s.Events))
	}
	return done, nil
}

// boundKey is an account's thread or external id.
type boundKey struct {
	account eventlog.StreamID
	key     eventlog.Key
}

func (w *writer) checkThreads(b *eventlog.Batch) error {
	if len(b.OpenThreads) == 0 {
		return nil
	}
	changed := make(map[boundKey]eventlog.StreamID, len(b.OpenThreads))
	holder := func(k boundKey) (eventlog.StreamID, error) {
		if c, ok := changed[k]; ok {
			return c, nil
		}
		row, err := w.sql.thread.row(k.account[:], k.key[:])
		if err != nil || row == nil {
			return eventlog.StreamID{}, err
		}
		return idOf(row[0].([]byte)), nil
	}
	for _, t := range b.CloseThreads {
		k := boundKey{t.Account, t.Key}
		if c, err := holder(k); err != nil {
			return err
		} else if c == t.Conversation {
			changed[k] = eventlog.StreamID{}
		}
	}
	for _, t := range b.OpenThreads {
		k := boundKey{t.Account, t.Key}
		c, err := holder(k)
		if err != nil {
			return err
		}
		if c != (eventlog.StreamID{}) && c != t.Conversation {
			t.Conversation = c
			return &eventlog.ThreadOpenError{Thread: t}
		}
		changed[k] = t.Conversation
	}
	return nil
}

// bindExternal inserts the external ids of b, or none of them.
func (w *writer) bindExternal(b *eventlog.Batch, done eventlog.Appended) error {
	var same []int // bound before to the same event
	for i := range b.External {
		x := &b.External[i]
		seq := b.SeqOf(done, x.Stream, x.Index, x.Seq)
		n, err := w.sql.addExternal.exec(x.Account[:], x.Key[:], x.Stream[:], int64(seq),
			externalSum(x.Account, x.Key, x.Stream, seq))
		if err != nil {
			return err
		}
		if n == 1 {
			continue
		}
		row, err := w.sql.external.row(x.Account[:], x.Key[:])
		if err != nil {
			return err
		}
		dup := &eventlog.DuplicateError{
			Account: x.Account, Key: x.Key,
			Stream: idOf(row[0].([]byte)), Seq: uint64(row[1].(int64)),
		}
		if dup.Stream == x.Stream && dup.Seq == seq {
			same = append(same, i)
			continue
		}
		for j, x := range b.External[:i] {
			if slices.Contains(same, j) {
				continue
			}
			if _, err := w.sql.dropExternal.exec(x.Account[:], x.Key[:]); err != nil {
				return err
			}
		}
		return dup
	}
	return nil
}

// write puts into the transaction what the checks let through.
func (w *writer) write(b *eventlog.Batch, done eventlog.Appended) error {
	for i := range b.Streams {
		s := &b.Streams[i]
		seq := done.Streams[i].FirstSeq
		for j := range s.Events {
			w.pos++
			if err := w.addEvent(s.Stream, seq, &s.Events[j]); err != nil {
				return err
			}
			seq++
		}
		w.heads[s.Stream] = seq - 1
	}
	for _, t := range b.CloseThreads {
		if _, err := w.sql.delThread.exec(t.Account[:], t.Key[:], t.Conversation[:]); err != nil {
			return err
		}
	}
	for i := range b.OpenThreads {
		t := &b.OpenThreads[i]
		if _, err := w.sql.addThread.exec(t.Account[:], t.Key[:], t.Conversation[:], threadSum(t)); err != nil {
			return err
		}
	}
	for i := range b.Conversations {
		if err := w.putConversation(&b.Conversations[i]); err != nil {
			return err
		}
	}
	for i := range b.Agents {
		a := &b.Agents[i]
		if _, err := w.sql.setAgent.exec(a.ID[:], int64(a.Seq), blob(a.State), agentSum(a)); err != nil {
			return err
		}
	}
	w.maxKey = max(w.maxKey, b.MaxKeyID())
	if err := w.writeOutbox(b, done); err != nil {
		return err
	}
	return w.writeReceipts(b)
}

func (w *writer) addEvent(stream eventlog.StreamID, seq uint64, e *eventlog.Event) error {
	at := timeValue(e.At)
	_, err := w.sql.addEvent.exec(w.pos, stream[:], int64(seq), at, e.Type, blob(e.Head), blob(e.Body), e.KeyID,
		eventSum(stream, seq, at, e))
	return err
}
