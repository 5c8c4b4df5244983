// Package control lets commands on the same machine reach a running gateway through a unix socket
// in the run folder. The folder's mode is 0700, so whoever can use the socket owns the data anyway
// and needs no further login (docs/decisions/0008). Server and Client are one package because both
// always come from the same executable; nobody else may rely on the requests between them.
//
// It promises that ErrNotRunning means that no gateway can be there, so that a command may use the
// data folder itself; a gateway that is there and does not answer is another error. A Request does
// the same whether the gateway or the command carries it out.
//
// It leaves to the command to open the stores when no gateway runs, and to core/directory what a
// change may contain.
package control
