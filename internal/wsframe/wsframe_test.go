package wsframe_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/internal/wsframe"
)

const limit = 1000

// head is the header of a masked frame with its mask key. code is the value of the seven length
// bits; n is the length that follows, if one does.
func head(first, code byte, n uint64) []byte {
	b := []byte{first, 0x80 | code}
	switch code {
	case 126:
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	case 127:
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return append(b, 1, 2, 3, 4)
}

// frame is a masked frame with n bytes of payload.
func frame(first byte, n int) []byte {
	code := byte(127)
	switch {
	case n < 126:
		code = byte(n)
	case n < 1<<16:
		code = 126
	}
	return append(head(first, code, uint64(n)), strings.Repeat("\xff", n)...)
}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

var cases = []struct {
	name   string
	in     []byte
	frames int
	code   uint16 // 0 = there is no fault
	text   string // the expected text of the fault
}{
	{"text", frame(0x81, 5), 1, 0, ""},
	{"as long as allowed", frame(0x82, limit), 1, 0, ""},
	{"two fragments with a ping between them", join(frame(0x01, 400), frame(0x89, 125), frame(0x80, 600)), 3, 0, ""},
	{"empty fragments count", join(frame(0x01, 0), frame(0x00, 0), frame(0x00, 0), frame(0x80, 0)), 4, 0, ""},
	{"message after message", join(frame(0x81, limit), frame(0x81, limit), frame(0x88, 2)), 3, 0, ""},

	{"text, top bit (PR19)", head(0x81, 127, 1<<63), 1, 1002, "top bit"},
	{"binary, top bit (PR19)", head(0x82, 127, 1<<63|5), 1, 1002, "top bit"},
	{"first fragment, top bit (PR19)", head(0x01, 127, ^uint64(0)), 1, 1002, "top bit"},
	{"continuation, top bit (PR19)", join(frame(0x01, 1), head(0x80, 127, ^uint64(4))), 2, 1002, "top bit"},
	{"control, top bit", head(0x89, 127, 1<<63), 1, 1002, "top bit"},
	{"16 bits for a short length", head(0x81, 126, 125), 1, 1002, "shortest"},
	{"64 bits for a short length", head(0x81, 127, 1<<16-1), 1, 1002, "shortest"},
	{"one byte too long", head(0x81, 126, limit+1), 1, 1009, "too long"},
	{"the longest length there is", head(0x81, 127, 1<<63-1), 1, 1009, "too long"},
	{"fragments that are too long together", join(frame(0x01, 600), head(0x80, 126, 401)), 2, 1009, "too long"},
	{"reserved bit 1 (compression)", head(0xc1, 5, 0), 1, 1002, "reserved"},
	{"reserved bit 3", head(0x91, 5, 0), 1, 1002, "reserved"},
	{"unmasked", []byte{0x81, 5}, 1, 1002, "masked"},
	{"unknown data opcode", head(0x83, 0, 0), 1, 1002, "opcode"},
	{"unknown control opcode", head(0x8b, 0, 0), 1, 1002, "opcode"},
	{"fragmented ping", head(0x09, 0, 0), 1, 1002, "control"},
	{"long ping", head(0x89, 126, 126), 1, 1002, "control"},
	{"continuation of nothing", frame(0x80, 0), 1, 1002, "continue"},
	{"continuation of a finished message", join(frame(0x01, 1), frame(0x80, 1), frame(0x80, 1)), 3, 1002, "continue"},
	{"message in a message", join(frame(0x01, 1), frame(0x81, 1)), 2, 1002, "within"},
}

// TestCheck: PR19, FT24. Result and count are the same whatever the lengths of the reads.
func TestCheck(t *testing.T) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			for _, step := range []int{len(tc.in), 1, 3, 7} {
				c := wsframe.Check{Limit: limit}
				frames := 0
				var fault *wsframe.Fault
				for rest := tc.in; len(rest) > 0 && fault == nil; {
					n := min(step, len(rest))
					var more int
					more, fault = c.Next(rest[:n])
					frames += more
					rest = rest[n:]
				}
				if frames != tc.frames {
					t.Errorf("in steps of %d: %d frames, want %d", step, frames, tc.frames)
				}
				switch {
				case tc.code == 0 && fault != nil:
					t.Errorf("in steps of %d: %v, want no fault", step, fault)
				case tc.code != 0 && (fault == nil || fault.Code != tc.code || !strings.Contains(fault.Error(), tc.text)):
					t.Errorf("in steps of %d: %v, want code %d with %q", step, fault, tc.code, tc.text)
				}
				if _, again := c.Next([]byte{0x81}); tc.code != 0 && !errors.Is(again, fault) {
					t.Errorf("in steps of %d: a byte after the fault gave %v, want the same fault", step, again)
				}
			}
		})
	}
}

// FuzzCheck: no bytes make a Check panic, and the lengths of the reads change nothing.
func FuzzCheck(f *testing.F) {
	for _, tc := range cases {
		f.Add(tc.in, uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		whole := wsframe.Check{Limit: limit}
		frames, fault := whole.Next(in)
		cut := wsframe.Check{Limit: limit}
		sum := 0
		var cutFault *wsframe.Fault
		for rest := in; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			var more int
			more, cutFault = cut.Next(rest[:n])
			sum += more
			rest = rest[n:]
		}
		if sum != frames || cutFault != fault {
			t.Errorf("in steps of %d: %d frames, %v; at once %d, %v", int(step)+1, sum, cutFault, frames, fault)
		}
	})
}

// TestCheckAllocatesNothing: every message goes through a Check, so it must not allocate.
func TestCheckAllocatesNothing(t *testing.T) {
	c := wsframe.Check{Limit: limit}
	in := join(frame(0x81, 300), frame(0x89, 0))
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Next(in) }); n != 0 {
		t.Errorf("%v allocations for two frames, want none", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, size := range []int{0, 120, 1000} {
		b.Run(fmt.Sprint("payload=", size), func(b *testing.B) {
			c := wsframe.Check{Limit: limit}
			in := frame(0x81, size)
			b.ReportAllocs()
			for b.Loop() {
				if _, fault := c.Next(in); fault != nil {
					b.Fatal(fault)
				}
			}
		})
	}
}
