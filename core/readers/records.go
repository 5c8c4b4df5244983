package readers

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/vault"
)

// Record is an opened event as readers receive it.
type Record = plugin.Record

// BodyAAD is the additional data under which the body of a conversation's event is sealed: stream
// and sequence, so that no sealed body can be put in the place of another. Bodies on account
// streams are bound to the stream alone.
func BodyAAD(stream eventlog.StreamID, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 24), stream[:]...), seq)
}

// Open reads a stored event of a conversation: it opens the body and decodes the head. If the
// body's key was destroyed, or the body is damaged, the body is nil. With
// conversation.ErrUnknownType the record is returned all the same: for readers, not for a fold.
func (r *Readers) Open(rec eventlog.Record) (TailRecord, conversation.Event, error) {
	h, audience, unknown := headOf(rec)
	if unknown != nil && !errors.Is(unknown, conversation.ErrUnknownType) {
		return TailRecord{}, conversation.Event{}, unknown
	}
	body, err := OpenBody(r.keys, rec)
	if err != nil {
		return TailRecord{}, conversation.Event{}, err
	}
	at := rec.At.UTC()
	ev := conversation.Event{Seq: rec.Seq, At: at, Head: h, Body: body}
	t := TailRecord{Audience: audience, Record: Record{
		Conversation: conversation.ConversationID(rec.Stream), Seq: rec.Seq, At: at, Type: conversation.Type(rec.Type), Head: rec.Head, Body: body}}
	return t, ev, unknown
}

// headOf decodes a stored head. If this version does not know the event's type
// (conversation.ErrUnknownType), only the audit may see it: which audience it is for is known only
// to the newer version that wrote it.
func headOf(rec eventlog.Record) (conversation.Head, conversation.Audience, error) {
	h, err := conversation.DecodeHead(conversation.Type(rec.Type), rec.Head)
	if err != nil {
		return nil, conversation.AudienceAudit, err
	}
	return h, h.Audience(), nil
}

// Opener opens sealed bodies; the vault does.
type Opener interface {
	Open(key int64, aad, sealed []byte) ([]byte, error)
}

// accountTypes is the prefix of the types of events on an account's stream.
const accountTypes = "account."

// OpenBody opens the body of a stored event of a conversation or an account. The result is nil when
// the event has no body, its key was destroyed or it is damaged.
func OpenBody(v Opener, rec eventlog.Record) (json.RawMessage, error) {
	if rec.Body == nil {
		return nil, nil
	}
	aad := BodyAAD(rec.Stream, rec.Seq)
	if strings.HasPrefix(rec.Type, accountTypes) {
		aad = rec.Stream[:]
	}
	body, err := v.Open(rec.KeyID, aad, rec.Body)
	if vault.Lost(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open body of event %d: %w", rec.Seq, err)
	}
	return body, nil
}

// readLog does what Tail.Read does, but from the store: it returns the same records, with the same
// Prev, for every cursor. The event at the cursor is read with the first page: nearly always the
// reader's audience may see it, and then it is the Prev of the first record.
func (r *Readers) readLog(ctx context.Context, id conversation.ConversationID, a conversation.Audience, after uint64, limit int) (out []Record, reached uint64, err error) {
	reached = after
	from := after - min(after, 1)
	prev, known := uint64(0), after == 0
	for len(out) < limit {
		n := limit - len(out)
		if from < after {
			n++
		}
		recs, err := r.log.Read(ctx, eventlog.StreamID(id), from, n)
		if err != nil {
			return nil, after, fmt.Errorf("readers: read conversation %s: %w", id, err)
		}
		for _, rec := range recs {
			from = rec.Seq
			if rec.Seq <= after {
				if sees, err := visible(a, rec); err != nil {
					return nil, after, fmt.Errorf("readers: read conversation %s: %w", id, err)
				} else if sees {
					prev, known = rec.Seq, true
				}
				continue
			}
			t, _, err := r.Open(rec)
			if err != nil && !errors.Is(err, conversation.ErrUnknownType) {
				return nil, after, fmt.Errorf("readers: read conversation %s: %w", id, err)
			}
			reached = rec.Seq
			if !a.Sees(t.Audience) {
				continue
			}
			if !known {
				if prev, err = r.lastVisible(ctx, id, a, after-1); err != nil {
					return nil, after, err
				}
				known = true
			}
			t.Record.Prev = prev
			prev = rec.Seq
			out = append(out, t.Record)
		}
		if len(recs) < n {
			break
		}
	}
	return out, reached, nil
}

// lastVisible is the last sequence up to upTo that the audience may see; 0: none. It reads
// backwards in steps that grow, since events hidden from an audience come in short runs.
func (r *Readers) lastVisible(ctx context.Context, id conversation.ConversationID, a conversation.Audience, upTo uint64) (uint64, error) {
	for step := uint64(8); upTo > 0; step = min(2*step, 1024) {
		n := min(step, upTo)
		recs, err := r.log.Read(ctx, eventlog.StreamID(id), upTo-n, int(n))
		if err != nil {
			return 0, fmt.Errorf("readers: read conversation %s: %w", id, err)
		}
		for _, rec := range slices.Backward(recs) {
			if sees, err := visible(a, rec); err != nil {
				return 0, fmt.Errorf("readers: read conversation %s: %w", id, err)
			} else if sees {
				return rec.Seq, nil
			}
		}
		upTo -= n
	}
	return 0, nil
}

// visible reports whether an audience may see a stored event.
func visible(a conversation.Audience, rec eventlog.Record) (bool, error) {
	_, audience, err := headOf(rec)
	if err != nil && !errors.Is(err, conversation.ErrUnknownType) {
		return false, err
	}
	return a.Sees(audience), nil
}

// Records reads events after a sequence that the audience may see, at most limit (1 to 1000). For
// an unknown conversation it returns none.
func (r *Readers) Records(ctx context.Context, conv conversation.ConversationID, a conversation.Audience, after uint64, limit int) ([]Record, error) {
	recs, _, err := r.readLog(ctx, conv, a, after, min(max(limit, 1), 1000))
	return recs, err
}
