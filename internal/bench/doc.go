// Package bench measures the whole system on one machine. Each bench has a file and a type; it
// starts `parley demo` (or serve) as a child of this executable, acts as customers, agents and the
// carrier over the network, and prints figures for people.
//
// It promises figures that can be compared: a warm-up is not counted, what the load generator
// itself uses is given separately, and the disk's own flush, or the least that the same work costs
// on this machine, is measured as well, because a slow or busy machine changes a ratio less than
// the figures. Work that is under way at the end of a measurement is waited for. Data folders and
// processes that a bench made are gone when Run returns.
//
// It leaves flags and their defaults to the command, customers and agents to drive, and what a demo
// is to the command, which passes it as Demo.
package bench
