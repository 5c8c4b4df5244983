package router

// PluginRoom says that a full window of a plugin has room again
// (plugin.Core).
func (r *Router) PluginRoom(string, string) { r.outbox.poke() }
