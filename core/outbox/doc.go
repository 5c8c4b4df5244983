// Package outbox gives commands to plugins: messages to be sent on
// store-and-forward channels, and deferred items to be processed (DESIGN.md 4).
// It owns a command from the row that is appended with its cause until that row
// is settled: in what order commands go out and when they are tried again, the
// Begin barrier, the plugin's Result, and what becomes of a command whose plugin
// or whose node is gone.
//
// A command's row is the truth, and memory is a cache of rows. A row belongs to
// one node. Rows come into memory at their commit (Add); when it is not known
// whether a commit happened, as soon as their conversation is loaded again
// (Learn); and by reading all of them every few seconds, which finds what neither
// of the others could.
//
// What the package promises: the commands of one conversation are a lane, and
// are at a plugin one at a time and in their order, so a message that is tried
// again holds back those behind it. Accounts share a plugin's window lane by
// lane, round robin. A command that passed Begin and lost its plugin is not sent
// again unless the plugin says that this does no harm; else the plugin is asked
// about it, or it ends unknown (PR4). No command stays for ever: it is given up
// at its deadline. What fails for good is told by its conversation, or by a
// record on its account (Conversations).
//
// What it leaves to others: the router makes the appends in which commands are
// born, writes into conversations, reads and opens their messages, and knows what
// a provider says later of a message (receipts). The plugin host keeps a plugin's
// window and counts what is at it.
package outbox
