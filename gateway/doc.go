// Package gateway runs the public and the operators' listener: the three origins desk, chat and
// files (DESIGN.md 8) and those of third-party plugins' pages (DESIGN.md 7), TLS, security headers,
// and the limits on connections, headers, bodies, time and rates that every request passes before
// it reaches a handler. The handlers are passed in: this package knows no resource, no plugin and
// no conversation.
//
// It promises that the size and time of every request are bounded before a handler reads it, and
// that one address cannot use up the connections of the others. It leaves to others what a request
// means and who may make it.
package gateway
