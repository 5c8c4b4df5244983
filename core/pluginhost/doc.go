// Package pluginhost runs plugins: it verifies, starts, supervises, upgrades
// and stops their processes, speaks the contract with them, and passes what
// they say to the core and back (DESIGN.md 7, plugin-notes.md). A plugin's
// death, hang or nonsense harms nothing but its own channel, and that only
// until the next generation is ready.
package pluginhost
