// Package kv keeps the small stores of plugins: keys with values up to 64 KiB, for
// each plugin its own, which plugins reach over the gateway's service.
//
// What the package promises: a value is on the disk when Put returns, and sealed
// under a key of the vault that is the plugin's own; versions count from 1 and a
// conditional Put lets one of several writers win; one plugin never sees another's.
// What it leaves to others: which plugin asks (core/pluginhost), and the database
// handle (core/database).
package kv
