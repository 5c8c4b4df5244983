// Package nodes knows which processes take part in the installation, which of them is the preferred
// owner of a conversation, an agent or an account, and holds what only one of them may have at a
// time (DESIGN.md 9).
//
// It promises that a name has one process at a time, that every node which sees the same nodes
// names the same owner, that an owner changes only when the owner goes or a new node gets it, and
// that a lease is reported as held only while no other node can have it. After an outage of the
// database nobody counts as gone before everybody had the time to come back.
//
// It leaves it to its users what an owner does. Ownership is a preference that keeps conflicts rare
// and is never needed for correctness: two nodes may see different owners for some seconds, and
// then the log's keys and sequences decide.
package nodes
