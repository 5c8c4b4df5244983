// Package pluginhost runs plugins: it verifies, starts, supervises, upgrades
// and stops their processes, speaks the contract with them, and passes what
// they say to the core and back (DESIGN.md 7, plugin-notes.md). A plugin's
// death, hang or nonsense harms nothing but its own channel, and that only
// until the next generation is ready.
//
// The nouns in which it speaks with the core are in core/plugin.
//
// A Host has a plugin for each one loaded; a plugin's supervisor is one
// goroutine which starts, watches, replaces and ends generations. A generation
// is one process with its connection, its GatewayService and its session. A
// session has one goroutine that reads and one that writes, and neither waits
// for anything but the stream: what takes time is handed to the Core, to bounded
// queues, or to goroutines that the session counts and waits for.
//
// What the package promises: an event is acknowledged only after the Core said
// that it is durable; a hook is answered only after its events are; a command
// is sent to one generation at a time, and what a lost one left undone is told
// apart by the Begin barrier; no input switches a plugin off for good; nothing
// of the gateway's environment and no secret reaches a plugin but by Configure.
//
// It leaves to others what an event means and whether it is a repeat (the Core),
// and what an account may use (core/directory).
package pluginhost
