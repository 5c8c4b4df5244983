package conversation

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Encode gives the JSON of an event's head as it is stored, fanned out and sent (DESIGN.md 1.6). It
// equals encoding/json's output byte for byte; the heads that come with every message are written
// without reflection, since they are most of the traffic.
func Encode(ev Event) ([]byte, error) {
	switch h := ev.Head.(type) {
	case *MessagePosted:
		return h.append(make([]byte, 0, 384))
	case *Receipt:
		return h.append(make([]byte, 0, 128)), nil
	case *MessageStatus:
		return h.append(make([]byte, 0, 192)), nil
	case *PageVisited, *CustomerUpdated, *InactivityCancelled, *Concluded:
		return []byte("{}"), nil
	case nil:
		return nil, fmt.Errorf("%w: no head", ErrUnknownType)
	}
	b, err := json.Marshal(ev.Head)
	if err != nil {
		return nil, fmt.Errorf("encode head of %s: %w", ev.Head.Type(), err)
	}
	return b, nil
}

func (h *MessagePosted) append(b []byte) ([]byte, error) {
	b = appendID(append(b, `{"id":`...), h.ID)
	b = appendAuthor(append(b, `,"author":`...), h.Author)
	if h.ClientID != "" {
		b = appendString(append(b, `,"client_id":`...), h.ClientID)
	}
	b = append(b, `,"kinds":`...)
	if h.Kinds == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, '[')
		for i, k := range h.Kinds {
			b = appendString(comma(b, i), string(k))
		}
		b = append(b, ']')
	}
	if len(h.Blobs) > 0 {
		b = append(b, `,"blobs":[`...)
		for i, id := range h.Blobs {
			b = appendID(comma(b, i), id)
		}
		b = append(b, ']')
	}
	if !h.ReplyTo.IsZero() {
		b = appendID(append(b, `,"reply_to":`...), h.ReplyTo)
	}
	if h.Endpoint != 0 {
		b = strconv.AppendInt(append(b, `,"endpoint":`...), int64(h.Endpoint), 10)
	}
	var err error
	if !h.ProviderAt.IsZero() {
		if b, err = appendTime(append(b, `,"provider_at":`...), h.ProviderAt); err != nil {
			return nil, err
		}
	}
	if !h.ReceivedAt.IsZero() {
		if b, err = appendTime(append(b, `,"received_at":`...), h.ReceivedAt); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (h *Receipt) append(b []byte) []byte {
	b = appendAuthor(append(b, `{"by":`...), h.By)
	if h.Delivered != 0 {
		b = strconv.AppendUint(append(b, `,"delivered":`...), h.Delivered, 10)
	}
	if h.Read != 0 {
		b = strconv.AppendUint(append(b, `,"read":`...), h.Read, 10)
	}
	return append(b, '}')
}

func (h *MessageStatus) append(b []byte) []byte {
	b = appendID(append(b, `{"message":`...), h.Message)
	b = appendString(append(b, `,"status":`...), string(h.Status))
	if h.Kind != "" {
		b = appendString(append(b, `,"kind":`...), h.Kind)
	}
	if h.Code != "" {
		b = appendString(append(b, `,"code":`...), h.Code)
	}
	return append(b, '}')
}

func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}

func appendAuthor(b []byte, a Author) []byte {
	b = appendString(append(b, `{"kind":`...), string(a.Kind))
	if !a.Agent.IsZero() {
		b = appendID(append(b, `,"agent":`...), a.Agent)
	}
	if !a.Bot.IsZero() {
		b = appendID(append(b, `,"bot":`...), a.Bot)
	}
	return append(b, '}')
}

// appendID writes the canonical text form in quotes.
func appendID[K any](b []byte, id ID[K]) []byte {
	b = append(b, '"')
	if !id.IsZero() {
		b = append(hex.AppendEncode(b, id[0:4]), '-')
		b = append(hex.AppendEncode(b, id[4:6]), '-')
		b = append(hex.AppendEncode(b, id[6:8]), '-')
		b = append(hex.AppendEncode(b, id[8:10]), '-')
		b = hex.AppendEncode(b, id[10:16])
	}
	return append(b, '"')
}

// appendString writes s in quotes; a string with characters to escape is left to encoding/json.
func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			q, _ := json.Marshal(s) // encoding a string never fails
			return append(b, q...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendTime(b []byte, t time.Time) ([]byte, error) {
	if y := t.Year(); y < 1 || y > 9999 || t.Location() != time.UTC {
		q, err := json.Marshal(t)
		if err != nil {
			return nil, fmt.Errorf("encode time: %w", err)
		}
		return append(b, q...), nil
	}
	return append(t.AppendFormat(append(b, '"'), time.RFC3339Nano), '"'), nil
}
