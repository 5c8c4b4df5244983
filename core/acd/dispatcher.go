package acd

import (
	"math/bits"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Dispatcher matches waiting requests with agents (DESIGN.md 4). It is a plain
// data structure, owned by one goroutine at a time: no clock, no I/O, no lock.
// Whoever leads the ACD builds a Dispatcher from the open conversations, the agents' states and the
// directory's profiles, and tells it of every change.
//
// Requests wait in buckets by (service, skill set, medium, capacity needed). Among the buckets'
// first requests that an available agent can take, the longest waiting is served first. It goes to
// the qualified agent with the least load; among equals, to the one idle longest. Available agents
// are in one search tree in that order. Each node has a set of bits that says which buckets its
// subtree can take: the root's set says which buckets can be served at all, and a walk down finds
// the agent. A decision therefore costs a look at the first requests of the buckets that can be
// served, and O(log agents); a change costs O(log) of agents or requests.
type Dispatcher struct {
	entries        []entry // number 0 is not used
	free           int32
	requests       map[conversation.RequestID]int32
	byConversation map[conversation.ConversationID]int32

	buckets   []bucket
	bucketBy  map[bucketKey]int
	laneList  []lane // number 0 is not used
	freeLanes []int32
	lanes     treap[waitKey] // its nodes are entries
	heads     treap[waitKey] // its nodes are lanes
	busy      bitset         // buckets in which at least one request waits

	services  []serviceQueue // number 0 is not used
	serviceBy map[conversation.ServiceID]int32
	queues    treap[waitKey] // its nodes are entries

	members       []member // number 0 is not used
	memberBy      map[conversation.AgentID]int32
	available     treap[agentKey] // its nodes are members
	availableRoot int32
	own, all      bitset         // masks of the nodes of available: own for the member alone, all for the subtree
	asked         treap[waitKey] // members who can take a request that asks for them alone
	askedRoot     int32
}

// NewDispatcher makes an empty Dispatcher.
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
	Waited       time.Duration // how long the request had waited when Next returned it (A4)
}

// Next returns the next offer to be made, and false when there is none. Its agent and its request
// are reserved until Release: Next returns neither again before, even if an update would allow it.
// Call Next until it returns false.
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

// Release ends the reservation of an assignment. Call it when the offer's append has succeeded or
// failed and the dispatcher has been told the resulting states. A request that still waits then
// takes its old place in the queue again.
func (d *Dispatcher) Release(a Assignment) {
	if m, ok := d.memberBy[a.Agent]; ok && d.members[m].reserved {
		d.members[m].reserved = false
		d.refresh(m)
	}
	if n, ok := d.requests[a.Request]; ok && d.entries[n].reserved {
		d.entries[n].reserved = false
		d.enqueue(n)
	}
}

// best finds the longest waiting request that an agent can take now, and that agent.
func (d *Dispatcher) best() (n, m int32) {
	// Only requests that waited longer than the best one found so far need to be compared.
	before := endKey
	if d.askedRoot != 0 {
		m = d.asked.first(d.askedRoot)
		n = d.takeable(m)
		before = d.asked.nodes[m].key
	}
	if d.availableRoot == 0 {
		return n, m
	}
	// Try the first request of each lane, longest wait first, until one finds its agent. Only a
	// lane from which agents are barred may find none.
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

// head finds the lane whose first request waits longest. It looks only at keys between after and
// before, and at buckets that an available agent can take; 0 if there is none.
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

// skipped lists the agents who declined and are therefore passed over, as long as another agent who
// qualifies is in rotation, busy or not. When there is no other, those who declined may be asked
// again once they are Ready again (A16).
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
