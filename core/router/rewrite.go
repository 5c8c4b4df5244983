package router

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/vault"
)

// Rewriting says how Rewrite changes what was said in a conversation.
type Rewriting struct {
	By     conversation.Author
	Reason string // a short code, such as masked or erased: 1 to 32 small letters, digits and "_"
	// Change returns the body that an event gets: the same bytes leave it as it is, nil removes it. It is
	// called for each event that has a body, perhaps more than once, and must not call the router. Its
	// error ends the rewriting with nothing changed.
	Change func(readers.Record) (json.RawMessage, error)
}

var goodReason = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

// Rewrite changes the bodies of a conversation in the log for good, for masking and erasure (PR21,
// L8). All bodies are sealed under a fresh data key, attachments that no message names any more are
// deleted, and the old key is destroyed, so that copies of the old text cannot be read anywhere. Who
// reads the conversation hears of it by conversation.ContentRewritten. Who may ask for it is the
// caller's to check.
//
// It returns when all of this is done. After a crash or an error in between, what was changed stays
// changed, and the rest is finished by itself: at the start of a node, and every minute. Errors:
// ErrInvalid, ErrNotFound, that of Change, and those of log, attachments and key store. A conversation
// whose data key is damaged cannot be rewritten before the key store is restored.
//
// What plugins and browsers have received before they keep or forget by themselves.
func (r *Router) Rewrite(ctx context.Context, conv conversation.ConversationID, w Rewriting) error {
	if w.Change == nil || !goodReason.MatchString(w.Reason) {
		return fmt.Errorf("router: rewrite: %w", ErrInvalid)
	}
	l := r.live(conv)
	if _, err := l.do(ctx, &task{alone: func() error { return l.rewrite(w) }}); err != nil {
		return err
	}
	return r.finishRewrite(ctx, conv)
}

// rewrite runs on the conversation's worker, so nothing of this node is appended meanwhile. What
// another node appends is rewritten too.
func (l *live) rewrite(w Rewriting) error {
	r := l.r
	if _, err := r.log.Conversation(r.ctx, eventlog.StreamID(l.id)); errors.Is(err, eventlog.ErrNotFound) {
		return fmt.Errorf("router: rewrite %s: %w", l.id, ErrNotFound)
	} else if err != nil {
		return fmt.Errorf("router: rewrite %s: %w", l.id, err)
	}
	key, err := r.vault.Assign()
	if err != nil {
		return fmt.Errorf("router: rewrite %s: %w", l.id, err)
	}
	var changed [conversation.AudienceAudit + 1][]uint64 // by audience
	err = r.log.Rewrite(r.commits, eventlog.StreamID(l.id), eventlog.Rewriting{Key: key, Body: func(rec eventlog.Record) ([]byte, error) {
		plain, err := r.vault.Open(rec.KeyID, readers.BodyAAD(rec.Stream, rec.Seq), rec.Body)
		if errors.Is(err, vault.ErrDestroyed) {
			return nil, nil // nobody can read it any more
		}
		if err != nil {
			return nil, err
		}
		t := conversation.Type(rec.Type)
		body, err := w.Change(readers.Record{Conversation: l.id, Seq: rec.Seq, At: rec.At.UTC(), Type: t, Head: rec.Head, Body: bytes.Clone(plain)})
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(body, plain) {
			circle := conversation.AudienceAudit
			if h, err := conversation.DecodeHead(t, rec.Head); err == nil {
				circle = h.Audience()
			}
			changed[circle] = append(changed[circle], rec.Seq)
		}
		if len(body) == 0 {
			return nil, nil
		}
		return r.seal(l.id, rec.Seq, key, body)
	}, Payload: func(row eventlog.OutboxRow) ([]byte, error) {
		plain, err := r.vault.Open(row.KeyID, payloadAAD(&row), row.Payload)
		if errors.Is(err, vault.ErrDestroyed) {
			return nil, nil // nobody can read it any more
		}
		if err != nil {
			return nil, err
		}
		return r.vault.Seal(key, payloadAAD(&row), plain)
	}, Events: func() []eventlog.Event { return told(w, changed, r.now().UTC()) }})
	l.state = nil // the log has another key, and an event more, unless the rewriting failed
	if err != nil {
		if eventlog.InDoubt(err) {
			r.doubtConversation(l.id)
		}
		return fmt.Errorf("router: rewrite %s: %w", l.id, err)
	}
	r.metrics.rewritten.Inc()
	r.outbox.Rewritten(l.id)
	if err := l.load([]*task{{}}); err != nil { // readers hear of it
		r.logger.Warn("conversation not read again after it was rewritten", "conversation_id", l.id, "err", err)
		l.tail.Unknown()
	} else {
		r.bus.Publish(bus.Hint{Node: r.node, Kind: bus.Conversation, Stream: l.id, Seq: l.state.Seq})
	}
	return nil
}

