// Package gateway is the front door: the public and the ops listener, the three
// origins desk, chat and files (DESIGN.md 8) and those of third-party plugins'
// pages (DESIGN.md 7), TLS, security headers, and the limits on
// connections, headers, bodies, time and rates that every request passes before it
// reaches a handler. What is served is handed in: this package knows no resource,
// no plugin and no conversation.
//
// It promises that every request has bounded size and time before anybody reads
// it, and that one address cannot use up the connections of the others. It
// leaves to others what a request means and who may make it.
package gateway
