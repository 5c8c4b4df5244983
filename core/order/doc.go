// Package order keeps what an author sends in that order while the store refuses
// some of it for now (a full disk, a lost connection). After such a refusal the
// author repeats; but what it has sent before it heard of the refusal is on its
// way or queued already, and would be stored before its predecessor. So what
// follows a refused one is refused too, until the refused one has come again.
//
// It promises that what an author repeats in its order is admitted in that order;
// that an author is waited for 15 seconds after its last refusal and no longer; that
// its memory is bounded; and that nobody is refused for the sake of order while the
// store refuses nothing.
//
// It leaves to the router to ask whose turn it is where the sends of one author are
// decided, to say what the store has refused, and to answer the author. Locks: its own
// is the last to be taken, and nobody is called while it is held.
package order
