// Package postgres is the event log on a PostgreSQL database, for one node or
// several (DESIGN.md 5, 9).
//
// Each process has one goroutine that writes. It takes what has queued, checks
// each append against what it knows and reads, and writes those that stand in
// one transaction with a few statements over arrays. Other nodes do the same
// at the same time, so the unique keys decide: when an insert finds its place
// taken the transaction is rolled back, and done again from fresh reads that
// tell who was late. A conflict fails its own append only.
//
// What waits for a lock that somebody holds for long is taken out of the batch
// and tried apart (lane.go), so that others go on. Nothing waits for ever:
// callers get eventlog.ErrUnavailable after Options.Patience. A COMMIT whose
// answer is lost is looked up on a new connection before anybody is answered
// (commit.go).
//
// Positions: see event_positions in migrations. Tail stops before rows that a
// transaction under way could still overtake, so a transaction that is left
// open in any database of the server holds readers of positions back, but
// nobody else.
//
// The package promises durability as far as the server keeps its word: see
// Server.Warnings. A server's crash is not fatal to the log; it reconnects.
//
// It leaves backups, standbys and the server's settings to its operator, and
// records to core/directory, which has tables of its own in the same database.
package postgres
