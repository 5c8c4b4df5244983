package stream

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/readers"
)

// unframe splits the first frame off a buffer, as RFC 6455 5.2 describes it.
func unframe(t interface{ Fatalf(string, ...any) }, buf []byte) (op byte, payload, rest []byte) {
	if len(buf) < 2 || buf[0]&0x80 == 0 || buf[1]&0x80 != 0 {
		t.Fatalf("no final, unmasked frame at % x", buf[:min(len(buf), 4)])
	}
	n, head := uint64(buf[1]), 2
	switch n {
	case 126:
		n, head = uint64(binary.BigEndian.Uint16(buf[2:])), 4
		if n < 126 {
			t.Fatalf("length %d in a header for longer ones", n)
		}
	case 127:
		n, head = binary.BigEndian.Uint64(buf[2:]), 10
		if n < 1<<16 {
			t.Fatalf("length %d in a header for longer ones", n)
		}
	}
	return buf[0] & 0xf, buf[head : head+int(n)], buf[head+int(n):]
}

// TestFrames: any mix of frames that were appended one after the other can be split into the same
// frames again.
func TestFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var buf []byte
		var want []string
		for range rapid.IntRange(1, 6).Draw(t, "frames") {
			n := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(65_500, 65_600)).Draw(t, "length")
			text := strings.Repeat("x", n)
			var mark int
			buf, mark = beginFrame(buf)
			buf = endFrame(append(buf, text...), mark, opText)
			want = append(want, text)
		}
		for i, w := range want {
			op, payload, rest := unframe(t, buf)
			if op != opText || string(payload) != w {
				t.Fatalf("frame %d: opcode %d with %d bytes, want text of %d", i, op, len(payload), len(w))
			}
			buf = rest
		}
		if len(buf) != 0 {
			t.Fatalf("%d bytes left over", len(buf))
		}
	})
}

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
		_, payload, _ := unframe(t, appendEvent(nil, r))
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
