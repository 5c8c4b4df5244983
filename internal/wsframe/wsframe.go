package wsframe

// Fault is the reason why a client's frames must not be decoded.
type Fault struct {
	// Code is the close code to send to the client (RFC 6455 section 7.4.1): 1002 for a frame that
	// no client may send, 1009 for one that is too long.
	Code uint16
	// Text names the broken rule. It contains nothing that the client sent.
	Text string
}

// Error names the broken rule.
func (f *Fault) Error() string { return "websocket: " + f.Text }

// Close codes of a Fault.
const (
	protocolError = 1002
	tooBig        = 1009
)

// The rules of RFC 6455 sections 5.2, 5.4 and 5.5, each for a server that has
// negotiated no extension.
var (
	errReserved   = &Fault{protocolError, "reserved bits are set though no extension was negotiated"}
	errOpcode     = &Fault{protocolError, "unknown opcode"}
	errUnmasked   = &Fault{protocolError, "a client's frame is not masked"}
	errControl    = &Fault{protocolError, "a control frame is fragmented or longer than 125 bytes"}
	errLength     = &Fault{protocolError, "the length is not in its shortest form or has its top bit set"}
	errContinue   = &Fault{protocolError, "a continuation without a message to continue"}
	errInterleave = &Fault{protocolError, "a new message within a fragmented one"}
	errTooBig     = &Fault{tooBig, "the message is too long"}
)

// Bits of a header's first two bytes, and the opcodes that only clients send here
// (RFC 6455 section 5.2).
const (
	fin      = 0x80
	reserved = 0x70
	opcode   = 0x0f
	masked   = 0x80
	length   = 0x7f

	opContinuation = 0x0
	opBinary       = 0x2

	maskKey    = 4   // bytes of the key before the payload
	maxControl = 125 // bytes of a control frame's payload
)

// Check follows the frames of one client. A zero value with Limit set is ready for the first frame.
// It is not safe for concurrent use.
type Check struct {
	// Limit is how many bytes the payload of a message may have, with all its fragments together.
	Limit uint32

	left    uint64 // bytes of mask key and payload that are still to come
	size    uint64 // the length, as far as the present header has been read
	message uint64 // payload of the fragmented message so far
	first   byte   // first byte of the present header
	second  byte
	have    uint8 // bytes of the present header before the mask key
	partial bool  // a fragmented message is under way
	fault   *Fault
}

// Next checks the bytes that follow those of the previous call, and returns how many frames begin
// in them. After a fault the connection must be given up: nothing in b may be decoded, and every
// later call returns the same fault.
func (c *Check) Next(b []byte) (frames int, fault *Fault) {
	for len(b) > 0 && c.fault == nil {
		if c.left > 0 {
			n := min(uint64(len(b)), c.left)
			c.left -= n
			b = b[n:]
			continue
		}
		switch c.have {
		case 0:
			c.first = b[0]
		case 1:
			c.second = b[0]
			c.size = 0
		default:
			c.size = c.size<<8 | uint64(b[0])
		}
		c.have++
		b = b[1:]
		if c.have == c.header() {
			frames++
			c.fault = c.judge()
			c.left, c.have = c.size+maskKey, 0
		}
	}
	return frames, c.fault
}

// header is how many bytes the present header has before its mask key; 0 while too little of it has
// come.
func (c *Check) header() uint8 {
	switch {
	case c.have < 2:
		return 0
	case c.second&length == 126:
		return 4
	case c.second&length == 127:
		return 10
	}
	return 2
}

// judge checks a header that is complete, and sets size to its length.
func (c *Check) judge() *Fault {
	shortest := uint64(0)
	switch n := c.second & length; n {
	case 126:
		shortest = 126
	case 127:
		shortest = 1 << 16
	default:
		c.size = uint64(n)
	}
	final := c.first&fin != 0
	switch op := c.first & opcode; {
	case c.first&reserved != 0:
		return errReserved
	case c.second&masked == 0:
		return errUnmasked
	case c.size < shortest || c.size>>63 != 0:
		return errLength
	case op >= Close && op <= Pong:
		if !final || c.size > maxControl {
			return errControl
		}
		return nil
	case op > opBinary:
		return errOpcode
	case op == opContinuation && !c.partial:
		return errContinue
	case op != opContinuation && c.partial:
		return errInterleave
	}
	if c.size > uint64(c.Limit)-c.message {
		return errTooBig
	}
	c.message += c.size
	if c.partial = !final; final {
		c.message = 0
	}
	return nil
}
