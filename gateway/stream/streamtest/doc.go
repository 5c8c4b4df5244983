// Package streamtest is what tests of the agents' sockets share: a session router in memory, and a
// client of a socket.
//
// It promises that its router tells feeds of what a test changes, as the real one does. It leaves
// the rules of conversations to core/router, and what is tested to the tests.
package streamtest
