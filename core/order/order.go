package order

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Author is who sent an item: a plugin's thread (account and clear thread), or an agent in a
// conversation. The zero Author stands for items whose order does not matter.
type Author struct {
	In [16]byte // the account, or the conversation
	Of string   // the clear thread, or the agent
}

// Item is one thing that an author has sent. Admits and Refused write their findings into the Item,
// so code that hands an item on must hand on its latest copy.
type Item struct {
	Author Author
	ID     string // under which the author sends the item again; "": the author does not repeat it, but it still waits behind refused ones
	// Repeats means that the author sends items that were refused for now again, in the order in
	// which it sent them first. Without it (webhooks: a carrier repeats each by itself, when it
	// likes) only items that had arrived before a refusal are refused along with the refused one.
	Repeats bool

	arrived uint64 // value of Keeper.refusals when the item arrived
	place   uint64 // the item's place among those that the author must send again; 0: it has none
	behind  bool   // the item came too early; it stays refused when its batch is decided again
}

// Keeper remembers which items each author must send again. Safe for concurrent use.
type Keeper struct {
	refusals atomic.Uint64 // number of refusals so far
	count    atomic.Int32  // number of entries in authors; while it is 0, Admits takes no lock

	mu      sync.Mutex
	authors map[Author]*owes
}

// owes lists the items that one author must send again before others of that author are admitted.
type owes struct {
	items   []owed // ordered by place
	next    uint64 // the highest place given so far
	refusal uint64 // value of Keeper.refusals after the author's last refusal
	until   time.Time
}

type owed struct {
	id    string
	place uint64
}

// Bounds of a Keeper. Beyond them order is not kept, and nothing is refused for its sake.
const (
	maxOwing = 10_000           // authors with items to send again
	maxOwed  = 1024             // items that one author must send again
	owedFor  = 15 * time.Second // how long an author's entry lives after the store's last refusal: three times the longest pause of the SDK
)

// New makes a Keeper that knows of no refused items.
func New() *Keeper { return &Keeper{authors: map[Author]*owes{}} }

// Arrived records in s how many refusals there were when it arrived. It must be called as soon as s
// arrives.
func (k *Keeper) Arrived(s Item) Item {
	s.arrived = k.refusals.Load()
	return s
}

// Admits reports whether it is s's turn; if not, the caller refuses s for now. Admits must be
// called where an author's items are decided one after the other (by the conversation's worker, at
// the thread's start), not where they arrive: when an item is refused, later items that wait in
// that queue must be refused, too, or they would be stored before the earlier one comes again.
func (k *Keeper) Admits(s *Item) bool {
	if s.Author == (Author{}) || k.count.Load() == 0 && !s.behind {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.authors[s.Author]
	switch {
	case s.behind:
		return false
	case w == nil:
		return true
	case time.Now().After(w.until):
		k.remove(s.Author)
		return true
	case !s.Repeats:
		s.behind = s.arrived < w.refusal
		return !s.behind
	case len(w.items) == 0 || s.place != 0 && s.place < w.items[0].place:
		return true
	case s.ID != "" && w.items[0].id == s.ID:
		s.place = w.items[0].place
		w.items = w.items[1:]
		return true
	}
	w.add(s)
	s.behind = true
	return false
}

// Refused records that the store has refused s for now.
func (k *Keeper) Refused(s *Item) {
	if s.Author == (Author{}) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.authors[s.Author]
	if w == nil {
		if len(k.authors) >= maxOwing {
			return
		}
		w = &owes{}
		k.authors[s.Author] = w
		k.count.Add(1)
	}
	w.refusal = k.refusals.Add(1)
	w.until = time.Now().Add(owedFor)
	w.add(s)
}

// add puts s at its place among the items to be sent again. An item without a place gets the last
// one.
func (w *owes) add(s *Item) {
	if !s.Repeats || s.ID == "" || len(w.items) >= maxOwed || slices.ContainsFunc(w.items, func(x owed) bool { return x.id == s.ID }) {
		return
	}
	if s.place == 0 {
		s.place = w.next + 1
	}
	w.next = max(w.next, s.place)
	at, _ := slices.BinarySearchFunc(w.items, s.place, func(x owed, p uint64) int { return cmp.Compare(x.place, p) })
	w.items = slices.Insert(w.items, at, owed{s.ID, s.place})
}

// remove forgets what an author must send again. The caller holds k.mu.
func (k *Keeper) remove(a Author) {
	delete(k.authors, a)
	k.count.Add(-1)
}

// Sweep forgets authors who have not sent their refused items again in time.
func (k *Keeper) Sweep() {
	if k.count.Load() == 0 {
		return
	}
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for a, w := range k.authors {
		if now.After(w.until) {
			k.remove(a)
		}
	}
}
