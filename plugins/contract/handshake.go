package contract

// What host and plugin must agree on before the first call. A plugin written
// in another language needs these values and the .proto file only.
const (
	// ProtocolVersion is the major version of the contract: the number in the
	// handshake line and the "v1" of parley.plugin.v1.
	ProtocolVersion = 1
	// Minor is the newest minor version that this code knows. Both sides use
	// the lower of the two.
	Minor = 1

	// MagicCookieKey and MagicCookieValue are the environment variable by which a plugin knows that
	// a gateway started it. It lets a plugin tell people who run it by hand what it is, and is no
	// protection.
	MagicCookieKey   = "PARLEY_PLUGIN_COOKIE"
	MagicCookieValue = "3f0c1d6e-parley.plugin"

	// PluginName is the name under which go-plugin's plugin sets hold the
	// one plugin of a process.
	PluginName = "parley"

	// AttachEnv names the environment variable with the path of a unix socket. A plugin that a
	// developer starts with it, in a debugger for example, listens there until the gateway
	// attaches. There is then no handshake and no lifeline, and any process of the same user may
	// connect.
	AttachEnv = "PARLEY_PLUGIN_ATTACH"

	// LogLevelEnv names the environment variable with the lowest level that a plugin logs: debug,
	// info (default), warn or error.
	LogLevelEnv = "PARLEY_LOG_LEVEL"

	// RunEnv names the environment variable by which a host recognises its plugins' processes, and
	// the processes that those start: each run of the host has its own value. A plugin only has to
	// pass it on to its children.
	RunEnv = "PARLEY_PLUGIN_RUN"

	// MaxMessageSize bounds every gRPC message in either direction, in bytes.
	MaxMessageSize = 8 << 20
	// MaxFrameItems and MaxFrameBytes bound what a writer puts into one frame
	// of the Session; a single larger item travels alone.
	MaxFrameItems = 64
	MaxFrameBytes = 256 << 10
	// MaxBlobChunk bounds a chunk of BlobPut and BlobGet, in bytes.
	MaxBlobChunk = 256 << 10

	// EventWindow and EventWindowBytes are the credit for unacknowledged events that a host grants
	// if its hello names no other.
	EventWindow      = 512
	EventWindowBytes = 8 << 20
	// CommandWindow and AccountWindow bound the commands that a host has
	// under way at a plugin, per process and per account.
	CommandWindow = 512
	AccountWindow = 32

	// MaxSilence and MaxDrain bound what DescribeResponse may ask for, in milliseconds.
	MaxSilence = 30_000
	MaxDrain   = 3_600_000
	// MaxPanel bounds a panel's blocks, in bytes of JSON.
	MaxPanel = 64 << 10
	// MaxTemplates and MaxTemplateBytes bound the templates of an account.
	MaxTemplates     = 1000
	MaxTemplateBytes = 2 << 20
	// MaxEffects bounds the effects of an act.
	MaxEffects = 16
)

// Exit codes by which a plugin tells its supervisor that starting it again
// at once is pointless.
const (
	// ExitConfig: the plugin needs a new configuration.
	ExitConfig = 64
	// ExitVersion: host and plugin have no major version in common.
	ExitVersion = 65
)

// Names in DescribeResponse.abilities: what the plugin implements besides the required calls. The
// host sends nothing that needs an ability which is not named.
const (
	AbilityProcess = "process" // handles process commands (deferred events)
	AbilityDrain   = "drain"   // finishes work of its own in Drain
	AbilityMetrics = "metrics" // answers Metrics with series of its own
	AbilitySignals = "signals" // wants signal frames

	// Minor 1.
	AbilityMarkRead  = "mark_read" // handles mark_read commands
	AbilityTyping    = "typing"    // handles typing commands
	AbilityTemplates = "templates" // reports its accounts' templates
)
