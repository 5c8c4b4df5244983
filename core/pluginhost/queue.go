package pluginhost

// queue is a first-in first-out list that reuses its memory. The zero value
// is empty. It is not safe for concurrent use.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) push(v T) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

func (q *queue[T]) peek() (T, bool) {
	if q.len() == 0 {
		var zero T
		return zero, false
	}
	return q.items[q.head], true
}

// drop removes the first item; there must be one.
func (q *queue[T]) drop() {
	var zero T
	q.items[q.head] = zero
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
}

func (q *queue[T]) pop() (T, bool) {
	v, ok := q.peek()
	if ok {
		q.drop()
	}
	return v, ok
}

// take removes the first n items and returns them in a new slice.
func (q *queue[T]) take(n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = q.items[q.head]
		q.drop()
	}
	return out
}
