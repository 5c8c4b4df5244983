package acd

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// serviceQueue holds all requests that wait for one service, whatever skills they need.
type serviceQueue struct {
	id        conversation.ServiceID
	queue     int32 // the root of this queue's tree in Dispatcher.queues
	loggedIn  int
	available int
}

// Queue is a service's queue as boards show it.
type Queue struct {
	Waiting     int       // waiting requests, without those that are being offered
	OldestSince time.Time // when the longest waiting request began to wait; zero: none waits
	LoggedIn    int       // logged-in agents who serve the queue
	Available   int       // those of LoggedIn to whom an interaction could be offered now
}

// Queue returns the present figures of a service's queue, in O(log waiting).
func (d *Dispatcher) Queue(id conversation.ServiceID) Queue {
	n, ok := d.serviceBy[id]
	if !ok {
		return Queue{}
	}
	s := &d.services[n]
	q := Queue{Waiting: d.queues.size(s.queue), LoggedIn: s.loggedIn, Available: s.available}
	if first := d.queues.first(s.queue); first != 0 {
		q.OldestSince = d.entries[first].WaitingSince
	}
	return q
}

// Position returns the place of a waiting request in its service's queue, counted from 1, and the
// length of that queue, in O(log waiting). ok is false for requests that wait in no queue: unknown
// ones, those being offered, and those that ask for one agent.
func (d *Dispatcher) Position(id conversation.RequestID) (position, size int, ok bool) {
	n, known := d.requests[id]
	if !known || d.entries[n].lane == 0 {
		return 0, 0, false
	}
	root := d.services[d.entries[n].service].queue
	return d.queues.below(root, n) + 1, d.queues.size(root), true
}

// Waits calls f for each request in a service's queue, in the queue's order, until f returns false.
// It serves to tell customers their place.
func (d *Dispatcher) Waits(id conversation.ServiceID, f func(position int, w *Waiting) bool) {
	if n, ok := d.serviceBy[id]; ok {
		position := 0
		d.walk(d.services[n].queue, func(e int32) bool {
			position++
			return f(position, &d.entries[e].Waiting)
		})
	}
}

func (d *Dispatcher) walk(root int32, f func(n int32) bool) bool {
	if root == 0 {
		return true
	}
	node := &d.queues.nodes[root]
	return d.walk(node.left, f) && f(root) && d.walk(node.right, f)
}

func (d *Dispatcher) serviceOf(id conversation.ServiceID) int32 {
	if n, ok := d.serviceBy[id]; ok {
		return n
	}
	d.services = append(d.services, serviceQueue{id: id})
	n := int32(len(d.services) - 1)
	d.serviceBy[id] = n
	return n
}

// count updates the figures of the member's services from what the member counted before to now.
func (d *Dispatcher) count(m int32, now serving) {
	x := &d.members[m]
	if x.served == now {
		return
	}
	for _, id := range x.profile.Services {
		s := &d.services[d.serviceOf(id)]
		s.loggedIn += step(x.served.loggedIn, now.loggedIn)
		s.available += step(x.served.available, now.available)
	}
	x.served = now
}

func step(before, now bool) int {
	switch {
	case now && !before:
		return 1
	case before && !now:
		return -1
	}
	return 0
}
