package limit

// Recent is a map that holds a bounded number of keys: when more are used, the
// values of those that were not used for the longest time are forgotten. The
// zero value is not usable; see NewRecent. Not safe for concurrent use.
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

// Get is the value of key, which is used with that; make gives it its first value.
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

// Find is the value of key, which is used with that, if it is held. Unlike Get
// it makes none, so that asking for keys forgets no others.
func (r *Recent[K, V]) Find(key K) (v V, ok bool) {
	if v, ok = r.young[key]; ok {
		return v, true
	}
	if v, ok = r.old[key]; ok {
		r.put(key, v)
	}
	return v, ok
}

// Delete forgets key.
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
