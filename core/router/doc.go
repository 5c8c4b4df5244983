// Package router is the session router: it loads a conversation, decides,
// appends, applies, publishes a hint and hands the result to readers and
// plugins (DESIGN.md 4). The rules are in core/conversation and core/acd; this
// package carries their decisions out, in order per conversation, and returns
// to nobody before the commit (DESIGN.md 1.3).
//
// Locks are taken in one order: a conversation's mailbox, then the agents
// that its events touch (by id), then the dispatcher. Nobody who holds an
// agent waits for a mailbox.
package router
