// Package eventlogbench measures the log alone: many writers, full sync,
// against a bare loop that writes the same rows in transactions as large as
// the log's were. The ratio is what the log's queue, checks, result slots and
// checkpoints cost. All take turns in one run, since the speed of a shared
// machine drifts.
//
// It promises that the figures of one run can be compared with each other. It leaves measuring the
// whole system to `parley bench`.
package eventlogbench
