// Package outbox gives commands to plugins: messages to be sent on store-and-forward channels,
// deferred items to be processed, what calls are to do, how far customers' messages have been
// read, and that a tool's session is over (DESIGN.md 4). The outbox owns a command from the moment when its row is appended, together
// with the event that causes it, until that row is settled: it decides in what order commands go
// out and when they are tried again, keeps the Begin barrier, applies the plugin's Result, and
// decides what happens to a command whose plugin or node is gone.
//
// A command's row is the truth, and memory is a cache of rows. A row belongs to one node, and
// counts how often it has gone to another one (its epoch): a node changes a pending row only as the
// row's owner, and only if the row was its own all the time (eventlog.OutboxUpdate.Fits). A row
// comes into memory in four ways: at its commit (Add); if it is not known whether the commit
// happened, as soon as its conversation is loaded again (Learn); if another node wrote it, when the log
// tells of it (Heard); and when all rows are read, every few seconds, which finds those that the other
// ways missed.
//
// The package promises this: the commands of one conversation that are of one kind and take the
// same route are a lane. They are given to the plugin one at a time and in their order, so a
// message that is tried again holds back those behind it, and neither a call nor a read mark. A
// message also waits for the earlier ones of its lane that other nodes have (others). The
// lanes of an account share the plugin's window in turns; those that are pinned to a generation of
// the plugin come first. A command that passed Begin and lost its plugin is not sent again unless
// the plugin says that this does no harm; otherwise the plugin is asked for its outcome, or it ends
// unknown (PR4). A command that is pinned to a generation is given to no other one: when that
// generation is gone, the command fails. Of the read marks of a conversation that wait only the
// newest is given out. No command stays for ever: it is given up at its deadline, which depends on
// its kind. A failure for good is recorded in the command's conversation, or on its account
// (Conversations).
//
// The package leaves the rest to others: the router makes the appends that create commands, seals
// their payloads, writes into conversations, reads and opens their messages, tells other nodes of
// commands that belong to them, and handles later reports of a provider about a message (receipts).
// The plugin host keeps a plugin's window and counts the commands in it.
package outbox
