// Package database is the one handle on the tables that are not the log's: the
// records (core/directory), login sessions, the audit trail, the plugins' small
// stores and the rows of attachments. They live in the log's database, SQLite or
// PostgreSQL, and are written through a pool of their own.
//
// What the package promises: the tables exist and are up to date when Open returns; writes are done
// one after the other, on PostgreSQL those of all nodes too, and are on the disk when Write
// returns; an error that callers act on is one of this package's, whichever engine is used; and no
// error shows the connection string. What it leaves to others: every statement, the meaning of
// rows, and sealing their content.
package database
