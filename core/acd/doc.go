// Package acd is automatic call distribution: the states of agents and the
// function from (agents, queues, capacity, skills) to offers (DESIGN.md 4, SPEC A).
//
// An agent is a stream of events, as a conversation is: Decide turns commands
// into events, AgentState.Apply folds them, and both are pure. An offer, accept,
// reject, expiry, leave or end of wrap-up concerns a conversation and an agent at
// once: Consequences derives the agents' commands from the conversation's events,
// and the router appends both in one batch.
//
// The Dispatcher knows which requests wait and which agents could take them, in memory only: the
// ACD leader rebuilds it from conversations and agents.
//
// The package promises that an agent is never offered two things at once, and that the request
// which waited longest is offered first, to the least loaded agent who qualifies. It leaves it to
// others to carry out the offers, to keep the streams, and to decide which node leads.
package acd
