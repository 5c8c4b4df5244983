// Package hosttest is the suite that every host of plugins passes: the gateway itself, and each
// double of the gateway that plugins are tested against. The suite says what a host answers to a
// plugin that keeps to the contract, what it refuses to one that does not, and with which code.
//
// What it promises: a double that passes the suite refuses, in everything that the suite asks, what
// the gateway refuses. A plugin that works against a double then does not meet such a refusal for
// the first time in production.
//
// What it leaves to others: how a host starts, watches and ends processes, and how fast it is
// (core/pluginhost); what a plugin must do (plugins/sdk/kit).
package hosttest
