package eventlogtest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

// RunShared tests what an implementation offers to several processes. open gives two handles of one
// empty log, which may be the same one, and closes them with t.Cleanup.
func RunShared(t *testing.T, open func(t testing.TB) [2]eventlog.Shared) {
	for name, test := range map[string]func(*testing.T, [2]eventlog.Shared){
		"nodes":         nodeRows,
		"nodes expire":  nodesExpire,
		"follow":        follow,
		"follow outbox": followOutbox,
		"claims":        claims,
		"overdue pages": overdue,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func node(name string, instance byte) eventlog.Node {
	return eventlog.Node{Name: name, Instance: [16]byte{instance}, Version: "1.2", Address: name + ":8080", Started: at(int(instance))}
}

func beat(t *testing.T, l eventlog.Shared, n eventlog.Node, ttl time.Duration, want ...eventlog.Node) {
	t.Helper()
	got, err := l.Beat(t.Context(), n, ttl)
	if err != nil {
		t.Fatalf("Beat(%s): %v", n.Name, err)
	}
	diff(t, "nodes", got, want)
}

func nodeRows(t *testing.T, l [2]eventlog.Shared) {
	a, b := node("a", 1), node("b", 2)
	beat(t, l[0], a, time.Minute, a)
	beat(t, l[1], b, time.Minute, a, b)
	a.Draining = true
	beat(t, l[0], a, time.Minute, a, b)
	beat(t, l[1], b, time.Minute, a, b)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l[0].Leave(t.Context(), a))
	beat(t, l[1], b, time.Minute, b)
	must(l[0].Leave(t.Context(), a))
	again := node("a", 3)
	beat(t, l[0], again, time.Minute, again, b)
	must(l[0].Leave(t.Context(), a)) // another instance has the name by now
	beat(t, l[1], b, time.Minute, again, b)
}

func nodesExpire(t *testing.T, l [2]eventlog.Shared) {
	a, b := node("a", 1), node("b", 2)
	beat(t, l[0], a, time.Millisecond, a)
	for deadline := time.Now().Add(10 * time.Second); ; {
		got, err := l[1].Beat(t.Context(), b, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 1 && got[0].Name == "b" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nodes %v, want b alone", got)
		}
	}
	beat(t, l[0], a, time.Minute, a, b) // a node that was slow comes back under its name
}

// Follow names each stream that grows, whichever handle wrote it, and no stream that grew before.
func follow(t *testing.T, l [2]eventlog.Shared) {
	mustAppend(t, l[0], batch(ID(1), 0, events("old", 3)...))
	mustAppend(t, l[0], batch(ID(2), 0, events("old", 3)...))
	ctx, cancel := context.WithCancel(t.Context())
	begun, heads := make(chan struct{}), make(chan eventlog.Head, 1000)
	var once sync.Once
	var wg sync.WaitGroup
	defer func() { cancel(); wg.Wait() }()
	wg.Go(func() {
		_ = l[1].Follow(ctx, func(hs []eventlog.Head) {
			once.Do(func() { close(begun) })
			for _, h := range hs {
				heads <- h
			}
		})
	})
	<-begun
	mustAppend(t, l[0], batch(ID(1), 3, event("a")))
	mustAppend(t, l[1], batch(ID(1), 4, event("b")))
	c := batch(ID(3), 0, event("c"))
	c.Conversations = []eventlog.ConversationRow{row(3, func(r *eventlog.ConversationRow) { r.Due = at(77) })}
	mustAppend(t, l[0], c)
	var wrote sync.WaitGroup
	for w := range 4 {
		wrote.Go(func() {
			for i := range 20 {
				if _, err := l[w%2].Append(ctx, batch(ID(10+w), uint64(i), event("x"))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wrote.Wait()
	want := map[eventlog.StreamID]uint64{ID(1): 5, ID(3): 1, ID(10): 20, ID(11): 20, ID(12): 20, ID(13): 20}
	isNew := map[eventlog.StreamID]bool{}
	for deadline := time.After(10 * time.Second); len(want) > 0; {
		select {
		case h := <-heads:
			isNew[h.Stream] = isNew[h.Stream] || h.New
			if h.Stream == ID(2) {
				t.Errorf("stream %x did not grow", h.Stream)
			}
			if h.Seq == want[h.Stream] {
				delete(want, h.Stream)
			}
			if h.Type != "note/1" {
				t.Errorf("type %q of stream %x, want note/1", h.Type, h.Stream)
			}
			if h.Stream == ID(3) && (h.Display != "queued" || !h.Due.Equal(at(77))) {
				t.Errorf("conversation: %+v, want display and due of its row", h)
			}
		case <-deadline:
			t.Fatalf("streams not followed to their end: %v", want)
		}
	}
	if isNew[ID(1)] || !isNew[ID(3)] || !isNew[ID(10)] {
		t.Errorf("new streams: %v", isNew)
	}
}

// FollowOutbox names each pending row of the node that is appended, whichever handle wrote it, also
// without events, and neither rows from before nor those of other nodes.
func followOutbox(t *testing.T, l [2]eventlog.Shared) {
	row := func(n int, node string) eventlog.OutboxRow {
		return eventlog.OutboxRow{CommandID: ID(n), Account: ID(900), Kind: "send", State: eventlog.OutboxQueued, Index: -1, Attempt: 1, Node: node}
	}
	mustAppend(t, l[0], &eventlog.Batch{Outbox: []eventlog.OutboxRow{row(1, "b")}})
	ctx, cancel := context.WithCancel(t.Context())
	begun, told := make(chan struct{}), make(chan [16]byte, 1000)
	var once sync.Once
	var wg sync.WaitGroup
	defer func() { cancel(); wg.Wait() }()
	wg.Go(func() {
		_ = l[1].FollowOutbox(ctx, "b", func(commands [][16]byte) {
			once.Do(func() { close(begun) })
			for _, c := range commands {
				told <- c
			}
		})
	})
	<-begun
	want := map[[16]byte]bool{}
	next := 2
	for round := range 3 {
		mustAppend(t, l[0], &eventlog.Batch{Outbox: []eventlog.OutboxRow{row(next, "a")}})
		var wrote sync.WaitGroup
		for w := range 4 {
			for i := range 5 {
				want[ID(next+1+w*5+i)] = true
			}
			first := next + 1 + w*5
			wrote.Go(func() {
				for i := range 5 {
					if _, err := l[w%2].Append(ctx, &eventlog.Batch{Outbox: []eventlog.OutboxRow{row(first+i, "b")}}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		next += 21
		wrote.Wait()
		for deadline := time.After(10 * time.Second); len(want) > 0; {
			select {
			case id := <-told:
				if id == ID(1) {
					t.Error("a row from before was told")
				}
				if !want[id] {
					t.Errorf("round %d: command %x was told, which is another node's or was told before", round, id)
				}
				delete(want, id)
			case <-deadline:
				t.Fatalf("round %d: %d rows were not told", round, len(want))
			}
		}
	}
}

func overdue(t *testing.T, l [2]eventlog.Shared) {
	due := func(at time.Time) func(*eventlog.ConversationRow) {
		return func(r *eventlog.ConversationRow) { r.Due = at }
	}
	concluded := func(r *eventlog.ConversationRow) { r.Phase = eventlog.PhaseConcluded }
	putRows(t, l[0], row(1, due(at(5))), row(2, due(at(3))), row(3, due(at(3))), row(4), row(5, due(at(4)), concluded), row(6, due(at(60))))
	pages := func(before time.Time, limit int) (ids []eventlog.StreamID) {
		t.Helper()
		var last eventlog.ConversationRow
		for {
			rows, err := l[1].Overdue(t.Context(), before, last.Due, last.ID, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				ids, last = append(ids, r.ID), r
			}
			if len(rows) < limit {
				return ids
			}
		}
	}
	for _, limit := range []int{1, 2, 100} {
		diff(t, "overdue", pages(at(50), limit), []eventlog.StreamID{ID(2), ID(3), ID(1)})
	}
	if got := pages(at(100), 100); !slices.Contains(got, ID(6)) {
		t.Errorf("overdue later: %v lacks %x", got, ID(6))
	}
	putRows(t, l[0], row(2)) // no deadline any more
	diff(t, "overdue", pages(at(50), 10), []eventlog.StreamID{ID(3), ID(1)})
}
