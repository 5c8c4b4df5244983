// Package database is the one handle on the tables that are not the log's: the
// records (core/directory), login sessions, the audit trail, the plugins' small
// stores and the rows of attachments. They live in the log's database, SQLite or
// PostgreSQL, and are written through a pool of their own.
//
// What the package promises: the tables are there and up to date when Open
// returns; writes come one after the other, on PostgreSQL those of all nodes too,
// and are on the disk when Write returns; an error that callers act on is one of
// this package's, whichever the engine; and no error shows the connection string.
// What it leaves to others: every statement, what rows mean, and sealing them.
package database
