// Package wire converts between the messages of the contract (plugins/contract) and the types with
// which the plugin host and the core talk (core/plugin).
//
// What it promises: a value that it returns is whole and within the limits of the contract, or there
// is an error whose Code the plugin is told. It does no I/O and keeps nothing; its functions are safe
// for concurrent use. Bytes of a message are shared with the value that is made of it.
//
// What it leaves to others: who may say what of which account is core/pluginhost's business, what it
// means for a conversation the core's.
package wire
