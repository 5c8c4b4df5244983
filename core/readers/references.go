package readers

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

const (
	// maxLookback is how many events before and after a message are read for what it names. It bounds
	// what one message can make the log read, and is as far back as a message may be named.
	maxLookback = 4096
	lookPage    = 256 // events in one read
)

// Reference is what the log has of a message that another one names.
type Reference struct {
	Endpoint int                 // of the customer, by which the message came or was sent
	Status   conversation.Status // of an outgoing message, as the provider's reports say; "": nobody has reported on it
	// ProviderIDs are those of all parts of the message, the first part's first; nil: none is known.
	ProviderIDs []string
}

// References finds messages of a conversation that are named by its event at. A message that lies more
// than 4,096 events back is not found, and is then not in the result. Errors are those of the log and the key store.
func (r *Readers) References(ctx context.Context, conv conversation.ConversationID, at uint64, ids ...conversation.MessageID) (map[conversation.MessageID]Reference, error) {
	s := search{found: map[conversation.MessageID]Reference{}, wanted: map[conversation.MessageID]bool{}, keys: r.keys}
	for _, id := range ids {
		s.wanted[id] = !id.IsZero()
	}
	delete(s.wanted, conversation.MessageID{})
	err := s.run(ctx, r.log, eventlog.StreamID(conv), at)
	if err != nil {
		return nil, fmt.Errorf("readers: messages that event %d of %s names: %w", at, conv, err)
	}
	return s.found, nil
}

// search is the search for some messages and for what was reported of them.
type search struct {
	keys   Opener
	wanted map[conversation.MessageID]bool // messages that are not found yet, and true
	found  map[conversation.MessageID]Reference
	words  []said
}

// said is an event that reports on a wanted message.
type said struct {
	rec     eventlog.Record
	message conversation.MessageID
	status  conversation.Status // "": the event does not change it
	again   bool                // the message is sent again, so that its status goes back
}

func (s *search) run(ctx context.Context, log Log, stream eventlog.StreamID, at uint64) error {
	wanted := len(s.wanted)
	for to := at; to > 0 && at-to < maxLookback && len(s.found) < wanted; {
		after := to - min(to, lookPage)
		if _, err := s.page(ctx, log, stream, after, int(to-after)); err != nil {
			return err
		}
		to = after
	}
	if len(s.found) == 0 {
		return nil
	}
	for after := at; after-at < maxLookback; { // a report may be younger than the message that names
		n, err := s.page(ctx, log, stream, after, lookPage)
		if err != nil {
			return err
		}
		if n < lookPage {
			break
		}
		after += lookPage
	}
	slices.SortFunc(s.words, func(a, b said) int { return cmp.Compare(a.rec.Seq, b.rec.Seq) })
	for _, w := range s.words {
		if err := s.hear(w); err != nil {
			return err
		}
	}
	return nil
}

// page reads events and returns how many there were.
func (s *search) page(ctx context.Context, log Log, stream eventlog.StreamID, after uint64, limit int) (int, error) {
	recs, err := log.Read(ctx, stream, after, limit)
	if err != nil {
		return 0, err
	}
	for _, rec := range recs {
		if err := s.take(rec); err != nil {
			return 0, err
		}
	}
	return len(recs), nil
}

func (s *search) take(rec eventlog.Record) error {
	switch t := conversation.Type(rec.Type); t {
	case conversation.TypeMessage, conversation.TypeMessageStatus, conversation.TypeMessageNamed, conversation.TypeMessageSettled:
	default:
		return nil
	}
	head, err := conversation.DecodeHead(conversation.Type(rec.Type), rec.Head)
	if err != nil {
		return err
	}
	w := said{rec: rec}
	switch h := head.(type) {
	case *conversation.MessagePosted:
		if !s.wanted[h.ID] {
			return nil
		}
		ids, err := s.ids(rec)
		s.found[h.ID] = Reference{Endpoint: h.Endpoint, ProviderIDs: ids}
		return err
	case *conversation.MessageStatus:
		w.message, w.status = h.Message, h.Status
	case *conversation.MessageNamed:
		w.message = h.Message
	case *conversation.MessageSettled:
		w.message, w.again = h.Message, h.Outcome == conversation.OutcomeResend
	}
	if s.wanted[w.message] {
		s.words = append(s.words, w)
	}
	return nil
}

// hear adds what an event says to what is known of its message.
func (s *search) hear(w said) error {
	ref, ok := s.found[w.message]
	if !ok {
		return nil
	}
	if w.again {
		ref.Status = conversation.StatusAccepted
	} else if w.status.After(ref.Status) {
		ref.Status = w.status
	}
	ids, err := s.ids(w.rec)
	if err != nil {
		return err
	}
	all := ids // a list that has all earlier ids has them in the order of the parts
	for _, id := range ref.ProviderIDs {
		if !slices.Contains(ids, id) {
			all = ref.ProviderIDs
		}
	}
	for _, id := range ids {
		if !slices.Contains(all, id) {
			all = append(slices.Clip(all), id)
		}
	}
	if ref.ProviderIDs = all; len(all) == 0 {
		ref.ProviderIDs = nil
	}
	s.found[w.message] = ref
	return nil
}

// ids returns the provider's ids that the body of an event has; nil for one that cannot be read any more.
func (s *search) ids(rec eventlog.Record) ([]string, error) {
	body, err := OpenBody(s.keys, rec)
	if err != nil || body == nil {
		return nil, err
	}
	var named conversation.NamedBody // the bodies of messages and of reports have the same field
	if err := json.Unmarshal(body, &named); err != nil {
		return nil, fmt.Errorf("decode body of event %d: %w", rec.Seq, err)
	}
	return named.ProviderIDs, nil
}
