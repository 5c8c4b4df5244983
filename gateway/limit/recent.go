package limit

// Recent is a map that holds a bounded number of keys: when it is full, the keys that were not used
// for the longest time are dropped. The zero value is not usable; see NewRecent. Not safe for
// concurrent use.
type Recent[K comparable, V any] struct {
	max int
	// Two generations: when young is full it becomes old and the former old
	// is dropped. A key in use moves to young, so what is dropped was not
	// used while at least max other keys were.
	young, old map[K]V
}

// NewRecent makes a map of at most 2*max keys.
func NewRecent[K comparable, V any](max int) *Recent[K, V] {
	return &Recent[K, V]{max: max, young: map[K]V{}}
}

// Get returns the value of key and counts as a use of it; make gives a key that is not held its
// first value.
func (r *Recent[K, V]) Get(key K, make func() V) V {
	v, ok := r.young[key]
	if ok {
		return v
	}
	if v, ok = r.old[key]; !ok {
		v = make()
	}
	r.put(key, v)
	return v
}

// Find returns the value of key, if it is held, and counts as a use of it. Unlike Get it adds no
// key, so it never drops other keys for a new one.
func (r *Recent[K, V]) Find(key K) (v V, ok bool) {
	if v, ok = r.young[key]; ok {
		return v, true
	}
	if v, ok = r.old[key]; ok {
		r.put(key, v)
	}
	return v, ok
}

// Delete removes key.
func (r *Recent[K, V]) Delete(key K) {
	delete(r.young, key)
	delete(r.old, key)
}

func (r *Recent[K, V]) put(key K, v V) {
	if len(r.young) >= r.max {
		r.old, r.young = r.young, make(map[K]V, r.max/4)
	}
	r.young[key] = v
}

// Len is the number of keys that are held.
func (r *Recent[K, V]) Len() int { return len(r.young) + len(r.old) }
