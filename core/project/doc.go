// Package project follows the log and keeps projections of it: tables that answer what the log itself
// answers too slowly, such as reports and search. A Projection names its tables and applies events to
// them; a Follower brings it up to the log and keeps it there.
//
// It promises that each event is applied once: a projection's tables and its position in the log change
// in one transaction of the database that also has the log, so a process that is killed at any moment
// neither skips nor repeats an event (promises.md 4.7). Several followers at once apply nothing twice,
// for the same reason; the lease of the follower only keeps others from working in vain. Events come in
// the order of positions, and none is skipped that a transaction under way may still commit
// (eventlog.Log.Tail). A projection of a new version, or one that Rebuild is called for, is made anew
// from the first event; a projection that a newer build has made is left alone. A projection that
// cannot apply an event stops before it and says so; the others go on.
//
// It leaves to each projection what its tables hold, and to whoever reads them the question how far
// behind they may be (Status).
package project
