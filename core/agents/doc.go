// Package agents keeps agents' streams: who is logged in, ready, and has what in
// hand (DESIGN.md 4). An agent is held by one append at a time, folded up to the log,
// decided for by core/acd, and filled into the append: a command of the agent's own
// has an append to itself, and what a conversation's events mean for agents goes into
// the conversation's (Part). How many sockets an agent has at this node is counted
// here, since the first and the last one are commands.
//
// It promises that nothing is decided from a state that is known to be behind the
// log, that the states of agents are shown and told (Watcher) in the order of their
// commits, and that agents are taken in the order of their ids, so two appends never
// wait for each other.
//
// It leaves the rules to core/acd; conversations, timers and what follows from an
// agent's change to the router; and to it the looking up of appends whose outcome is
// not known.
//
// An agent is held while the Watcher is told of it: the Watcher must not wait for a
// conversation's mailbox, whose worker may wait for that agent.
package agents
