// Package eventlogtest is the suite that every implementation of eventlog.Log
// passes. It asserts what DESIGN.md 5 and promises.md (PR1, PR3, PR6, 4.3-4.7,
// 4.10) ask of a log while it is open; durability is tested by each
// implementation with the faults that its storage can have.
//
// It promises that a log which passes behaves as the others do. It leaves speed to eventlogbench,
// and faults of the storage to the tests of each implementation.
package eventlogtest
