// Package acd is automatic call distribution: the states of agents and the
// function from (agents, queues, capacity, skills) to offers (DESIGN.md 4, SPEC A).
//
// An agent is a stream of events, as a conversation is: Decide turns commands
// into events, AgentState.Apply folds them, and both are pure. An offer, accept,
// reject, expiry, leave or end of wrap-up concerns a conversation and an agent at
// once: Consequences derives the agents' commands from the conversation's events,
// and the router appends both in one batch.
//
// The Dispatcher holds who waits and who could take it, in memory only: it is
// rebuilt from conversations and agents by whoever leads.
//
// It promises that an agent is never offered two things at once, and that the
// one who waited longest is offered first to the least loaded agent who fits. It
// leaves to others to carry an offer out, to keep the streams, and to decide who
// leads.
package acd
