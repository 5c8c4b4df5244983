// Package router is the session router: it loads a conversation, decides on commands, appends the
// events, applies them to the state, publishes a hint to other nodes, and hands the result to
// readers and plugins (DESIGN.md 4). Each live conversation has a mailbox; each thread of an
// account knows the conversation that is open on it.
//
// It promises that the events of a conversation are decided and appended in order; that no caller
// is answered before the commit (DESIGN.md 1.3); that it finds out whether an append of unknown
// outcome was written; and that what was acknowledged is carried on after a restart (PR1, PR7).
//
// It leaves the rules to core/conversation and core/acd, the streams of agents to agents, the
// leading of the ACD to dispatch, the sending of messages to the outbox, the reading to readers,
// taking in what plugins say to ingest, the making of messages to messages, the order of what an
// author sends to order, and who may ask for what to gateway/api. The router itself checks only
// what depends on who takes part in a conversation.
//
// Locks are taken in one order: a conversation's mailbox, then the agents that its events touch (by
// id), then the dispatcher. A goroutine that has locked an agent never waits for a mailbox.
package router
