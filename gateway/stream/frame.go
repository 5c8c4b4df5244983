package stream

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/readers"
)

// WebSocket frames from the server (RFC 6455 5.2): one text frame per JSON
// object, unmasked, never fragmented. They are appended one after another to a
// buffer, so that many leave in one write.

const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xa
)

// headerRoom is what beginFrame leaves for the header: that of a payload of
// 126 to 65535 bytes, the usual one. Others are moved.
const headerRoom = 4

// beginFrame starts a frame at the end of buf; the payload is appended, then
// endFrame called with the returned mark.
func beginFrame(buf []byte) (_ []byte, mark int) {
	return append(buf, 0, 0, 0, 0), len(buf)
}

// endFrame writes the header of the frame that began at mark.
func endFrame(buf []byte, mark int, op byte) []byte {
	n := len(buf) - mark - headerRoom
	switch {
	case n < 126:
		buf[mark+2], buf[mark+3] = 0x80|op, byte(n)
		copy(buf[mark:], buf[mark+2:])
		return buf[:len(buf)-2]
	case n < 1<<16:
		buf[mark], buf[mark+1] = 0x80|op, 126
		binary.BigEndian.PutUint16(buf[mark+2:], uint16(n))
		return buf
	default:
		buf = append(buf, 0, 0, 0, 0, 0, 0)
		copy(buf[mark+10:], buf[mark+headerRoom:])
		buf[mark], buf[mark+1] = 0x80|op, 127
		binary.BigEndian.PutUint64(buf[mark+2:], uint64(n))
		return buf
	}
}

// appendControl appends a control frame; payload is at most 125 bytes.
func appendControl(buf []byte, op byte, payload []byte) []byte {
	return append(append(buf, 0x80|op, byte(len(payload))), payload...)
}

// appendClose appends a close frame.
func appendClose(buf []byte, code uint16, reason string) []byte {
	p := binary.BigEndian.AppendUint16(make([]byte, 0, 125), code)
	return appendControl(buf, opClose, append(p, reason...))
}

// appendJSON appends v as a frame. v is one of the frame types below, whose
// encoding cannot fail.
func appendJSON(buf []byte, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return buf
	}
	buf, mark := beginFrame(buf)
	return endFrame(append(buf, b...), mark, opText)
}

// appendEvent appends an event frame. Head and body are the stored bytes,
// encoded once when the event was decided (DESIGN.md 1.6).
func appendEvent(buf []byte, r *readers.Record) []byte {
	buf, mark := beginFrame(buf)
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
	return endFrame(append(buf, '}'), mark, opText)
}

func appendID[K any](buf []byte, id conversation.ID[K]) []byte {
	text, _ := uuid.UUID(id).MarshalText() // never fails
	return append(buf, text...)
}
