package wsframe_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/internal/wsframe"
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
	type frame struct {
		op      byte
		payload string
	}
	rapid.Check(t, func(t *rapid.T) {
		var buf []byte
		var want []frame
		for range rapid.IntRange(1, 6).Draw(t, "frames") {
			text := strings.Repeat("x", rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(65_500, 65_600)).Draw(t, "length"))
			short := text[:min(len(text), 123)]
			switch op := rapid.SampledFrom([]byte{wsframe.Text, wsframe.Close, wsframe.Ping, wsframe.Pong}).Draw(t, "opcode"); {
			case op == wsframe.Close:
				buf = wsframe.AppendClose(buf, 1012, short)
				want = append(want, frame{op, "\x03\xf4" + short})
			case op != wsframe.Text:
				buf = wsframe.Append(buf, op, []byte(short))
				want = append(want, frame{op, short})
			case rapid.Bool().Draw(t, "in place"):
				var mark int
				buf, mark = wsframe.Begin(buf)
				buf = wsframe.End(append(buf, text...), mark, op)
				want = append(want, frame{op, text})
			default:
				buf = wsframe.Append(buf, op, []byte(text))
				want = append(want, frame{op, text})
			}
		}
		for i, w := range want {
			op, payload, rest := unframe(t, buf)
			if op != w.op || string(payload) != w.payload {
				t.Fatalf("frame %d: opcode %d with %d bytes, want opcode %d with %d", i, op, len(payload), w.op, len(w.payload))
			}
			buf = rest
		}
		if len(buf) != 0 {
			t.Fatalf("%d bytes left over", len(buf))
		}
	})
}

// TestAppendAllocatesNothing: appending frames to a buffer with enough room allocates nothing.
func TestAppendAllocatesNothing(t *testing.T) {
	buf, payload := make([]byte, 0, 1<<10), make([]byte, 300)
	if n := testing.AllocsPerRun(100, func() {
		b := wsframe.Append(buf, wsframe.Text, payload)
		_ = wsframe.AppendClose(b, 1012, "restart")
	}); n != 0 {
		t.Errorf("%v allocations for two frames, want none", n)
	}
}
