// Package sdk is what authors of Parley plugins in Go import. A plugin is a
// process of its own; main is one call:
//
//	func main() { sdk.Serve(new(myChannel)) }
//
// A channel implements Plugin: Describe, Configure, Send. Everything else is
// an optional interface of one method, found on the same value: Hooker for
// webhooks, http.Handler for browsers, Processor, Lookuper, Drainer,
// MetricsWriter, SignalHandler, Attacher. Each has a func adapter, and
// Abilities puts adapters together where a type of one's own is too much.
//
// # Order of calls
//
//	Describe      any time, without side effects
//	Configure     first with the full configuration, again at each change
//	Attach        once, after the first Configure that was accepted
//	Send, Process, Lookup, Hook, ServeHTTP, Signal, Metrics   from then on
//	Drain         once, at the end: finish, start nothing new
//
// # What the SDK does
//
// It speaks the handshake and the Session of parley.plugin.v1, keeps order
// per (account, thread), each in a lane of its own, counts credit, sends
// everything unacknowledged again after the Session was lost, holds the
// Begin barrier, answers pings, contains panics, logs JSON on standard
// error, refuses peers other than the parent process, and leaves when its
// standard input ends or on SIGTERM.
//
// The package imports plugins/contract and nothing else of Parley.
package sdk
