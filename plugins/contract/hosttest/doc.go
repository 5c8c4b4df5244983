// Package hosttest is the suite that every host of plugins passes: the gateway
// itself, and each double of it that plugins are tested against. It says what
// a host answers to a plugin that does what it may, and what it refuses, and
// with which code, to one that does not.
//
// What it promises: a double that passes refuses what the gateway refuses, in
// what the suite asks. A plugin that works against a double does not meet a
// refusal for the first time in production.
// What it leaves to others: how a host starts, watches and ends processes, and
// how fast it is (core/pluginhost); what a plugin must do (plugins/sdk/kit).
package hosttest
