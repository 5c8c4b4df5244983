package pluginhost

// KillStrays gives tests access to killStrays.
var KillStrays = killStrays
