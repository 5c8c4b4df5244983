package readers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Errors of Head, Message and Address; those of the log come wrapped.
var (
	// ErrNotFound: the log has no such event or endpoint.
	ErrNotFound = errors.New("readers: not in the log")
	// ErrUnreadable: the body was sealed under a key that is lost.
	ErrUnreadable = errors.New("readers: sealed under a key that is lost")
)

// at reads the event of a conversation with sequence seq.
func (r *Readers) at(ctx context.Context, conv conversation.ConversationID, seq uint64) (eventlog.Record, error) {
	recs, err := r.log.Read(ctx, eventlog.StreamID(conv), seq-1, 1)
	if err == nil && len(recs) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return eventlog.Record{}, fmt.Errorf("readers: read event %d of %s: %w", seq, conv, err)
	}
	return recs[0], nil
}

// Head reads the head of the event with sequence seq (the first is 1), without its body. It fails
// with ErrNotFound.
func (r *Readers) Head(ctx context.Context, conv conversation.ConversationID, seq uint64) (conversation.Head, error) {
	rec, err := r.at(ctx, conv, seq)
	if err != nil {
		return nil, err
	}
	return conversation.DecodeHead(conversation.Type(rec.Type), rec.Head)
}

// Message reads a message with its body. It fails with ErrNotFound or ErrUnreadable.
func (r *Readers) Message(ctx context.Context, conv conversation.ConversationID, seq uint64) (*conversation.MessagePosted, conversation.MessageBody, error) {
	var body conversation.MessageBody
	rec, err := r.at(ctx, conv, seq)
	if err != nil {
		return nil, body, err
	}
	_, ev, err := r.Open(rec)
	if err != nil {
		return nil, body, err
	}
	head, ok := ev.Head.(*conversation.MessagePosted)
	if !ok {
		return nil, body, fmt.Errorf("readers: event %d of %s is no message", seq, conv)
	}
	if ev.Body == nil {
		return nil, body, fmt.Errorf("readers: message %d of %s: %w", seq, conv, ErrUnreadable)
	}
	if err := json.Unmarshal(ev.Body, &body); err != nil {
		return nil, body, fmt.Errorf("readers: decode message %d of %s: %w", seq, conv, err)
	}
	return head, body, nil
}

// Address returns where messages to an endpoint of a conversation go; the first endpoint is 0. The
// log is read once per endpoint while the conversation is in memory. It fails with ErrNotFound or
// ErrUnreadable.
func (r *Readers) Address(ctx context.Context, conv conversation.ConversationID, endpoint int) (conversation.EndpointBody, error) {
	t := r.conversations.Tail(conv)
	t.mu.Lock()
	to, ok := t.addresses[endpoint]
	rewritten := t.rewritten
	t.mu.Unlock()
	if ok {
		return to, nil
	}
	to, err := r.readAddress(ctx, conv, endpoint)
	if err != nil {
		return to, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rewritten != rewritten { // the address may have been erased meanwhile
		return to, nil
	}
	if t.addresses == nil {
		t.addresses = map[int]conversation.EndpointBody{}
	}
	t.addresses[endpoint] = to
	return to, nil
}

// readAddress looks for an address in the log: the first one is in the first
// event, others in the events that added them.
func (r *Readers) readAddress(ctx context.Context, conv conversation.ConversationID, endpoint int) (to conversation.EndpointBody, err error) {
	limit := 1 // the first event nearly always has the address
	for after, found := uint64(0), 0; ; limit = 256 {
		recs, err := r.log.Read(ctx, eventlog.StreamID(conv), after, limit)
		if err != nil {
			return to, fmt.Errorf("readers: read address of %s: %w", conv, err)
		}
		if len(recs) == 0 {
			return to, fmt.Errorf("readers: endpoint %d of %s: %w", endpoint, conv, ErrNotFound)
		}
		for _, rec := range recs {
			after = rec.Seq
			t := conversation.Type(rec.Type)
			if t != conversation.TypeStarted && t != conversation.TypeEndpointAdded {
				continue
			}
			if found++; found-1 != endpoint {
				continue
			}
			body, err := OpenBody(r.keys, rec)
			if err != nil {
				return to, err
			}
			if body == nil {
				return to, fmt.Errorf("readers: address of %s: %w", conv, ErrUnreadable)
			}
			if err := json.Unmarshal(body, &to); err != nil { // StartedBody, the body of the first event, has the same two fields
				return to, fmt.Errorf("readers: decode address of %s: %w", conv, err)
			}
			return to, nil
		}
	}
}
