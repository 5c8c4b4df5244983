// Package clock is the installation's time: wall time at the start of the
// process, carried on by the monotonic clock.
//
// Offers, warnings, parking, wrap-ups, deadlines, sessions, grants and links all compare a time
// that was written down with the time now. If the time now came from the system's clock, an
// operator, NTP or a hypervisor that sets this clock an hour ahead would expire all of them at
// once, and setting it back would stop them for as long (FT19). This clock does not jump with the
// system's clock. It makes up the difference by going at most a tenth faster or slower, so that an
// hour takes ten hours. A suspended machine is handled in the same way, since its monotonic clock
// stands still meanwhile.
//
// A new process starts with the system's time, so a restart makes up any difference at once.
//
// Times that are compared with another party's clock still come from time.Now: certificates,
// timestamps that carriers sign, the identity header for plugins, and times that tell others how
// long something is valid. Code that only measures a duration inside one process uses time.Now and
// time.Since too: they are monotonic.
//
// The clock promises that its time never goes back, and that a step of the system's clock moves it
// by no more than a tenth of the time that has passed. It leaves deadlines to others: each package
// derives them from its own state.
package clock
