package stream

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/internal/wsframe"
)

// What the server sends: one text frame per JSON object. Frames are appended one
// after another to a buffer, so that many leave in one write.

// appendJSON appends v as a frame. v is one of the frame types below, whose
// encoding cannot fail.
func appendJSON(buf []byte, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return buf
	}
	return wsframe.Append(buf, wsframe.Text, b)
}

// appendEvent appends an event frame. Head and body are the stored bytes,
// encoded once when the event was decided (DESIGN.md 1.6).
func appendEvent(buf []byte, r *readers.Record) []byte {
	buf, mark := wsframe.Begin(buf)
	buf = append(buf, `{"t":"event","conversation":"`...)
	buf = appendID(buf, r.Conversation)
	buf = append(buf, `","seq":`...)
	buf = strconv.AppendUint(buf, r.Seq, 10)
	buf = append(buf, `,"prev":`...)
	buf = strconv.AppendUint(buf, r.Prev, 10)
	buf = append(buf, `,"at":"`...)
	buf = r.At.UTC().AppendFormat(buf, time.RFC3339Nano)
	buf = append(buf, `","type":"`...)
	buf = append(buf, r.Type...)
	buf = append(buf, `","head":`...)
	if len(r.Head) == 0 {
		buf = append(buf, '{', '}')
	}
	buf = append(buf, r.Head...)
	if len(r.Body) > 0 {
		buf = append(buf, `,"body":`...)
		buf = append(buf, r.Body...)
	}
	return wsframe.End(append(buf, '}'), mark, wsframe.Text)
}

func appendID[K any](buf []byte, id conversation.ID[K]) []byte {
	text, _ := uuid.UUID(id).MarshalText() // never fails for an id
	return append(buf, text...)
}
