package pluginhost

// KillStrays is for tests.
var KillStrays = killStrays
