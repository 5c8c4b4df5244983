// Package system holds tests of the whole installation: the real binary with
// its plugin processes, driven over the public protocols only, with faults
// from outside (promises.md). They need Linux, and strace for some.
package system
