package router

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// timers wake streams at their next deadline. They hold nothing of their own:
// deadlines are derived from states and set again after each change (DESIGN.md
// 4). A deadline that moved later is left where it is: the stream then finds
// nothing due and sets the next.
type timers struct {
	now  func() time.Time
	fire func(id timerID)

	mu    sync.Mutex
	queue timerHeap
	at    map[timerID]time.Time
	wake  chan struct{}
}

// timerID names what a timer is for.
type timerID struct {
	kind   timerKind
	stream [16]byte
}

type timerKind uint8

const (
	timerConversation timerKind = iota + 1
	timerAgent
	timerRequeue // a conversation's agent is gone for too long (A20); the stream is the agent
)

type timerEntry struct {
	at time.Time
	id timerID
}

type timerHeap []timerEntry

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(timerEntry)) }
func (h *timerHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

func newTimers(now func() time.Time, fire func(timerID)) *timers {
	return &timers{now: now, fire: fire, at: map[timerID]time.Time{}, wake: make(chan struct{}, 1)}
}

// set makes id fire at a time at the latest; an earlier one stays.
func (t *timers) set(id timerID, at time.Time) {
	t.mu.Lock()
	if old, ok := t.at[id]; ok && !at.Before(old) {
		t.mu.Unlock()
		return
	}
	t.at[id] = at
	heap.Push(&t.queue, timerEntry{at, id})
	first := t.queue[0].id == id
	t.mu.Unlock()
	if first {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

func (t *timers) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		t.mu.Lock()
		wait := time.Hour
		var due []timerID
		for len(t.queue) > 0 {
			e := t.queue[0]
			if cur, ok := t.at[e.id]; !ok || !cur.Equal(e.at) { // superseded
				heap.Pop(&t.queue)
				continue
			}
			if d := e.at.Sub(t.now()); d > 0 {
				wait = min(wait, d)
				break
			}
			heap.Pop(&t.queue)
			delete(t.at, e.id)
			due = append(due, e.id)
		}
		t.mu.Unlock()
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
