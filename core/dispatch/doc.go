// Package dispatch leads the ACD: it tells the dispatcher of core/acd what has changed, turns its
// assignments into offers, and tells waiting customers their place (DESIGN.md 4). Every node keeps
// a dispatcher up to date from what it sees; only the node that has the lease asks the dispatcher
// for assignments.
//
// It promises that offers are made under the lease only, which the append checks, so two nodes that
// both believe to lead never make the same offer; that a node that begins to lead learns which
// requests wait in conversations that it has not followed; and that a failed offer is tried again
// only after a pause, with the states that are true by then.
//
// It leaves it to core/acd to decide who is offered what, and to the router to append offers, to
// report what was committed, and to count agents for the supervisors' board.
//
// Its lock is the last one to be taken: no other code is called while it is held.
package dispatch
