package proxy

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/internal/wsframe"
)

// TestFramesFollowsBoundaries: whatever the lengths of the reads that a stream of frames comes in,
// between is true exactly at the ends of frames.
func TestFramesFollowsBoundaries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		ends := map[int]bool{0: true}
		closeAt := -1
		for i := range rapid.IntRange(1, 8).Draw(t, "frames") {
			op := rapid.SampledFrom([]byte{0x1, 0x2, 0x8, 0x9, 0xa}).Draw(t, "opcode")
			n := rapid.OneOf(rapid.IntRange(0, 130), rapid.IntRange(65530, 65540)).Draw(t, "length")
			masked := rapid.Bool().Draw(t, "masked")
			stream = append(stream, 0x80|op)
			mask := byte(0)
			if masked {
				mask = 0x80
			}
			switch {
			case n < 126:
				stream = append(stream, mask|byte(n))
			case n < 1<<16:
				stream = binary.BigEndian.AppendUint16(append(stream, mask|126), uint16(n))
			default:
				stream = binary.BigEndian.AppendUint64(append(stream, mask|127), uint64(n))
			}
			if masked {
				stream = append(stream, 1, 2, 3, 4)
			}
			if op == wsframe.Close && closeAt < 0 {
				closeAt = len(stream) + n
			}
			stream = append(stream, make([]byte, n)...)
			ends[len(stream)] = true
			_ = i
		}
		var f frames
		for at := 0; at < len(stream); {
			n := rapid.IntRange(1, len(stream)-at).Draw(t, "read")
			f.feed(stream[at : at+n])
			at += n
			if got, want := f.between(), ends[at]; got != want {
				t.Fatalf("after %d of %d bytes between() = %v, want %v", at, len(stream), got, want)
			}
		}
		if got, want := f.closed, closeAt >= 0; got != want {
			t.Fatalf("closed = %v, want %v", got, want)
		}
	})
}
