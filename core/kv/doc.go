// Package kv keeps the small stores of plugins: keys with values up to 64 KiB, for
// each plugin its own, which plugins reach over the gateway's service.
//
// What the package promises: a value is on the disk when Put returns, sealed under a vault key that
// belongs to the plugin alone; versions count from 1, and a conditional Put lets one of several
// writers win; no plugin sees another plugin's values. What it leaves to others: to know which
// plugin asks (core/pluginhost), and the database handle (core/database).
package kv
