// Package vault keeps keys: one data key per conversation, made ahead in
// blocks and stored durably before any is handed out, all wrapped by one
// master key; and a root key for keyed hashes (DESIGN.md 5 "Sealed bodies").
//
// The key store is apart from the event store and its backups: a small SQLite file for one process,
// or a PostgreSQL database for several nodes (decision 0025). Destroying a data key erases
// everything that was sealed under it, wherever copies are: database, write-ahead log, replica or
// backup. Move brings a file's keys into a database, Rotate changes the master key.
//
// What the package promises: a key that Assign returned is on disk, and no other node gets it;
// Assign does no I/O in the usual case; nothing waits for a database longer than Options.Patience;
// a destroyed key is gone from a file store's files when Destroy returns, and from the memory of
// other nodes within DestroyedWithin. What it leaves to others: keeping the master key safe, and
// remembering which conversation has which key.
package vault
