package acd

import (
	"math/bits"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Dispatcher matches waiting requests with agents (DESIGN.md 4). It is a plain
// data structure, owned by one goroutine at a time: no clock, no I/O, no lock.
// Whoever leads builds it from the open conversations, the agents' states and the
// directory's profiles, and keeps telling it what changed.
//
// Requests wait in buckets by (service, skill set, medium, capacity needed). The longest
// wait among bucket heads that somebody available can take goes first, to the
// least loaded qualified agent who is idle longest. Available agents are in
// one search tree in that order, whose nodes know as a set of bits which buckets
// their subtree can take: the root tells which buckets can be served at all, and
// a walk down finds the agent. A decision therefore costs a look at the heads of
// buckets that can be served and O(log agents); a change costs O(log) of either.
type Dispatcher struct {
	entries        []entry // 0 unused
	free           int32
	requests       map[conversation.RequestID]int32
	byConversation map[conversation.ConversationID]int32

	buckets   []bucket
	bucketBy  map[bucketKey]int
	laneList  []lane // 0 unused
	freeLanes []int32
	lanes     treap[waitKey] // nodes are entries
	heads     treap[waitKey] // nodes are lanes
	busy      bitset         // buckets in which somebody waits

	services  []serviceQueue // 0 unused
	serviceBy map[conversation.ServiceID]int32
	queues    treap[waitKey] // nodes are entries

	members       []member // 0 unused
	memberBy      map[conversation.AgentID]int32
	available     treap[agentKey] // nodes are members
	availableRoot int32
	own, all      bitset         // masks of the nodes of available: of the member, of the subtree
	asked         treap[waitKey] // members who can take a request that asks for them
	askedRoot     int32
}

// NewDispatcher makes an empty one.
func NewDispatcher() *Dispatcher {
	d := &Dispatcher{
		entries:        make([]entry, 1),
		requests:       map[conversation.RequestID]int32{},
		byConversation: map[conversation.ConversationID]int32{},
		bucketBy:       map[bucketKey]int{},
		laneList:       make([]lane, 1),
		busy:           make(bitset, 1),
		services:       make([]serviceQueue, 1),
		serviceBy:      map[conversation.ServiceID]int32{},
		members:        make([]member, 1),
		memberBy:       map[conversation.AgentID]int32{},
		own:            make(bitset, 1),
		all:            make(bitset, 1),
	}
	d.members[0].eligible = make(bitset, 1)
	d.lanes.grow(0)
	d.queues.grow(0)
	d.heads.grow(0)
	d.available.grow(0)
	d.asked.grow(0)
	d.available.pull = d.sumUp
	return d
}

// Assignment is an offer to be made.
type Assignment struct {
	Request      conversation.RequestID
	Conversation conversation.ConversationID
	Agent        conversation.AgentID
	Personal     bool
	Need         Need
	WaitingSince time.Time
	Waited       time.Duration // at the time of Next (A4)
}

// Next hands out the next offer to be made, if any. Agent and request are
// reserved until Settle: neither is handed out again meanwhile, whatever
// updates say. Call it until it has none.
func (d *Dispatcher) Next(now time.Time) (Assignment, bool) {
	n, m := d.best()
	if n == 0 {
		return Assignment{}, false
	}
	e := &d.entries[n]
	a := Assignment{
		Request: e.Request, Conversation: e.Conversation, Agent: d.members[m].id,
		Personal: e.Personal, Need: e.Need, WaitingSince: e.WaitingSince, Waited: max(now.Sub(e.WaitingSince), 0),
	}
	d.withdraw(n)
	d.entries[n].reserved = true
	d.members[m].reserved = true
	d.refresh(m)
	return a, true
}

// Settle ends the reservation of an assignment, once the offer's append has
// succeeded or failed and the dispatcher has been told the states that followed.
// What still waits then waits again at its old place.
func (d *Dispatcher) Settle(a Assignment) {
	if m, ok := d.memberBy[a.Agent]; ok && d.members[m].reserved {
		d.members[m].reserved = false
		d.refresh(m)
	}
	if n, ok := d.requests[a.Request]; ok && d.entries[n].reserved {
		d.entries[n].reserved = false
		d.enqueue(n)
	}
}

// best finds the longest waiting request that somebody can take now, and who.
func (d *Dispatcher) best() (n, m int32) {
	// Nobody need be compared with what is not before the best so far.
	before := endKey
	if d.askedRoot != 0 {
		m = d.asked.first(d.askedRoot)
		n = d.takeable(m)
		before = d.asked.nodes[m].key
	}
	if d.availableRoot == 0 {
		return n, m
	}
	// Heads in the order of waiting, until one finds its agent. Only those from
	// which somebody is barred may fail to.
	after := startKey
	for {
		l := d.head(after, before)
		if l == 0 {
			return n, m
		}
		x := &d.laneList[l]
		if who := d.pick(d.availableRoot, x.bucket, d.skipped(x), x.exclude); who != 0 {
			return x.head, who
		}
		after = d.heads.nodes[l].key
	}
}

// head finds the lane whose head waits longest, between two keys and among
// buckets that somebody available can take; 0 if there is none.
func (d *Dispatcher) head(after, before waitKey) (first int32) {
	served := d.mask(d.all, d.availableRoot)
	for w := range d.busy {
		for word := d.busy[w] & served[w]; word != 0; word &= word - 1 {
			b := &d.buckets[w<<6+bits.TrailingZeros64(word)]
			if l := d.heads.next(b.heads, after); l != 0 && d.heads.nodes[l].key.less(before) {
				first, before = l, d.heads.nodes[l].key
			}
		}
	}
	return first
}

func (d *Dispatcher) keyOf(n int32) waitKey { return d.entries[n].key() }

// skipped are the agents who declined, as long as others are in rotation for
// it, busy now or not; when nobody else is left they may be asked again, once
// they are Ready again (A16).
func (d *Dispatcher) skipped(l *lane) []conversation.AgentID {
	if len(l.declined) == 0 {
		return nil
	}
	others := d.buckets[l.bucket].rotation
	for _, id := range l.declined {
		if d.inRotation(id, l.bucket) {
			others--
		}
	}
	for _, id := range l.exclude {
		if d.inRotation(id, l.bucket) && !slices.Contains(l.declined, id) {
			others--
		}
	}
	if others > 0 {
		return l.declined
	}
	return nil
}

func (d *Dispatcher) inRotation(id conversation.AgentID, b int) bool {
	m, ok := d.memberBy[id]
	return ok && d.members[m].counted && d.members[m].eligible.has(b)
}
