package contract

// What host and plugin must agree on before the first call. A plugin written
// in another language needs these values and the .proto file only.
const (
	// ProtocolVersion is the major version of the contract: the number in the
	// handshake line and the "v1" of parley.plugin.v1.
	ProtocolVersion = 1
	// Minor is the newest minor version that this code knows. Both sides use
	// the lower of the two.
	Minor = 0

	// MagicCookieKey and MagicCookieValue name the environment variable by
	// which a plugin knows that a gateway started it. It is a courtesy to
	// people who run a plugin by hand, not a protection.
	MagicCookieKey   = "PARLEY_PLUGIN_COOKIE"
	MagicCookieValue = "3f0c1d6e-parley.plugin"

	// PluginName is the name under which go-plugin's plugin sets hold the
	// one plugin of a process.
	PluginName = "parley"

	// AttachEnv names the environment variable with the unix socket on which a
	// plugin that a developer starts, in a debugger for example, waits for the
	// gateway to attach. There is no handshake and no lifeline then, and any
	// process of the same user is let in.
	AttachEnv = "PARLEY_PLUGIN_ATTACH"

	// LogLevelEnv names the environment variable with the least level that a
	// plugin logs: debug, info (default), warn or error.
	LogLevelEnv = "PARLEY_LOG_LEVEL"

	// RunEnv names the environment variable by which a host knows its plugins'
	// processes, and those that they start: its value is this run's of the host
	// alone. A plugin has no use for it but to hand it on.
	RunEnv = "PARLEY_PLUGIN_RUN"

	// MaxMessageSize bounds every gRPC message in either direction, in bytes.
	MaxMessageSize = 8 << 20
	// MaxFrameItems and MaxFrameBytes bound what a writer puts into one frame
	// of the Session; a single larger item travels alone.
	MaxFrameItems = 64
	MaxFrameBytes = 256 << 10
	// MaxBlobChunk bounds a chunk of BlobPut and BlobGet, in bytes.
	MaxBlobChunk = 256 << 10

	// EventWindow and EventWindowBytes are the credit for unacknowledged
	// events that a host grants unless it says otherwise in its hello.
	EventWindow      = 512
	EventWindowBytes = 8 << 20
	// CommandWindow and AccountWindow bound the commands that a host has
	// under way at a plugin, per process and per account.
	CommandWindow = 512
	AccountWindow = 32
)

// Exit codes by which a plugin tells its supervisor that starting it again
// at once is pointless.
const (
	// ExitConfig: wait for a new configuration.
	ExitConfig = 64
	// ExitVersion: the two sides have no version in common.
	ExitVersion = 65
)

// Names in DescribeResponse.abilities: what the plugin implements beyond the
// required calls. The host sends nothing that needs an undeclared ability.
const (
	AbilityProcess = "process" // settles process commands (deferred events)
	AbilityDrain   = "drain"   // has work of its own to finish in Drain
	AbilityMetrics = "metrics" // answers Metrics with series of its own
	AbilitySignals = "signals" // wants signal frames
)
