// Package freeport chooses addresses for servers that must have the same address after a restart.
//
// It promises an address that no server used a moment ago and that the system does not give to
// outgoing connections. It leaves it to the caller to listen on the address, and to choose another
// one if a different process was faster.
package freeport
