package nodes

import (
	"encoding/binary"
	"hash/fnv"

	"github.com/parley-gateway/parley/core/eventlog"
)

// ring chooses owners among some nodes by rendezvous hashing: each node has a score for each id,
// and the highest one owns it. When a node goes, only what it owned moves. The scores must never
// change between versions, since nodes of two versions run side by side during an update.
type ring struct {
	names []string
	seeds []uint64
}

// newRing has all nodes that are not about to stop, or all if every node is.
func newRing(all []eventlog.Node) ring {
	var r ring
	for _, stopping := range []bool{false, true} {
		for i := range all {
			if all[i].Draining == stopping {
				h := fnv.New64a()
				_, _ = h.Write([]byte(all[i].Name)) // never fails
				r.names, r.seeds = append(r.names, all[i].Name), append(r.seeds, h.Sum64())
			}
		}
		if len(r.names) > 0 {
			break
		}
	}
	return r
}

// owner returns the name of the node that owns an id, "" if there are no nodes.
func (r ring) owner(id [16]byte) string {
	// The last 8 bytes of a UUIDv7 are random but for two bits (RFC 9562, 5.7).
	key := binary.BigEndian.Uint64(id[8:]) ^ binary.BigEndian.Uint64(id[:8])
	best, name := uint64(0), ""
	for i, seed := range r.seeds {
		if s := mix(seed ^ mix(key)); name == "" || s > best || s == best && r.names[i] < name {
			best, name = s, r.names[i]
		}
	}
	return name
}

// mix is the finalizer of SplitMix64: every bit of x changes every bit of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
