// Package agents keeps agents' streams: who is logged in, who is ready, and what each agent has in
// hand (DESIGN.md 4). One append at a time holds an agent: it folds the state up to the end of the
// log, core/acd decides, and the events become part of the append. An agent's own command has an
// append of its own; what a conversation's events mean for agents is written in the conversation's
// append (Part). The package also counts the sockets that an agent has at this node, since the
// first and the last one lead to commands.
//
// It promises that nothing is decided from a state that is known to be behind the log, that readers
// and the Watcher see the states of an agent in the order of their commits, and that agents are
// held in the order of their ids, so two appends never wait for each other.
//
// It leaves the rules to core/acd. The router does the rest: conversations, timers, what follows
// from an agent's change, and finding out whether an append of unknown outcome was written.
//
// An agent is held while the Watcher is called. The Watcher must therefore not wait for a
// conversation's mailbox, because the mailbox's worker may wait for that agent.
package agents
