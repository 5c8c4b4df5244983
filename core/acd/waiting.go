package acd

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Waiting is a routing request that waits in a queue or for one agent.
type Waiting struct {
	Request      conversation.RequestID
	Conversation conversation.ConversationID
	Service      conversation.ServiceID // the service in whose queue it waits; zero when it asks for one agent
	Agent        conversation.AgentID   // the one agent whom it asks for; zero: any agent who serves the queue
	Personal     bool                   // an invitation of Agent, which may be presented to a Busy agent too (T6)
	Skills       string                 // canonical skill set: sorted, comma-separated names
	Need         Need
	WaitingSince time.Time
	Priority     int                    // seconds added to the waiting time in the queue's order
	DeclinedBy   []conversation.AgentID // agents who declined; skipped while others qualify (A16)
	Exclude      []conversation.AgentID // agents who are never asked, since they take part already
}

// WaitingOf lists the queued requests of a conversation.
func WaitingOf(s *conversation.State) []Waiting {
	var all []Waiting
	for i := range s.Requests {
		if r := &s.Requests[i]; r.State == conversation.Queued {
			all = append(all, waitingFor(s, r))
		}
	}
	return all
}

func waitingFor(s *conversation.State, r *conversation.Request) Waiting {
	rules := s.RulesOf(r)
	w := Waiting{
		Request: r.ID, Conversation: s.ID, Service: r.Target.Service, Agent: r.Target.Agent, Personal: r.Personal(),
		Skills: rules.Skills, Need: NeedOf(rules), WaitingSince: r.WaitingSince, Priority: rules.Priority,
		DeclinedBy: slices.Clone(r.DeclinedBy),
	}
	for j := range s.Participants {
		p := &s.Participants[j]
		// An agent with after-call work for the conversation is not asked by the queue, but may be
		// invited back.
		in := p.State == conversation.Joined || p.State == conversation.Wrapup && w.Agent.IsZero()
		if in && p.Who.Kind == conversation.Agent {
			w.Exclude = append(w.Exclude, p.Who.Agent)
		}
	}
	return w
}

// waitKey orders requests: the longest wait first, with Priority added to it, then by id, and so by
// age.
type waitKey struct {
	at     int64 // milliseconds since 1970
	hi, lo uint64
}

// startKey and endKey lie before and after every key.
var (
	startKey = waitKey{at: math.MinInt64}
	endKey   = waitKey{at: math.MaxInt64}
)

func (w *Waiting) key() waitKey {
	return waitKey{
		at: w.WaitingSince.UnixMilli() - int64(w.Priority)*1000,
		hi: binary.BigEndian.Uint64(w.Request[:8]), lo: binary.BigEndian.Uint64(w.Request[8:]),
	}
}

func (a waitKey) less(b waitKey) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	if a.hi != b.hi {
		return a.hi < b.hi
	}
	return a.lo < b.lo
}

// entry is a request that the dispatcher knows.
type entry struct {
	Waiting
	used     bool
	reserved bool  // returned by Next, but not yet released
	lane     int32 // 0: the request waits for one agent
	service  int32
	asked    int32 // number of the member, when the request asks for one agent
	next     int32 // next entry of the same conversation, or next free entry
}

// UpdateConversation replaces what the dispatcher knows of a conversation's requests. Call it after
// each append that changes the requests or the participants.
func (d *Dispatcher) UpdateConversation(s *conversation.State) {
	var next int32
	for n := d.byConversation[s.ID]; n != 0; n = next {
		next = d.entries[n].next
		if r := s.Request(d.entries[n].Request); r == nil || r.State != conversation.Queued {
			d.RemoveRequest(d.entries[n].Request)
		}
	}
	for i := range s.Requests {
		if r := &s.Requests[i]; r.State == conversation.Queued {
			d.UpsertRequest(waitingFor(s, r))
		}
	}
}

