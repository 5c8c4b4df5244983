// Package sdk is what authors of Parley plugins in Go import. A plugin is a process of its own;
// main is one call:
//
//	func main() { sdk.Serve(new(myChannel)) }
//
// A channel implements Channel: Describe, Configure, Send. Everything else is an optional interface
// implemented by the same value: Hooker for webhooks, http.Handler for browsers,
// Processor, Lookuper, Drainer, MetricsWriter, SignalHandler, Attacher; of minor 1 of the contract
// ReadMarker, Typist, AccountDescriber and CallCommander. Those of one method have a func adapter, and
// Abilities combines parts where an own type would be too much.
//
// A plugin need not be a channel: with Delivery NoChannel it has no Send, and implements ToolServer
// (a tool that agents and customers use inside a conversation), Bot, or both.
//
// # Order of calls
//
//	Describe      any time, without side effects
//	Configure     first with the full configuration, again at each change
//	Attach        once, after the first Configure that was accepted
//	Send, Process, Lookup, MarkRead, Typing, Call, Hook, ServeHTTP, Signal, Metrics,
//	Start, Get, End, Panel, Act, Answer   from then on
//	Drain         once, at the end: finish, start nothing new
//
// # What the SDK does
//
// It speaks the handshake and the Session of parley.plugin.v1, carries out the commands of each
// (account, thread) in order and those of different threads side by side, reads the conversations of
// bots, answers repeated acts of tools, counts credit, sends
// everything unacknowledged again after the Session was lost, implements Begin, answers pings,
// contains panics, logs JSON to standard error, refuses peers other than the parent process, and
// exits when its standard input ends or on SIGTERM.
//
// The package imports plugins/contract and nothing else of Parley.
package sdk
