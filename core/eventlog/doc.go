// Package eventlog is the log: the only truth about conversations and agents
// (DESIGN.md 5). It stores events in commit order with a per-stream sequence
// 1..n without holes, and in the same all-or-nothing append the external ids,
// rows, threads and outbox entries that must agree with them.
//
// The package holds the contract; eventlog/sqlite and eventlog/postgres
// implement it, and every implementation passes eventlogtest.Run.
//
// Bodies are opaque here: the router seals them under a key of the vault
// before it appends and opens them after reading.
//
// It promises that what was answered is on disk (PR1), that an append is written whole or not at
// all, that an external id is bound once (PR3), and that sequences have no holes (PR6). It leaves
// it to others what an event means, who may see it and what follows from it: the log does not know
// what a conversation is.
package eventlog
