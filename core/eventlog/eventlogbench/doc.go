// Package eventlogbench measures the log alone: many writers, full sync,
// against a bare loop that writes the same rows in transactions as large as
// the log's were. The ratio is what the log's queue, checks, result slots and
// checkpoints cost. All take turns in one run, since the speed of a shared
// machine drifts.
//
// It promises figures of one run that can be compared with each other. It leaves
// to others the cost of the whole system (`parley bench`).
package eventlogbench
