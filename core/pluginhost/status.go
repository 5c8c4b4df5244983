package pluginhost

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// State is where a plugin is in its life (plugin-notes.md 5).
type State string

// States. There is none in which a plugin is off for good.
const (
	StateDiscovered  State = "discovered"  // found, not pinned or not started
	StateVerified    State = "verified"    // pinned and unchanged
	StateStarting    State = "starting"    // process, handshake, Describe
	StateConfiguring State = "configuring" // Configure and Session
	StateReady       State = "ready"
	StateDegraded    State = "degraded" // ready with faults, or waiting for a new configuration
	StateDraining    State = "draining"
	StateCrashed     State = "crashed"
	StateBackoff     State = "backoff" // the next start comes by itself
	StateStopped     State = "stopped"
)

// Status describes a plugin for people.
type Status struct {
	ID, Name, Version string
	State             State
	Since             time.Time // of State
	Reason            string    // why it is degraded, crashed or waiting; "" = all is well
	Kind              string    // "built-in", "folder" or "attached"
	Dir               string    // of a folder plugin
	Generation        int       // counts starts, from 1
	Instance          string    // of the present generation; "" = none is ready
	PID               int       // 0 = none, or attached
	Restarts          int
	Problems          []Problem
	Accounts          []AccountState
	LastCrash         *Crash
	Ping              time.Duration // round trip through the dispatch loop; 0 = not known
}

// AccountState is how an account fares, in its plugin's words.
type AccountState struct {
	ID         conversation.AccountID
	OK         bool
	Code, Text string
}

// Crash is the report of a generation's end that nobody asked for.
type Crash struct {
	At         time.Time
	Generation int
	Cause      string // "exit", "signal", "stream", "unresponsive", "protocol", "start"
	Error      string
	ExitCode   int    // -1 = ended by a signal, or not known
	Signal     string // "" = none
	Output     string // the last 64 KiB of standard error
}
