// Package readers serves everybody who reads conversations: agents' sockets read through feeds,
// connected channels' plugins through subscriptions, and others ask for events by audience. It
// keeps the last events of each conversation in memory (Tail), so that readers who keep up need not
// read the log, and the unread messages in each agent's Recent. It also reads a single event, message
// or address for others.
//
// It promises that a reader with any cursor gets each event after it that its audience may see,
// once and in order, whether memory or the log is read, and that a record names the last event
// before it which the same audience may see (PR14). No reader waits for another: a reader needs
// only a cursor and a few signals, a plugin gets no more events than its credit, and nobody who
// publishes waits for a reader. A body whose key was destroyed or that is damaged is left out
// without an error.
//
// It leaves the rest to others: the router decides, appends and publishes events, knows which
// conversation is open on a thread and who may have a subscription there; gateway/api knows who may
// read what.
//
// Order of locks: a reader's own lock, then a tail's. Neither is held when Conversations or Thread
// is called.
package readers
