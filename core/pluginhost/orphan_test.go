package pluginhost_test

// runHostProcess is a gateway that can be killed: it starts a host with one
// plugin, prints the plugin's pid and waits.
func runHostProcess(args []string) int {
	return 0
}
