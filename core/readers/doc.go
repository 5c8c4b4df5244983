// Package readers is for everybody who reads conversations: agents' sockets,
// through feeds; connected channels' plugins, through subscriptions; and whoever
// asks for events by audience. It keeps the last events of each conversation in
// memory (Tail), so that readers who keep up read no log, and what waits unread
// in each agent's Recent.
//
// It promises that a reader with any cursor gets each event after it that its
// audience may see, once and in order, whether memory or the log is read, and that
// a record names the last one before it which the same audience may see (PR14).
// No reader waits for another: what is kept for one is a cursor and a few signals,
// a plugin gets no more than its credit, and nobody who publishes waits for a
// reader. A body whose key was destroyed or is damaged is gone, and no error.
//
// It leaves to others: the router decides, appends and publishes events, knows
// which conversation is open on a thread and who may have a subscription there;
// gateway/api knows who may read what.
//
// Locks: a reader's own, then a tail's. Neither is held when Conversations or
// Thread is called.
package readers
