// Package pluginhost runs plugins: it verifies, starts, supervises, upgrades and stops their
// processes, speaks the contract with them, and passes what they send to the core and back
// (DESIGN.md 7, plugin-notes.md). If a plugin dies, hangs or sends nonsense, only its own channel
// suffers, and only until the next generation is ready.
//
// The types with which the host and the core talk are in core/plugin.
//
// A Host holds every loaded plugin. Each plugin has a supervisor, one goroutine which starts,
// watches, replaces and ends generations. A generation is one process with its connection, its
// GatewayService and its session. A session has one goroutine that reads and one that writes, and
// neither waits for anything but the stream: work that takes time is handed to the Core, to bounded
// queues, or to goroutines that the session counts and waits for.
//
// What the package promises: an event is acknowledged only after the Core said that it is durable;
// a hook is answered only after its events are durable; a command is sent to one generation at a
// time, and the Begin barrier shows which commands of a lost generation may have been sent; no
// input switches a plugin off for good; nothing of the gateway's environment reaches a plugin, and
// secrets reach it only by Configure.
//
// It leaves it to the Core what an event means and whether it is a repeat, and to core/directory
// what an account may use.
package pluginhost
