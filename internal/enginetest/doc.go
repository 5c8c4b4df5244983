// Package enginetest runs the tests of a package that keeps tables behind
// core/database twice: first all on SQLite, then all on PostgreSQL.
//
// It promises that each test gets an empty database of its own on the engine that is being tested,
// that the PostgreSQL server is gone when Run returns, and that goroutines which the tests leave
// behind fail the run. It leaves to others what is in the database, and the server itself
// (internal/pgtest).
package enginetest
