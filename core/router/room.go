package router

// PluginRoom says that a full window of a plugin has room again
// (pluginhost.RoomWatcher).
func (r *Router) PluginRoom(string, string) { r.outbox.poke() }
