// Package system holds tests of the whole installation: the real binary with
// its plugin processes, driven over the public protocols only, with faults
// from outside (promises.md). They need Linux, and strace for some.
//
// It promises that every fault is made from outside, by signals, sockets and
// disks. It leaves rules and screens to the tests of each room and to
// e2e/stories.
package system
