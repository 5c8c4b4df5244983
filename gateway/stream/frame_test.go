package stream

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/internal/wsframe"
)

func record(body string) *readers.Record {
	return &readers.Record{
		Conversation: conversation.NewID[conversation.ConversationID](), Seq: 42, Prev: 40,
		At:   time.Date(2026, 11, 23, 9, 8, 7, 123_456_000, time.UTC),
		Type: conversation.TypeMessage, Head: json.RawMessage(`{"id":"x","author":{"kind":"customer"},"kinds":["text"]}`), Body: json.RawMessage(body),
	}
}

// TestEventFrame: an event's head and body are written byte for byte, the rest of the frame is
// JSON.
func TestEventFrame(t *testing.T) {
	for _, body := range []string{"", `{"parts":[{"kind":"text","text":"a\u00e9\"<"}]}`, `{"x":"` + strings.Repeat("y", 70_000) + `"}`} {
		r := record(body)
		frame := appendEvent(nil, r)
		payload := frame[bytes.Index(frame, []byte(`{"t":`)):]
		if !bytes.Equal(frame, wsframe.Append(nil, wsframe.Text, payload)) {
			t.Errorf("a body of %d bytes is not one text frame: %.200q", len(body), frame)
		}
		var f struct {
			T            string                      `json:"t"`
			Conversation conversation.ConversationID `json:"conversation"`
			Seq, Prev    uint64
			At           time.Time
			Type         conversation.Type
			Head, Body   json.RawMessage
		}
		if err := json.Unmarshal(payload, &f); err != nil {
			t.Fatalf("frame of a body of %d bytes: %v", len(body), err)
		}
		if f.T != "event" || f.Conversation != r.Conversation || f.Seq != 42 || f.Prev != 40 || !f.At.Equal(r.At) || f.Type != r.Type ||
			string(f.Head) != string(r.Head) || string(f.Body) != body {
			t.Errorf("frame = %.200s", payload)
		}
	}
}

func BenchmarkEventFrame(b *testing.B) {
	r := record(`{"parts":[{"kind":"text","text":"` + strings.Repeat("a word ", 30) + `"}],"name":"Carla"}`)
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		if buf = appendEvent(buf, r); len(buf) > writeChunk {
			buf = buf[:0]
		}
	}
}
