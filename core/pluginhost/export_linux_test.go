package pluginhost

// KillStrays and KillOrphans give tests access to killStrays and killOrphans.
var (
	KillStrays  = killStrays
	KillOrphans = killOrphans
)
