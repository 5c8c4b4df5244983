// Package control is how commands on the same machine reach a running gateway: a
// unix socket in the run folder, which is 0700, so that whoever can use it owns
// the data anyway and needs no further login (docs/decisions/0008). Server and
// Client stand side by side, since both are always of the same executable and
// nobody else may rely on the requests between them.
//
// It promises that ErrNotRunning means that no gateway can be there, so that a
// command may take the data folder for its own; a gateway that is there and does
// not answer is another error. A Request does the same whether the gateway or
// the command carries it out.
//
// Opening the stores when no gateway runs is left to the command, what a change
// may contain to core/directory.
package control
