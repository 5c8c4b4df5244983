// Package pgtest starts a temporary PostgreSQL server for the tests of one binary: a cluster in a
// temporary folder, on a unix socket and on a free port of the loopback address. Cluster.Stop stops
// the server and removes its folder. If the tests run as root the server runs as the user postgres,
// since PostgreSQL refuses to run as root.
//
// It promises a server that nobody else uses and that is gone after Stop. It leaves to others what
// is in the database.
package pgtest
