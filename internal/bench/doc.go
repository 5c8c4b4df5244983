// Package bench measures the whole system on one machine: one file and one type
// for each bench, which starts `parley demo` (or serve) as a child of this
// executable, plays customers, agents and the carrier against it over the wire,
// and prints figures for people.
//
// It promises figures that can be compared: a warm-up is not counted, what the
// load generator itself uses stands apart, and the disk's own flush, or the least
// that the same work costs on this machine, is measured beside it, since a slow
// or busy machine changes a ratio less than the figures. What is in flight at the
// end of a measurement is waited for. Data folders and processes that a bench
// made are gone when Run returns.
//
// Flags and their defaults are left to the command. Who plays customers and
// agents is drive; what a demo is comes from the command, as Demo.
package bench
