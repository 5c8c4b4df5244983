// Package postgres is the event log on a PostgreSQL database, for one node or
// several (DESIGN.md 5, 9).
//
// Each process has one goroutine that writes. It takes the queued appends, checks each of them
// against what it knows and reads, and writes those that pass in one transaction with a few
// statements over arrays. Other nodes do the same at the same time, so the unique keys decide: when
// an insert finds its place taken the transaction is rolled back, and repeated from fresh reads
// that show which append came too late. A conflict fails its own append only.
//
// An append that waits for a lock which another session holds for long is taken out of the batch
// and tried separately (lane.go), so that the others go on. Nothing waits for ever: callers get
// eventlog.ErrUnavailable after Options.Patience. A COMMIT whose answer is lost is looked up on a
// new connection before any caller is answered (commit.go).
//
// Positions: see event_positions in migrations. Tail stops before rows if a transaction under way
// could still commit a smaller position. A transaction that is left open in any database of the
// server therefore delays readers of positions, but nobody else.
//
// The package promises durability as far as the server does: see Server.Warnings. A server's crash
// is not fatal to the log; it reconnects.
//
// The package leaves backups, standbys and the server's settings to its operator, and records to
// core/directory, which has tables of its own in the same database.
package postgres
