// Package stores opens what outlives a gateway's process: the log, the keys and
// the records. The configuration says where they are: in the data folder, or log
// and records in a PostgreSQL database; the keys are in the folder in any case
// (DESIGN.md 5).
//
// It promises that a missing master key is never replaced beside data which only
// that key can read (ErrNoMaster), that an error holds no password, and that
// nothing stays open after an error. Open needs the folder for itself; what ends
// in ReadOnly may be opened beside a gateway at work.
//
// What is written into the stores is left to core, and what is wrong with them
// to internal/doctor.
package stores
