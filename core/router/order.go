package router

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// errBehind answers what its author has sent after something that was refused
// for now and has not come again. Its code is "unavailable": try again later.
var errBehind = errors.New("router: an earlier one of the same author comes first")

// author is who sent something: a plugin's thread (account and clear thread), or
// an agent in a conversation. Zero: nobody whose order matters.
type author struct {
	in [16]byte // account, or conversation
	of string   // thread, or agent
}

// sender is what the order of an author's sends needs to know of one of them.
type sender struct {
	author author
	id     string // under which the author sends it again; "": it does not, but others' order binds it
	// repeats: the author sends again what was refused for now, in the order of
	// its sending. Without it (webhooks: a carrier repeats each by itself, when it
	// likes) only what had arrived before the refusal is refused along.
	repeats bool
	arrived uint64 // order.refusals when it came
	place   uint64 // among what the author owes; 0: it owes nothing
	behind  bool   // it came too early, and stays refused when its batch is decided again
}

// order keeps what an author sends in that order while the store refuses some
// of it for now (a full disk, a lost connection). After such a refusal the
// author repeats; but what it has sent before it heard of the refusal is on its
// way or queued already, and would be stored before its predecessor. So what
// follows a refused one is refused too, until the refused one has come again.
// An author that never repeats is waited for as long as owedFor.
type order struct {
	refusals atomic.Uint64 // so far
	count    atomic.Int32  // entries of authors: spares nearly everybody the lock

	mu      sync.Mutex
	authors map[author]*owes
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

// Bounds of order. Beyond them no order is kept, and nothing is refused for it.
const (
	maxOwing = 10_000           // authors
	maxOwed  = 1024             // items of one author
	owedFor  = 15 * time.Second // after the last refusal by the store: three times the longest pause of the SDK
)

func newOrder() *order { return &order{authors: map[author]*owes{}} }

// arrival completes s for something that has just come.
func (o *order) arrival(s sender) sender {
	s.arrived = o.refusals.Load()
	return s
}

// admits reports whether it is s's turn; if not, the caller answers errBehind. It
// is asked where an author's sends are decided one after the other (by the
// conversation's worker, at the thread's start), not where they arrive: what waits in
// that queue when an earlier one is refused must be refused, too, or it would be
// stored before the earlier one comes again.
func (o *order) admits(s *sender) bool {
	if s.author == (author{}) || o.count.Load() == 0 && !s.behind {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.authors[s.author]
	switch {
	case s.behind:
		return false
	case w == nil:
		return true
	case time.Now().After(w.until):
		o.remove(s.author)
		return true
	case !s.repeats:
		s.behind = s.arrived < w.refusal
		return !s.behind
	case len(w.items) == 0 || s.place != 0 && s.place < w.items[0].place:
		return true
	case s.id != "" && w.items[0].id == s.id:
		s.place = w.items[0].place
		w.items = w.items[1:]
		return true
	}
	w.add(s)
	s.behind = true
	return false
}

// refused records that the store has refused s for now.
func (o *order) refused(s *sender) {
	if s.author == (author{}) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.authors[s.author]
	if w == nil {
		if len(o.authors) >= maxOwing {
			return
		}
		w = &owes{}
		o.authors[s.author] = w
		o.count.Add(1)
	}
	w.refusal = o.refusals.Add(1)
	w.until = time.Now().Add(owedFor)
	w.add(s)
}

// add puts s at its place, the last one when it has none.
func (w *owes) add(s *sender) {
	if !s.repeats || s.id == "" || len(w.items) >= maxOwed || slices.ContainsFunc(w.items, func(x owed) bool { return x.id == s.id }) {
		return
	}
	if s.place == 0 {
		s.place = w.next + 1
	}
	w.next = max(w.next, s.place)
	at, _ := slices.BinarySearchFunc(w.items, s.place, func(x owed, p uint64) int { return cmp.Compare(x.place, p) })
	w.items = slices.Insert(w.items, at, owed{s.id, s.place})
}

// remove needs o.mu.
func (o *order) remove(a author) {
	delete(o.authors, a)
	o.count.Add(-1)
}

// sweep frees what nobody has come back for.
func (o *order) sweep() {
	if o.count.Load() == 0 {
		return
	}
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for a, w := range o.authors {
		if now.After(w.until) {
			o.remove(a)
		}
	}
}

// note records err as the end of s's stay, if it means that s comes again.
func (o *order) note(s *sender, err error) {
	if temporary(err) {
		o.refused(s)
	}
}

// temporary reports whether an author is told to try again, for the store's sake.
// What goes to another conversation, or waits behind another, is not refused.
func temporary(err error) bool {
	return err != nil && Code(err) == "unavailable" && !elsewhere(err) && !errors.Is(err, ErrStopped) && !errors.Is(err, errBehind)
}
