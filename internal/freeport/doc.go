// Package freeport chooses addresses for servers that have to come back where they were.
//
// It promises an address that no server had a moment ago and that outgoing
// connections are not given. It leaves to the caller to listen on it, and to try
// another one if somebody was faster.
package freeport
