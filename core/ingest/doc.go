// Package ingest takes in what plugins say (DESIGN.md 4, 7). It checks each event, answers the
// events that no conversation takes, and hands on the others: results to the outbox, a customer's
// events to the thread on which they came in. It keeps each account's stream, which records what
// was refused, deferred, consented to, or failed while no conversation could record it. It also
// keeps early receipts: statuses that name a message by a provider's id which is not known yet wait
// until that id is bound.
//
// It promises that every event is answered once and only after the commit; that a repeated event is
// answered as a repeat (PR3); that of all statuses which a provider reports for a message, before
// and after its id is known, the one that goes furthest wins, across any crash (PR4, PR5, FT32);
// and that what plugins say is bounded before it is kept.
//
// It leaves to the router the threads, and which conversation takes which event; to
// core/conversation what a status changes; to core/messages what people write; and to the outbox
// what becomes of a command's row.
//
// Ingest has no lock, so none is held when a method of Conversations is called.
package ingest
