// Package plugin holds the types with which the core and the plugin host talk about plugins: events
// and their acknowledgements, commands and their results, readers of a thread, signals, and what a
// plugin may ask of the gateway. The router implements Core, the attachment store Blobs; the host
// implements CommandPort and Sink. So neither side imports the other.
//
// What it promises: nothing in this package does anything. The comments of an interface say
// everything that one side may expect of the other: what blocks, what is durable when a call
// returns, in which order and how often.
//
// What it leaves to others: the messages of the contract are in plugins/contract, and only
// core/pluginhost translates them; the host alone decides how plugins are started, watched and
// configured; core/conversation says what the types mean for a conversation, and core/router
// carries it out.
package plugin