// UpsertRequest adds a waiting request or changes what is known of it. A request that Next has
// returned waits again only after Release.
func (d *Dispatcher) UpsertRequest(w Waiting) {
	n, known := d.requests[w.Request]
	if known {
		e := &d.entries[n]
		if e.same(&w) {
			return
		}
		d.withdraw(n)
		if e.Conversation != w.Conversation {
			d.unlink(n)
			known = false
		}
	} else {
		n = d.newEntry()
		d.requests[w.Request] = n
	}
	e := &d.entries[n]
	e.Waiting, e.used = w, true
	if !known {
		e.next = d.byConversation[w.Conversation]
		d.byConversation[w.Conversation] = n
	}
	if !e.reserved {
		d.enqueue(n)
	}
}

func (w *Waiting) same(o *Waiting) bool {
	return w.Conversation == o.Conversation && w.Service == o.Service && w.Agent == o.Agent && w.Personal == o.Personal &&
		w.Skills == o.Skills && w.Need == o.Need && w.WaitingSince.Equal(o.WaitingSince) && w.Priority == o.Priority &&
		slices.Equal(w.DeclinedBy, o.DeclinedBy) && slices.Equal(w.Exclude, o.Exclude)
}

// RemoveRequest forgets a request that was offered, accepted or cancelled. A request that is not
// known is no error.
func (d *Dispatcher) RemoveRequest(id conversation.RequestID) {
	n, ok := d.requests[id]
	if !ok {
		return
	}
	d.withdraw(n)
	d.unlink(n)
	delete(d.requests, id)
	d.entries[n] = entry{next: d.free}
	d.free = n
}

func (d *Dispatcher) newEntry() int32 {
	if n := d.free; n != 0 {
		d.free = d.entries[n].next
		d.entries[n] = entry{}
		return n
	}
	d.entries = append(d.entries, entry{})
	n := int32(len(d.entries) - 1)
	d.lanes.grow(n)
	d.queues.grow(n)
	return n
}

// unlink takes an entry out of its conversation's list of entries.
func (d *Dispatcher) unlink(n int32) {
	c := d.entries[n].Conversation
	at := d.byConversation[c]
	if at == n {
		if next := d.entries[n].next; next != 0 {
			d.byConversation[c] = next
		} else {
			delete(d.byConversation, c)
		}
		return
	}
	for ; at != 0; at = d.entries[at].next {
		if d.entries[at].next == n {
			d.entries[at].next = d.entries[n].next
			return
		}
	}
}

// enqueue puts an entry where it waits: among the requests for one agent, or in a lane.
func (d *Dispatcher) enqueue(n int32) {
	e := &d.entries[n]
	if !e.Agent.IsZero() {
		m := d.memberOf(e.Agent)
		e.asked = m
		d.members[m].asks = append(d.members[m].asks, n)
		d.refreshAsks(m)
		return
	}
	key := e.key()
	e.lane = d.laneFor(&e.Waiting)
	l := &d.laneList[e.lane]
	l.root = d.lanes.insert(l.root, n, key)
	d.lead(e.lane)
	d.buckets[l.bucket].waiting++
	d.buckets[l.bucket].mark(d)
	e.service = d.serviceOf(e.Service)
	s := &d.services[e.service]
	s.queue = d.queues.insert(s.queue, n, key)
}

// withdraw takes an entry out of the place where enqueue put it.
func (d *Dispatcher) withdraw(n int32) {
	e := &d.entries[n]
	switch {
	case e.asked != 0:
		m := &d.members[e.asked]
		if i := slices.Index(m.asks, n); i >= 0 {
			m.asks = slices.Delete(m.asks, i, i+1)
		}
		d.refreshAsks(e.asked)
		e.asked = 0
	case e.lane != 0:
		l := &d.laneList[e.lane]
		l.root = d.lanes.remove(l.root, n)
		d.lead(e.lane)
		b := &d.buckets[l.bucket]
		b.waiting--
		b.mark(d)
		d.dropLane(e.lane)
		s := &d.services[e.service]
		s.queue = d.queues.remove(s.queue, n)
		e.lane, e.service = 0, 0
	}
}
