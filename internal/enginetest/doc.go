// Package enginetest runs the tests of a package that keeps tables behind
// core/database twice: first all on SQLite, then all on PostgreSQL.
//
// It promises each test an empty database of its own on the engine whose turn it
// is, a server that is gone when Run returns, and that goroutines which the tests
// leave behind fail the run. It leaves to others what is in the database, and the
// server itself (internal/pgtest).
package enginetest
