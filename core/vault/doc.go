// Package vault keeps keys: one data key per conversation, made ahead in
// blocks and stored durably before any is handed out, all wrapped by one
// master key; and a root key for keyed hashes (DESIGN.md 5 "Sealed bodies").
//
// The key store is a small SQLite file of its own, outside the event store's backups. Destroying a
// data key erases everything that was sealed under it, wherever copies are: database, write-ahead
// log, replica or backup.
//
// What the package promises: a key that Assign returned is on disk; Assign
// does no I/O in the usual case; a destroyed key is gone from the key store's
// files when Destroy returns. What it leaves to others: keeping the master
// key safe, and remembering which conversation has which key.
package vault
