package wsframe

import "encoding/binary"

// Opcodes (RFC 6455 section 5.2).
const (
	Text  = 0x1
	Close = 0x8
	Ping  = 0x9
	Pong  = 0xa
)

// headRoom is how many bytes Begin leaves for a header. It fits a payload of 126 to 65,535 bytes,
// the usual one; End moves a payload of another length.
const headRoom = 4

// Append appends a whole frame to buf. The frame is final and unmasked, as a server's frames are.
// The payload of a Ping or a Pong must have at most 125 bytes.
func Append(buf []byte, op byte, payload []byte) []byte {
	buf, mark := Begin(buf)
	return End(append(buf, payload...), mark, op)
}

// AppendClose appends a close frame (RFC 6455 section 7.4). The reason must have at most 123 bytes
// of UTF-8.
func AppendClose(buf []byte, code uint16, reason string) []byte {
	buf, mark := Begin(buf)
	buf = binary.BigEndian.AppendUint16(buf, code)
	return End(append(buf, reason...), mark, Close)
}

// Begin starts a frame at the end of buf. The caller appends the payload to what Begin returns and
// then calls End with the mark. So a payload whose length is not known beforehand need not be
// copied into the frame.
func Begin(buf []byte) (_ []byte, mark int) { return append(buf, 0, 0, 0, 0), len(buf) }

// End writes the header of the frame that began at mark and ends with buf.
func End(buf []byte, mark int, op byte) []byte {
	n := len(buf) - mark - headRoom
	switch {
	case n < 126:
		buf[mark+2], buf[mark+3] = fin|op, byte(n)
		copy(buf[mark:], buf[mark+2:])
		return buf[:len(buf)-2]
	case n < 1<<16:
		buf[mark], buf[mark+1] = fin|op, 126
		binary.BigEndian.PutUint16(buf[mark+2:], uint16(n))
		return buf
	default:
		buf = append(buf, 0, 0, 0, 0, 0, 0)
		copy(buf[mark+10:], buf[mark+headRoom:])
		buf[mark], buf[mark+1] = fin|op, 127
		binary.BigEndian.PutUint64(buf[mark+2:], uint64(n))
		return buf
	}
}
