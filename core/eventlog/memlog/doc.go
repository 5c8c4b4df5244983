// Package memlog is an eventlog.Log in memory: for tests of packages that
// need a log, and as the plainest statement of what a log does. It passes
// eventlogtest.Run. Nothing survives Close.
//
// It promises the same answers as the stores on disk. It leaves durability to them.
package memlog
