// Package sqlite is the event log on one SQLite file (DESIGN.md 5).
//
// One goroutine owns the one connection that writes events. It takes all queued appends, checks
// each one against the store and the appends before it, writes those that pass in one transaction,
// flushes once, and only then answers. There are no timers: under load batches grow by themselves.
// A conflict fails its own append only; when the transaction fails, every caller in it gets the
// error.
//
// A separate goroutine copies the write-ahead log back (checkpoint.go), so that appends seldom wait
// for it. Readers have connections of their own and short transactions; every row read is compared
// with its checksum.
//
// Beside the database DIR/parley.db lie parley.db-wal and parley.db-shm
// (SQLite's own; never copy the database without them) and parley.lock
// (lock.go). The records of core/directory live in the same database file
// through a pool of their own; DSN gives the settings to open it with.
//
// The package promises that an answered append survives a kill, a crash of the machine and a full
// disk, and that a damaged row is found and named, and never returned. It leaves records to
// core/directory, and keys to core/vault.
package sqlite
