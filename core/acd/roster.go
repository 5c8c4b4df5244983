package acd

import (
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
)

// Profile is what the directory says about an agent.
type Profile struct {
	Services []conversation.ServiceID // services that the agent serves, by team or in person
	Skills   []string
	Limits   Limits
}

// member is an agent as the dispatcher knows it.
type member struct {
	id       conversation.AgentID
	profile  Profile
	eligible bitset  // buckets for which the agent qualifies
	asks     []int32 // entries of requests that ask for this agent alone

	loggedIn  bool
	rotation  bool
	offerable bool
	invitable bool
	inHand    InHand
	idle      int64

	reserved bool // returned by Next, but not yet released
	counted  bool // counted in bucket.rotation of the eligible buckets
	placed   bool // in the tree of available agents
	asking   bool // in the tree of members who can take a request that asks for them alone
	served   serving
}

// serving says in which figures of its services' queues a member is counted.
type serving struct{ loggedIn, available bool }

// agentKey orders available agents: least loaded first, then idle longest.
type agentKey struct {
	load   int
	idle   int64 // milliseconds since 1970
	hi, lo uint64
}

func (a agentKey) less(b agentKey) bool {
	if a.load != b.load {
		return a.load < b.load
	}
	if a.idle != b.idle {
		return a.idle < b.idle
	}
	if a.hi != b.hi {
		return a.hi < b.hi
	}
	return a.lo < b.lo
}

func (m *member) key() agentKey {
	return agentKey{
		load: m.inHand.Load, idle: m.idle,
		hi: binary.BigEndian.Uint64(m.id[:8]), lo: binary.BigEndian.Uint64(m.id[8:]),
	}
}

// SetProfile replaces an agent's profile by what the directory says. A service that the agent no
// longer serves no longer counts the agent. Setting an unchanged profile costs little.
func (d *Dispatcher) SetProfile(id conversation.AgentID, p Profile) {
	p.Services, p.Skills = slices.Clone(p.Services), slices.Clone(p.Skills)
	slices.SortFunc(p.Services, func(a, b conversation.ServiceID) int { return slices.Compare(a[:], b[:]) })
	p.Services = slices.Compact(p.Services)
	p.Limits.Max = maps.Clone(p.Limits.Max)
	m := d.memberOf(id)
	x := &d.members[m]
	if x.profile.Limits.percent() == p.Limits.percent() && maps.Equal(x.profile.Limits.Max, p.Limits.Max) && slices.Equal(x.profile.Services, p.Services) && slices.Equal(x.profile.Skills, p.Skills) {
		return
	}
	d.count(m, serving{})
	x.profile = p
	for b := range d.buckets {
		d.qualify(m, b)
	}
	d.refresh(m)
}

// UpdateAgent replaces what the dispatcher knows of an agent's state. Call it after each append to
// the agent's stream.
func (d *Dispatcher) UpdateAgent(a *AgentState) {
	m := d.memberOf(a.ID)
	x := &d.members[m]
	x.loggedIn, x.rotation = a.LoggedIn, a.InRotation()
	x.offerable, x.invitable = a.Offerable(), a.Invitable()
	x.inHand.read(a)
	x.idle = a.IdleSince.UnixMilli()
	d.refresh(m)
}

// RemoveAgent forgets the state and the profile of an agent who was deleted or disabled. Requests
// that ask for this agent alone stay, but nobody can take them.
func (d *Dispatcher) RemoveAgent(id conversation.AgentID) {
	if _, ok := d.memberBy[id]; ok {
		d.UpdateAgent(&AgentState{ID: id})
		d.SetProfile(id, Profile{})
	}
}

// memberOf finds or makes the member of an agent.
func (d *Dispatcher) memberOf(id conversation.AgentID) int32 {
	if m, ok := d.memberBy[id]; ok {
		return m
	}
	m := int32(len(d.members))
	d.members = append(d.members, member{id: id, eligible: make(bitset, len(d.busy))})
	d.memberBy[id] = m
	d.available.grow(m)
	d.asked.grow(m)
	d.own = append(d.own, make(bitset, len(d.busy))...)
	d.all = append(d.all, make(bitset, len(d.busy))...)
	return m
}

