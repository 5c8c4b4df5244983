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
func (l *Log) Rewrite(ctx context.Context, stream eventlog.StreamID, newKey int64, fn func(eventlog.Record) ([]byte, error)) error {
	// Of two rewrites at once, one could put back what the other has masked.
	l.rewriting.Lock()
	defer l.rewriting.Unlock()
	const page = 1000
	var changed []eventlog.Record
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
		// Once the rewrite is queued it is waited for even if ctx ends: the next Rewrite must not
		// overtake one that is still to be applied.
		_, err = l.do(context.WithoutCancel(ctx), func(r *request) {
			r.work = func() error { return l.w.rewrite(stream, after, newKey, changed) }
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

// rewrite stores new bodies, unless the stream has events after head.
func (w *writer) rewrite(stream eventlog.StreamID, head uint64, newKey int64, changed []eventlog.Record) error {
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
	w.maxKey = max(w.maxKey, newKey)
	if old == nil {
		return nil
	}
	stored := row
	row.KeyID = newKey
	return w.setConversation(&row, &stored)
}
