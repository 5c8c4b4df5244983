package proxy

import (
	"encoding/binary"

	"github.com/parley-gateway/parley/internal/wsframe"
)

// frames follows where frames begin and end in one direction of a WebSocket (RFC 6455 5.2) without
// looking at payloads: the gateway may insert a close frame of its own only between two frames.
type frames struct {
	left   uint64   // payload bytes of the present frame that have not come yet
	head   [14]byte // the present frame's header, as far as it has come
	have   uint8
	closed bool // a close frame has passed
}

// feed follows the frames through the next bytes.
func (f *frames) feed(b []byte) {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(uint64(len(b)), f.left)
			f.left -= n
			b = b[n:]
			continue
		}
		f.head[f.have] = b[0]
		f.have++
		b = b[1:]
		if need := f.headerLen(); need > 0 && f.have == need {
			f.left = f.payload()
			f.closed = f.closed || f.head[0]&0xf == wsframe.Close
			f.have = 0
		}
	}
}

// headerLen is the length of the present frame's header; 0 while too little of it has come.
func (f *frames) headerLen() uint8 {
	if f.have < 2 {
		return 0
	}
	n := uint8(2)
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (f *frames) payload() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}

// between reports whether the bytes so far end at the end of a frame.
func (f *frames) between() bool { return f.left == 0 && f.have == 0 }

// codeRestart is "Service Restart" in the IANA registry of close codes: the client should connect
// again soon.
const codeRestart = 1012

// codeRevoked is the gateway's own code: the user must log in again
// (docs/protocol/agent-stream.md).
const codeRevoked = 4001