// refresh updates the counts and the trees that a member belongs to after a change of the member.
func (d *Dispatcher) refresh(m int32) {
	x := &d.members[m]
	if x.counted != x.rotation {
		change := step(x.counted, x.rotation)
		x.counted = x.rotation
		x.eligible.each(func(b int) { d.buckets[b].rotation += change })
	}
	if x.placed {
		d.availableRoot = d.available.remove(d.availableRoot, m)
		x.placed = false
	}
	free := x.offerable && !x.reserved
	if free && d.maskOf(m) {
		d.availableRoot = d.available.insert(d.availableRoot, m, x.key())
		x.placed = true
	}
	d.count(m, serving{loggedIn: x.loggedIn, available: free && x.inHand.Load < x.profile.Limits.percent()})
	d.refreshAsks(m)
}

// maskOf computes for which buckets an agent who takes offers has capacity, and reports whether
// there is any such bucket.
func (d *Dispatcher) maskOf(m int32) bool {
	x := &d.members[m]
	own := d.mask(d.own, m)
	fits := false
	for w, word := range x.eligible {
		own[w] = 0
		for ; word != 0; word &= word - 1 {
			bit := bits.TrailingZeros64(word)
			if k := &d.buckets[w<<6+bit]; x.profile.Limits.Fits(&x.inHand, Need{Medium: k.medium, Spare: k.spare}) {
				own[w] |= 1 << bit
			}
		}
		fits = fits || own[w] != 0
	}
	return fits
}

// mask returns member m's part of a slice that holds the masks of all members.
func (d *Dispatcher) mask(slab bitset, m int32) bitset {
	w := len(d.busy)
	return slab[int(m)*w : int(m)*w+w]
}

// sumUp recomputes which buckets the subtree of node n in the tree of available agents can take
// (treap.pull).
func (d *Dispatcher) sumUp(n int32) {
	node := &d.available.nodes[n]
	all, own := d.mask(d.all, n), d.mask(d.own, n)
	left, right := d.mask(d.all, node.left), d.mask(d.all, node.right)
	for w := range all {
		all[w] = own[w] | left[w] | right[w] // the masks of node 0, which is no node, are empty
	}
}

// widen enlarges every member's mask to the given number of words, for more buckets.
func (d *Dispatcher) widen(words int) {
	old := len(d.busy)
	if words <= old {
		return
	}
	d.busy = append(d.busy, make(bitset, words-old)...)
	d.own, d.all = respread(d.own, old, words), respread(d.all, old, words)
	for m := range d.members {
		x := &d.members[m]
		x.eligible = append(x.eligible, make(bitset, words-len(x.eligible))...)
	}
}

func respread(slab bitset, old, words int) bitset {
	wide := make(bitset, 0, max(len(slab), 1)*words)
	for at := 0; at < len(slab); at += old {
		wide = append(wide, slab[at:at+old]...)
		wide = append(wide, make(bitset, words-old)...)
	}
	return wide
}

// pick finds the best available agent for a bucket who is not barred, or 0 if there is none.
func (d *Dispatcher) pick(root int32, b int, declined, exclude []conversation.AgentID) int32 {
	if root == 0 || !d.mask(d.all, root).has(b) {
		return 0
	}
	node := &d.available.nodes[root]
	if m := d.pick(node.left, b, declined, exclude); m != 0 {
		return m
	}
	if d.mask(d.own, root).has(b) {
		id := d.members[root].id
		if !slices.Contains(declined, id) && !slices.Contains(exclude, id) {
			return root
		}
	}
	return d.pick(node.right, b, declined, exclude)
}

// bitset is a set of bucket numbers.
type bitset []uint64

func (s bitset) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }
func (s bitset) set(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s bitset) unset(i int)    { s[i>>6] &^= 1 << (i & 63) }

func (s bitset) each(f func(i int)) {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			f(w<<6 + bits.TrailingZeros64(word))
		}
	}
}
