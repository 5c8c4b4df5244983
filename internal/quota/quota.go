package quota

import (
	"sync"
	"time"
)

// Window is what a limit is for. It begins with the first use, and what was
// used is forgotten as a whole when it is over.
const Window = time.Hour

// looks is how many keys are looked at, to forget old ones, when one is added.
const looks = 8

// Ledger knows what each key used in its window. It keeps at most so many keys
// as New was told: beyond that some key is forgotten, and so may use its limit
// again. Where outsiders choose keys, a limit on what they cannot choose must
// stand behind. Safe for concurrent use.
type Ledger[K comparable] struct {
	most int

	mu  sync.Mutex
	all map[K]use
}

type use struct {
	since time.Time
	n     int64
}

// New makes a Ledger of at most so many keys, at least 1.
func New[K comparable](most int) *Ledger[K] {
	return &Ledger[K]{most: most, all: map[K]use{}}
}

// Take adds n, which must not be negative, to what key used, unless that would
// be more than limit: then nothing is added, and after is in how much time the
// window is over. A limit of 0 or less is none.
func (l *Ledger[K]) Take(now time.Time, key K, n, limit int64) (after time.Duration, ok bool) {
	if limit <= 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.used(now, key)
	if n > limit-u.n {
		return u.since.Add(Window).Sub(now), false
	}
	if _, known := l.all[key]; !known {
		l.makeRoom(now)
	}
	u.n += n
	l.all[key] = u
	return 0, true
}

// Fits reports whether Take would, and adds nothing.
func (l *Ledger[K]) Fits(now time.Time, key K, n, limit int64) (after time.Duration, ok bool) {
	if limit <= 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.used(now, key); n > limit-u.n {
		return u.since.Add(Window).Sub(now), false
	}
	return 0, true
}

// used is what key has used in a window that is not over. mu is held.
func (l *Ledger[K]) used(now time.Time, key K) use {
	u, known := l.all[key]
	if !known || over(u, now) {
		u = use{since: now}
	}
	return u
}

// Len is the number of keys that are kept.
func (l *Ledger[K]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

func over(u use, now time.Time) bool { return now.Sub(u.since) >= Window }

// makeRoom forgets keys whose window is over among a few, and any one when
// there is no room yet. mu is held.
func (l *Ledger[K]) makeRoom(now time.Time) {
	n := 0
	for key, u := range l.all { // begins anywhere
		if over(u, now) {
			delete(l.all, key)
		}
		if n++; n == looks {
			break
		}
	}
	for key := range l.all {
		if len(l.all) < l.most {
			return
		}
		delete(l.all, key)
	}
}
