package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/eventlog"
)

// errGrown: events were appended while bodies were being rewritten.
var errGrown = errors.New("stream grew")

// Rewrite implements eventlog.Log. The functions of rw may take their time and read the log. Then all
// changes are written in one transaction. Old bodies are overwritten in the database
// (secure_delete) and leave the write-ahead log when that is next emptied; they were sealed under
// the old key, and destroying that key is what erases them.
func (l *Log) Rewrite(ctx context.Context, stream eventlog.StreamID, rw eventlog.Rewriting) error {
	select { // of two rewritings at once, one could put back what the other has masked
	case l.rewriting <- struct{}{}:
		defer func() { <-l.rewriting }()
	case <-ctx.Done():
		return fmt.Errorf("rewrite stream %x: %w", stream, ctx.Err())
	}
	const page = 1000
	change := change{key: rw.Key, old: map[int64]bool{}, payloads: map[[16]byte][]byte{}}
	for {
		recs, err := l.Read(ctx, stream, change.head, page)
		if err != nil {
			return fmt.Errorf("rewrite: %w", err)
		}
		for _, r := range recs {
			change.head = r.Seq
			if r.Body == nil {
				continue
			}
			change.old[r.KeyID] = true
			if r.Body, err = rw.Body(r); err != nil {
				return fmt.Errorf("rewrite stream %x seq %d: %w", stream, r.Seq, err)
			}
			r.KeyID = rw.Key
			if len(r.Body) == 0 {
				r.KeyID = 0
			}
			change.bodies = append(change.bodies, r)
		}
		if len(recs) == page {
			continue
		}
		if rw.Payload != nil {
			rows, err := l.Outbox(ctx, eventlog.StreamID{}, true, 0)
			if err == nil {
				err = rw.Payloads(stream, rows, change.payloads)
			}
			if err != nil {
				return fmt.Errorf("rewrite stream %x: %w", stream, err)
			}
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("rewrite stream %x: %w", stream, err)
		}
		if rw.Events != nil {
			change.events = rw.Events()
		}
		// Once the rewrite is queued it is waited for even if ctx ends: the next Rewrite must not
		// overtake one that is still to be applied.
		_, err = l.do(context.WithoutCancel(ctx), func(r *request) {
			r.work = func() error { return l.w.rewrite(stream, &rw, &change) }
		})
		if errors.Is(err, errGrown) {
			continue
		}
		if err != nil {
			return fmt.Errorf("rewrite stream %x: %w", stream, err)
		}
		return nil
	}
}

// change is what a rewriting is to write.
type change struct {
	key      int64
	head     uint64            // the stream's last event that has been read
	bodies   []eventlog.Record // with their new bodies
	payloads map[[16]byte][]byte
	old      map[int64]bool // the keys of the old bodies
	events   []eventlog.Event
}

// rewrite stores new bodies and payloads and appends events, unless the stream has events or payloads
// that have not been read. It notes the old keys as replaced.
func (w *writer) rewrite(stream eventlog.StreamID, rw *eventlog.Rewriting, c *change) error {
	head, err := w.known.Head(stream)
	if err != nil {
		return err
	}
	if head != c.head {
		return errGrown
	}
	rows, err := w.oldPayloads(stream, rw, c)
	if err != nil {
		return err
	}
	old, err := w.sql.conversation.row(stream[:])
	if err != nil {
		return err
	}
	var row eventlog.ConversationRow
	if old != nil {
		if row, err = conversationOf(old); err != nil {
			return err
		}
	}
	for i := range c.bodies {
		r := &c.bodies[i]
		sum := eventSum(stream, r.Seq, timeValue(r.At), &r.Event)
		if _, err := w.sql.setBody.exec(blob(r.Body), r.KeyID, sum, stream[:], int64(r.Seq)); err != nil {
			return err
		}
	}
	for i := range rows {
		o := &rows[i]
		c.old[o.KeyID] = true
		o.Payload, o.KeyID = c.payloads[o.CommandID], c.key
		if _, err := w.sql.setPayload.exec(blob(o.Payload), o.KeyID, outboxSum(o), o.CommandID[:]); err != nil {
			return err
		}
	}
	for i := range c.events {
		w.pos++
		head++
		if err := w.addEvent(stream, head, &c.events[i]); err != nil {
			return err
		}
		w.heads[stream] = head
	}
	for key := range c.old {
		if err := w.noteReplaced(stream, key, c.key); err != nil {
			return err
		}
	}
	w.maxKey = max(w.maxKey, c.key)
	if old == nil {
		return nil
	}
	if err := w.noteReplaced(stream, row.KeyID, c.key); err != nil {
		return err
	}
	stored := row
	row.KeyID = c.key
	return w.setConversation(&row, &stored)
}

// oldPayloads returns the rows that get another payload, or errGrown when there is one whose payload
// has not been sealed anew.
func (w *writer) oldPayloads(stream eventlog.StreamID, rw *eventlog.Rewriting, c *change) (rows []eventlog.OutboxRow, err error) {
	if rw.Payload == nil {
		return nil, nil
	}
	for after := int64(0); ; {
		next, err := w.sql.payload.row(stream[:], after)
		if err != nil || next == nil {
			return rows, err
		}
		id := next.id(0)
		after = next.number(1)
		found, err := w.sql.outbox.row(id[:])
		if err != nil {
			return nil, err
		}
		o, err := outboxOf(found)
		if err != nil {
			return nil, err
		}
		if !rw.HasOld(stream, &o) {
			continue
		}
		payload, seen := c.payloads[id]
		switch {
		case !seen:
			return nil, errGrown
		case payload != nil:
			rows = append(rows, o)
		}
	}
}

func (w *writer) noteReplaced(stream eventlog.StreamID, key, newKey int64) error {
	if key == 0 || key == newKey {
		return nil
	}
	_, err := w.sql.addReplaced.exec(key, stream[:])
	return err
}

// ReplacedKeys implements eventlog.Log.
func (l *Log) ReplacedKeys(ctx context.Context) ([]eventlog.ReplacedKey, error) {
	var out []eventlog.ReplacedKey
	// Not prepared when the log is opened: a log of before this table can be read without it.
	s, err := l.reader.PrepareContext(ctx, `SELECT key_id, stream FROM replaced_keys ORDER BY key_id`)
	if err != nil {
		return nil, fmt.Errorf("read replaced keys: %w", l.readFailure(err))
	}
	defer func() { _ = s.Close() }()
	err = l.query(ctx, s, each(func(c columns) (eventlog.ReplacedKey, error) {
		return eventlog.ReplacedKey{Key: c.number(0), Stream: c.id(1)}, nil
	}, func(r eventlog.ReplacedKey) { out = append(out, r) }))
	if err != nil {
		return nil, fmt.Errorf("read replaced keys: %w", err)
	}
	return out, nil
}

// ForgetKeys implements eventlog.Log.
func (l *Log) ForgetKeys(ctx context.Context, keys ...int64) error {
	_, err := l.do(ctx, func(r *request) {
		r.work = func() error {
			for _, key := range keys {
				if _, err := l.w.sql.delReplaced.exec(key); err != nil {
					return err
				}
			}
			return nil
		}
	})
	if err != nil {
		return fmt.Errorf("forget replaced keys: %w", err)
	}
	return nil
}
