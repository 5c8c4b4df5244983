package order

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Author is who sent something: a plugin's thread (account and clear thread), or
// an agent in a conversation. Zero: nobody whose order matters.
type Author struct {
	In [16]byte // account, or conversation
	Of string   // thread, or agent
}

// Item is one thing that an author has sent. A copy of it is the same thing: who
// passes it on passes on the last one.
type Item struct {
	Author Author
	ID     string // under which the author sends it again; "": it does not, but others' order binds it
	// Repeats: the author sends again what was refused for now, in the order of
	// its sending. Without it (webhooks: a carrier repeats each by itself, when it
	// likes) only what had arrived before the refusal is refused along.
	Repeats bool

	arrived uint64 // Keeper.refusals when it came
	place   uint64 // among what the author owes; 0: it owes nothing
	behind  bool   // it came too early, and stays refused when its batch is decided again
}

// Keeper remembers what authors owe. Safe for concurrent use.
type Keeper struct {
	refusals atomic.Uint64 // so far
	count    atomic.Int32  // entries of authors: spares nearly everybody the lock

	mu      sync.Mutex
	authors map[Author]*owes
}

// owes is what an author has to send again, before anything else.
type owes struct {
	items   []owed // by place
	next    uint64 // last place given
	refusal uint64 // number of the last refusal
	until   time.Time
}

type owed struct {
	id    string
	place uint64
}

// Bounds of a Keeper. Beyond them no order is kept, and nothing is refused for it.
const (
	maxOwing = 10_000           // authors
	maxOwed  = 1024             // items of one author
	owedFor  = 15 * time.Second // after the last refusal by the store: three times the longest pause of the SDK
)

// New makes a Keeper to which nobody owes anything.
func New() *Keeper { return &Keeper{authors: map[Author]*owes{}} }

// Arrived completes s, which has just come.
func (k *Keeper) Arrived(s Item) Item {
	s.arrived = k.refusals.Load()
	return s
}

// Admits reports whether it is s's turn; if not, the caller refuses it for now. It
// is asked where an author's sends are decided one after the other (by the
// conversation's worker, at the thread's start), not where they arrive: what waits in
// that queue when an earlier one is refused must be refused, too, or it would be
// stored before the earlier one comes again.
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

// add puts s at its place, the last one when it has none.
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

// remove needs k.mu.
func (k *Keeper) remove(a Author) {
	delete(k.authors, a)
	k.count.Add(-1)
}

// Sweep frees what nobody has come back for.
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