// told makes the events that tell each circle which of the events that it may see have changed.
func told(w Rewriting, changed [conversation.AudienceAudit + 1][]uint64, now time.Time) (events []eventlog.Event) {
	add := func(circle conversation.Audience, seqs []uint64) {
		h := &conversation.ContentRewritten{By: w.By, Seqs: seqs, Reason: w.Reason, Circle: circle}
		head, err := json.Marshal(h)
		if err != nil { // ids and numbers are always encoded
			return
		}
		events = append(events, eventlog.Event{Type: string(h.Type()), At: now, Head: head})
	}
	for circle, seqs := range changed {
		if len(seqs) > 0 {
			add(conversation.Audience(circle), seqs)
		}
	}
	if len(events) == 0 {
		add(conversation.AudienceAudit, []uint64{})
	}
	return events
}

// finishWithin bounds how long finishing one rewriting is tried at a time.
const finishWithin = time.Minute

// finishRewrite does what follows a rewriting: it seals the attachments under the conversation's new
// key, deletes those that no message names any more, and destroys the replaced keys. It may be
// repeated at any point, also by several at once: the log remembers the keys until they are destroyed,
// and attachments that got a newer key meanwhile keep it. It does without the conversation's mailbox, so
// that a slow store of attachments or keys does not hold the conversation up.
func (r *Router) finishRewrite(ctx context.Context, conv conversation.ConversationID) error {
	ctx, cancel := context.WithTimeout(ctx, finishWithin)
	defer cancel()
	defer context.AfterFunc(r.commits, cancel)()
	if err := r.destroyReplaced(ctx, conv); err != nil {
		return fmt.Errorf("router: finish rewriting %s: %w", conv, err)
	}
	return nil
}

func (r *Router) destroyReplaced(ctx context.Context, conv conversation.ConversationID) error {
	stream := eventlog.StreamID(conv)
	all, err := r.log.ReplacedKeys(ctx)
	if err != nil {
		return err
	}
	var old []int64
	for _, k := range all {
		if k.Stream == stream {
			old = append(old, k.Key)
		}
	}
	if len(old) == 0 {
		return nil
	}
	if r.blobs != nil {
		row, err := r.log.Conversation(ctx, stream)
		if err != nil {
			return err
		}
		gone, err := r.unnamed(ctx, conv)
		if err == nil {
			err = r.blobs.Rekey(ctx, conv, row.KeyID, old, gone)
		}
		if err != nil {
			return err
		}
	}
	if err = r.vault.Destroy(ctx, old...); err != nil {
		return err
	}
	return r.log.ForgetKeys(ctx, old...)
}

// unnamed returns the attachments that heads of a conversation list and of which no body tells any
// more. One whose body cannot be read is kept: its key may come back with the key store.
func (r *Router) unnamed(ctx context.Context, conv conversation.ConversationID) (gone []conversation.BlobID, err error) {
	listed, kept := map[conversation.BlobID]bool{}, map[conversation.BlobID]bool{}
	const page = 256
	for after := uint64(0); ; {
		recs, err := r.log.Read(ctx, eventlog.StreamID(conv), after, page)
		if err != nil {
			return nil, err
		}
		for _, rec := range recs {
			after = rec.Seq
			ids := blobsOf(rec)
			if len(ids) == 0 {
				continue
			}
			body, err := readers.OpenBody(r.vault, rec)
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				listed[id] = true
				kept[id] = kept[id] || rec.Body != nil && body == nil || bytes.Contains(body, []byte(id.String()))
			}
		}
		if len(recs) < page {
			break
		}
	}
	for id := range listed {
		if !kept[id] {
			gone = append(gone, id)
		}
	}
	return gone, nil
}

// blobsOf returns the attachments that the head of an event lists.
func blobsOf(rec eventlog.Record) []conversation.BlobID {
	h, err := conversation.DecodeHead(conversation.Type(rec.Type), rec.Head)
	if err != nil {
		return nil
	}
	switch h := h.(type) {
	case *conversation.MessagePosted:
		return h.Blobs
	case *conversation.Note:
		return h.Blobs
	case *conversation.SessionRecorded:
		if !h.Blob.IsZero() {
			return []conversation.BlobID{h.Blob}
		}
	}
	return nil
}

// finishEvery is how often rewritings that were cut short are looked for.
const finishEvery = time.Minute

// finishRewrites finishes rewritings that a crash or a failure has cut short, on whichever node, until
// ctx ends.
func (r *Router) finishRewrites(ctx context.Context) {
	t := time.NewTicker(finishEvery)
	defer t.Stop()
	for {
		all, err := r.log.ReplacedKeys(ctx)
		if err != nil && ctx.Err() == nil {
			r.logger.Warn("rewritings that were cut short are not known", "err", err)
		}
		r.metrics.unfinished.Set(float64(len(all)))
		seen := map[eventlog.StreamID]bool{}
		for _, k := range all {
			if seen[k.Stream] || ctx.Err() != nil {
				continue
			}
			seen[k.Stream] = true
			conv := conversation.ConversationID(k.Stream)
			if err := r.finishRewrite(ctx, conv); err != nil && ctx.Err() == nil {
				r.logger.Error("rewriting not finished: the old text can still be read with the old key", "conversation_id", conv, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
