package acd

import "slices"

// takeable returns the longest waiting request that asks for this member alone and that may be
// presented now, or 0 if there is none. An invitation may go to any connected agent (T6); a reply
// to its owner is offered under the same rules as any other interaction (N16).
func (d *Dispatcher) takeable(m int32) int32 {
	x := &d.members[m]
	if x.reserved {
		return 0
	}
	var best int32
	for _, n := range x.asks {
		e := &d.entries[n]
		can := x.offerable && x.profile.Limits.Fits(&x.inHand, e.Need)
		if e.Personal {
			can = x.invitable
		}
		if can && !slices.Contains(e.Exclude, x.id) && (best == 0 || e.key().less(d.keyOf(best))) {
			best = n
		}
	}
	return best
}

// refreshAsks brings member m's place in the tree of members who have a takeable request up to
// date.
func (d *Dispatcher) refreshAsks(m int32) {
	x := &d.members[m]
	n := d.takeable(m)
	if x.asking {
		if n != 0 && d.keyOf(n) == d.asked.nodes[m].key {
			return
		}
		d.askedRoot = d.asked.remove(d.askedRoot, m)
	}
	if x.asking = n != 0; x.asking {
		d.askedRoot = d.asked.insert(d.askedRoot, m, d.keyOf(n))
	}
}
