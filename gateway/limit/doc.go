// Package limit bounds what one address, socket or account may use of the
// gateway: requests in time (Rates) and connections at once (Conns). Both
// hold a bounded amount of memory whatever is thrown at them, and both fail
// open: under a storm of more distinct keys than they can hold the oldest
// keys start again with a full allowance.
//
// It promises bounded memory and an answer at once. It leaves to others who a
// key is, and what somebody who is over a limit is told.
package limit
