// Package timers wakes whoever is concerned at a deadline: one heap of deadlines by
// id, which one goroutine waits for (DESIGN.md 4).
//
// It promises that each id that was set is given to the function, once, at its
// earliest deadline or a little later, as the clock that it is given tells the
// time, and that setting a deadline costs O(log n) and waits for nobody.
//
// It leaves to its user to know what is due: deadlines are derived from states, so
// nothing is kept over a restart, and a deadline that moved later, or is no longer
// there, is not taken back. Whoever is woken looks at its state, finds nothing due,
// and sets the next deadline.
package timers
