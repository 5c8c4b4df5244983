package sqlite

import (
	"fmt"

	"github.com/parley-gateway/parley/core/eventlog"
)

// append checks b and, if b passes, writes it into the open transaction. When it returns an error
// that is not SQLite's, it has written nothing, so that a conflict does not affect the other
// appends of the batch. No other goroutine writes events, so what it checked stays true until the
// commit.
//
// External ids are nearly always new. The first check therefore assumes that they are free, and the
// insert shows if one is not; then the second check reads them. If b parks a receipt its id is read
// at once, since no insert would show that it is bound.
func (w *writer) append(b *eventlog.Batch) (eventlog.Appended, error) {
	w.known.believes = len(b.ParkReceipts) == 0
	for {
		checked, err := b.Check(&w.known, w.pos+1)
		if err != nil {
			return eventlog.Appended{}, err
		}
		free, err := w.bind(checked.Bind)
		if err != nil {
			return eventlog.Appended{}, err
		}
		if !free && w.known.believes {
			w.known.believes = false
			continue
		}
		if err := w.write(b, checked.Appended); err != nil {
			return eventlog.Appended{}, fmt.Errorf("%w: %w", errPartial, err)
		}
		return checked.Appended, nil
	}
}

// bind inserts external ids; if one of them is not free it inserts none.
func (w *writer) bind(ids []eventlog.ExternalID) (free bool, err error) {
	for i := range ids {
		x := &ids[i]
		n, err := w.sql.addExternal.exec(x.Account[:], x.Key[:], x.Stream[:], int64(x.Seq),
			externalSum(x.Account, x.Key, x.Stream, x.Seq))
		if err != nil {
			return false, err
		}
		if n == 1 {
			continue
		}
		for _, x := range ids[:i] {
			if _, err := w.sql.dropExternal.exec(x.Account[:], x.Key[:]); err != nil {
				return false, err
			}
		}
		return false, nil
	}
	return true, nil
}

// write writes a checked batch into the transaction.
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
