// Package order keeps what an author sends in the order of sending, while the store refuses some of
// it for now (a full disk, a lost connection). After such a refusal the author sends the refused
// item again; but later items, which the author sent before it heard of the refusal, are on their
// way or queued already and would be stored first. So these are refused for now, too, until the
// refused item has come again.
//
// It promises that items which an author repeats in its order are admitted in that order; that
// later items are held back for the sake of order for 15 seconds after the author's last refusal
// and no longer; that its memory is bounded; and that nothing is refused for the sake of order
// while the store refuses nothing.
//
// It leaves to the router to ask whose turn it is at the place where the items of one author are
// decided, to report what the store has refused, and to answer the author. Locks: the package's own
// lock is the last to be taken, and nothing outside the package is called while it is held.
package order
