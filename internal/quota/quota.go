package quota

import (
	"sync"
	"time"
)

// Window is the time for which a limit holds. It begins with the first use; when it is over all
// that was used is forgotten at once.
const Window = time.Hour

// looks is how many keys are checked, to forget those whose window is over, when a key is added.
const looks = 8

// Ledger knows what each key has used in its window. It keeps at most as many keys as New was told:
// beyond that some key is forgotten, and may use its limit again. So where outsiders can choose
// keys, a second limit is needed on something that they cannot choose. Safe for concurrent use.
type Ledger[K comparable] struct {
	most int

	mu  sync.Mutex
	all map[K]use
}

type use struct {
	since time.Time
	n     int64
}

// New makes a Ledger for at most so many keys, at least 1.
func New[K comparable](most int) *Ledger[K] {
	return &Ledger[K]{most: most, all: map[K]use{}}
}

// Take adds n, which must not be negative, to what key has used, unless that would exceed limit:
// then nothing is added, and after is the time until the window is over. A limit of 0 or less means
// no limit.
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

// Fits reports whether Take would succeed, and adds nothing.
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

// used is what key has used in its present window. The caller holds mu.
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

// makeRoom checks a few keys and forgets those whose window is over; if there is still no room it
// forgets any key. The caller holds mu.
func (l *Ledger[K]) makeRoom(now time.Time) {
	n := 0
	for key, u := range l.all { // a map's iteration begins at a random key
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
