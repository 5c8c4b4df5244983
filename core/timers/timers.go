package timers

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// Timers keeps one deadline per id. Safe for concurrent use, Run by one goroutine.
type Timers[ID comparable] struct {
	now  func() time.Time
	fire func(ID)

	mu    sync.Mutex
	queue queue[ID]
	at    map[ID]time.Time // the deadline in force; other entries of the same id in the queue are ignored
	wake  chan struct{}    // holds a token when the earliest deadline has changed
}

type entry[ID comparable] struct {
	at time.Time
	id ID
}

// queue implements heap.Interface.
type queue[ID comparable] []entry[ID]

func (q queue[ID]) Len() int           { return len(q) }
func (q queue[ID]) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue[ID]) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue[ID]) Push(x any)        { *q = append(*q, x.(entry[ID])) }
func (q *queue[ID]) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

// New makes timers that call fire with the id of each deadline that has passed. Run calls fire
// without locks; fire must not block, and may set the id again.
func New[ID comparable](now func() time.Time, fire func(ID)) *Timers[ID] {
	return &Timers[ID]{now: now, fire: fire, at: map[ID]time.Time{}, wake: make(chan struct{}, 1)}
}

// Set makes id fire at the given time at the latest; an earlier deadline of the id stays.
func (t *Timers[ID]) Set(id ID, at time.Time) {
	t.mu.Lock()
	if old, ok := t.at[id]; ok && !at.Before(old) {
		t.mu.Unlock()
		return
	}
	t.at[id] = at
	heap.Push(&t.queue, entry[ID]{at, id})
	first := t.queue[0].id == id
	t.mu.Unlock()
	if first {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// Has reports whether a deadline of id is set.
func (t *Timers[ID]) Has(id ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.at[id]
	return ok
}

// Run waits for deadlines until ctx ends.
func (t *Timers[ID]) Run(ctx context.Context) {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	for {
		due, wait := t.due()
		for _, id := range due {
			t.fire(id)
		}
		if len(due) > 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-timer.C:
		}
	}
}

// longest is the time after which the queue is looked at even if nothing is due.
const longest = time.Hour

// due removes the ids whose deadlines have passed, and returns how long to wait for the next one.
func (t *Timers[ID]) due() (ids []ID, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.queue) > 0 {
		e := t.queue[0]
		if cur, ok := t.at[e.id]; !ok || !cur.Equal(e.at) { // the id has another deadline, or has fired already
			heap.Pop(&t.queue)
			continue
		}
		if d := e.at.Sub(t.now()); d > 0 {
			return ids, min(longest, d)
		}
		heap.Pop(&t.queue)
		delete(t.at, e.id)
		ids = append(ids, e.id)
	}
	return ids, longest
}
