// Package timers calls a function when a deadline has passed: one heap of deadlines by id, for
// which one goroutine waits (DESIGN.md 4).
//
// It promises that each id that was set is passed to the function, once, at its earliest deadline
// or a little later, by the clock that it is given, and that setting a deadline costs O(log n) and
// blocks on nothing but a short lock.
//
// It leaves it to its user to know what is due: deadlines are derived from states, so they are not
// stored over a restart, and a deadline that moved to a later time or no longer exists is not
// removed. The function then looks at the state, finds nothing due, and sets the next deadline.
package timers
