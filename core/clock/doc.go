// Package clock is the installation's time: wall time at the start of the
// process, carried on by the monotonic clock.
//
// Offers, warnings, parking, wrap-ups, deadlines, sessions, grants and links all
// compare a time that was written down with the time now. Were that the system's
// clock, then an operator, NTP or a hypervisor that sets it an hour ahead would
// expire all of them at once, and one that sets it back would stop them for as
// long (FT19). This clock goes on as if nothing had happened and takes a
// difference to the system's up by going at most a tenth faster or slower: an hour
// takes ten hours. A machine that was suspended is the same case, since the
// monotonic clock stands still meanwhile.
//
// A new process starts with the system's time, so a restart takes a difference up
// at once.
//
// What is compared with somebody else's clock stays with time.Now: certificates,
// timestamps in what carriers sign, the identity header for plugins, and whatever
// tells others until when something is good. What only measures a duration inside
// one process uses time.Now and time.Since too: they are monotonic.
//
// It promises a time that never goes back and that no step of the system's clock
// moves by more than a tenth of what has passed. It leaves to others what is due
// at a time: each room derives its deadlines from its own state.
package clock
