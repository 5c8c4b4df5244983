// Package dispatch leads the ACD: it tells the dispatcher of core/acd what has
// changed, has its assignments made as offers, and lets waiting customers know their
// place (DESIGN.md 4). Every node keeps a dispatcher up to date from what it sees;
// only the node that has the lease asks it.
//
// It promises that offers are made under the lease only, which the append checks, so
// two nodes that both think that they lead make no offer twice; that a node that
// begins to lead learns what waits in conversations that it has not followed; and
// that an offer that failed is tried again only after a pause, with what is true by
// then.
//
// It leaves to core/acd who is offered what, to the router to append offers and to
// say what was committed, and the counts of agents on the supervisors' board.
//
// Its lock is the last to be taken: nobody is called while it is held.
package dispatch
