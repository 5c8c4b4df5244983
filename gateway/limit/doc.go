// Package limit bounds how much of the gateway one address, socket or account may use: requests in
// time (Rates) and connections at once (Conns). Both hold a bounded amount of memory whatever is
// sent to them, and both fail open: when more distinct keys come than they can hold, the oldest
// keys start again with a full allowance.
//
// It promises bounded memory, and never to block. It leaves to others what a key stands for, and
// what a client that is over a limit is told.
package limit
