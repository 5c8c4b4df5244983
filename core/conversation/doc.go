// Package conversation holds the nouns and the rules of Parley: what a
// conversation is, which events make it up, and which commands may add events
// to it. It is pure: Decide and Apply do no I/O, read no clock, start no
// goroutine and never look into message bodies (DESIGN.md 1.2). It imports
// nothing else of ours.
package conversation
