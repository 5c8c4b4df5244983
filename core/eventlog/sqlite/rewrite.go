package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/eventlog"
)

// errGrown: events were appended while bodies were being rewritten.
var errGrown = errors.New("stream grew")

// Rewrite implements eventlog.Log. fn runs in the caller's goroutine, outside any transaction, so
// it may take its time and read the log; it is also called for events that are appended meanwhile.
// Then all changes are written in one transaction. Old bodies are overwritten in the database
// (secure_delete) and leave the write-ahead log when that is next emptied; they were sealed under
// the old key, and destroying that key is what erases them.
func (l *Log) Rewrite(ctx context.Context, stream eventlog.StreamID, newKey int64, fn func(eventlog.Record) ([]byte, error), then func() []eventlog.Event) error {
	// Of two rewrites at once, one could put back what the other has masked.
	l.rewriting.Lock()
	defer l.rewriting.Unlock()
	const page = 1000
	var changed []eventlog.Record
	old := map[int64]bool{}
	var after uint64
	for {
		recs, err := l.Read(ctx, stream, after, page)
		if err != nil {
			return fmt.Errorf("rewrite: %w", err)
		}
		for _, r := range recs {
			after = r.Seq
			if r.Body == nil {
				continue
			}
			old[r.KeyID] = true
			if r.Body, err = fn(r); err != nil {
				return fmt.Errorf("rewrite stream %x seq %d: %w", stream, r.Seq, err)
			}
			r.KeyID = newKey
			if len(r.Body) == 0 {
				r.KeyID = 0
			}
			changed = append(changed, r)
		}
		if len(recs) == page {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("rewrite stream %x: %w", stream, err)
		}
		var events []eventlog.Event
		if then != nil {
			events = then()
		}
		// Once the rewrite is queued it is waited for even if ctx ends: the next Rewrite must not
		// overtake one that is still to be applied.
		_, err = l.do(context.WithoutCancel(ctx), func(r *request) {
			r.work = func() error { return l.w.rewrite(stream, after, newKey, changed, old, events) }
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

// rewrite stores new bodies and appends events, unless the stream has events after head. It notes the
// old keys as replaced.
func (w *writer) rewrite(stream eventlog.StreamID, head uint64, newKey int64, changed []eventlog.Record, keys map[int64]bool, events []eventlog.Event) error {
	now, err := w.known.Head(stream)
	if err != nil {
		return err
	}
	if now != head {
		return errGrown
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
	for i := range changed {
		r := &changed[i]
		sum := eventSum(stream, r.Seq, timeValue(r.At), &r.Event)
		if _, err := w.sql.setBody.exec(blob(r.Body), r.KeyID, sum, stream[:], int64(r.Seq)); err != nil {
			return err
		}
	}
	for i := range events {
		w.pos++
		head++
		if err := w.addEvent(stream, head, &events[i]); err != nil {
			return err
		}
		w.heads[stream] = head
	}
	for key := range keys {
		if err := w.noteReplaced(stream, key, newKey); err != nil {
			return err
		}
	}
	w.maxKey = max(w.maxKey, newKey)
	if old == nil {
		return nil
	}
	if err := w.noteReplaced(stream, row.KeyID, newKey); err != nil {
		return err
	}
	stored := row
	row.KeyID = newKey
	return w.setConversation(&row, &stored)
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
