// Package ingest takes in what plugins say (DESIGN.md 4, 7). It checks each event,
// answers for what no conversation takes, and hands the rest on: results to the
// outbox, a customer's events to the thread that they came in on. It keeps each
// account's stream (what was refused, deferred, consented to, or failed while no
// conversation could tell), and statuses of messages: one that names an id which
// nobody knows yet is an early receipt, which waits until the id is bound.
//
// It promises that nobody is answered before the commit, and everybody once; that a
// repeat is answered as a repeat (PR3); that of all that a provider says of a message,
// before and after its id is known, the status that goes furthest wins, across any
// crash (PR4, PR5, FT32); and that what plugins say is bounded before it is kept.
//
// It leaves to the router the threads, and which conversation takes what; to
// core/conversation what a status changes; to core/messages what people write; and to
// the outbox what becomes of a command's row.
//
// It has no lock, so none is held when Conversations is called.
package ingest
