package acd

import (
	"bytes"
	"slices"
	"strings"

	"github.com/parley-gateway/parley/core/conversation"
)

// bucketKey is what all requests of one bucket share: the same agents qualify for them.
type bucketKey struct {
	service conversation.ServiceID
	skills  string
	medium  string
	spare   int
}

// bucket is a queue of like requests. Its number is its bit in the agents' masks.
type bucket struct {
	bucketKey
	bit      int
	skillSet []string
	waiting  int
	lanes    []int32 // lanes[0] holds the requests from which no agent is barred
	heads    int32   // root in Dispatcher.heads: this bucket's lanes, ordered by their first request
	rotation int     // number of members in rotation who qualify
}

// lane holds those requests of a bucket from which the same agents are barred.
type lane struct {
	bucket   int
	declined []conversation.AgentID // sorted
	exclude  []conversation.AgentID // sorted
	root     int32
	head     int32 // the longest waiting request of the lane
}

// maxBuckets is the number of buckets from which on empty buckets are reused for other keys.
const maxBuckets = 1024

// mark records in Dispatcher.busy whether anything waits in the bucket.
func (b *bucket) mark(d *Dispatcher) {
	word, bit := b.bit>>6, uint64(1)<<(b.bit&63)
	if b.waiting > 0 {
		d.busy[word] |= bit
	} else {
		d.busy[word] &^= bit
	}
}

// lead records which request is first in lane n, so that dispatch does not search the lane again.
func (d *Dispatcher) lead(n int32) {
	l := &d.laneList[n]
	head := d.lanes.first(l.root)
	if head == l.head {
		return
	}
	b := &d.buckets[l.bucket]
	if l.head != 0 {
		b.heads = d.heads.remove(b.heads, n)
	}
	if l.head = head; head != 0 {
		b.heads = d.heads.insert(b.heads, n, d.lanes.nodes[head].key)
	}
}

// laneFor finds or makes the lane of a request.
func (d *Dispatcher) laneFor(w *Waiting) int32 {
	b := d.bucketFor(w)
	declined, exclude := sorted(w.DeclinedBy), sorted(w.Exclude)
	for _, n := range d.buckets[b].lanes {
		if l := &d.laneList[n]; slices.Equal(l.declined, declined) && slices.Equal(l.exclude, exclude) {
			return n
		}
	}
	return d.newLane(lane{bucket: b, declined: declined, exclude: exclude})
}

func sorted(ids []conversation.AgentID) []conversation.AgentID {
	if len(ids) < 2 {
		return ids
	}
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b conversation.AgentID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

func (d *Dispatcher) newLane(l lane) int32 {
	var n int32
	if k := len(d.freeLanes); k > 0 {
		n = d.freeLanes[k-1]
		d.freeLanes = d.freeLanes[:k-1]
	} else {
		d.laneList = append(d.laneList, lane{})
		n = int32(len(d.laneList) - 1)
		d.heads.grow(n)
	}
	d.laneList[n] = l
	b := &d.buckets[l.bucket]
	b.lanes = append(b.lanes, n)
	return n
}

// dropLane frees a lane that is empty, unless it is the bucket's first one, which always stays.
func (d *Dispatcher) dropLane(n int32) {
	l := &d.laneList[n]
	b := &d.buckets[l.bucket]
	if l.root != 0 || b.lanes[0] == n {
		return
	}
	i := slices.Index(b.lanes, n)
	b.lanes = slices.Delete(b.lanes, i, i+1)
	*l = lane{}
	d.freeLanes = append(d.freeLanes, n)
}

// bucketFor finds or makes the bucket of a request. Making one asks every member whether the member
// qualifies: this happens once for each service, skill set and capacity need.
func (d *Dispatcher) bucketFor(w *Waiting) int {
	key := bucketKey{service: w.Service, skills: w.Skills, medium: w.Need.Medium, spare: w.Need.Spare}
	if b, ok := d.bucketBy[key]; ok {
		return b
	}
	b := d.reusable()
	if b < 0 {
		d.buckets = append(d.buckets, bucket{})
		b = len(d.buckets) - 1
		d.widen(b>>6 + 1)
	} else {
		delete(d.bucketBy, d.buckets[b].bucketKey)
		d.freeLanes = append(d.freeLanes, d.buckets[b].lanes...)
	}
	d.buckets[b] = bucket{bucketKey: key, bit: b, skillSet: splitSkills(key.skills)}
	d.newLane(lane{bucket: b})
	d.bucketBy[key] = b
	for m := int32(1); m < int32(len(d.members)); m++ {
		d.members[m].eligible.unset(b) // clear what was known for the bucket's former key
		d.qualify(m, b)
		d.refresh(m)
	}
	return b
}

// reusable finds an empty bucket that can be used for another key; -1 if there is none.
func (d *Dispatcher) reusable() int {
	if len(d.buckets) < maxBuckets {
		return -1
	}
	return slices.IndexFunc(d.buckets, func(b bucket) bool { return b.waiting == 0 })
}

func splitSkills(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// qualify records whether a member may take the requests of a bucket, that is, whether the member
// serves the bucket's service and has every skill.
func (d *Dispatcher) qualify(m int32, b int) {
	x, k := &d.members[m], &d.buckets[b]
	ok := slices.Contains(x.profile.Services, k.service)
	for _, skill := range k.skillSet {
		ok = ok && slices.Contains(x.profile.Skills, skill)
	}
	has := x.eligible.has(b)
	switch {
	case ok && !has:
		x.eligible.set(b)
		if x.counted {
			k.rotation++
		}
	case !ok && has:
		x.eligible.unset(b)
		if x.counted {
			k.rotation--
		}
	}
}
