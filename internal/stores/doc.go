// Package stores opens what outlives a gateway's process: the log, the keys and the records. The
// configuration says where they are: in the data folder, or log and records in a PostgreSQL
// database, and the keys in another (DESIGN.md 5, 9).
//
// It promises that a missing master key is never replaced beside data which only that key can open
// (ErrNoMaster), that no error contains a password, and that after an error nothing stays open.
// Open needs the folder for itself; the functions whose names end in ReadOnly may be used beside a
// running gateway.
//
// It leaves to core what is written into the stores, and to internal/doctor what is wrong with
// them.
package stores
