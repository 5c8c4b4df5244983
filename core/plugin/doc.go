// Package plugin holds the nouns by which the core and the plugin host speak of
// what plugins say and are told: events and their acknowledgements, commands and
// their results, readers of a thread, signals, and what a plugin may ask of the
// gateway. The router implements Core, the attachment store Blobs; the host
// implements CommandPort and Sink. So neither side imports the other.
//
// What it promises: nothing here does anything; a comment of an interface is the
// whole of what one side may expect of the other: what blocks, what is
// durable when it returns, in which order and how often.
//
// What it leaves to others: the words of the contract are in plugins/contract,
// and core/pluginhost alone translates them; how plugins are started, watched
// and configured is the host's own business; what the nouns mean for a
// conversation is in core/conversation and carried out by core/router.
package plugin
