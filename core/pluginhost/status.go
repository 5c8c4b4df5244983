package pluginhost

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// State is where a plugin is in its life (plugin-notes.md 5).
type State string

// States. There is no state in which a plugin is off for good.
const (
	StateDiscovered  State = "discovered"  // found, but not pinned or not started
	StateVerified    State = "verified"    // pinned and unchanged
	StateStarting    State = "starting"    // process, handshake, Describe
	StateConfiguring State = "configuring" // Configure and Session
	StateReady       State = "ready"
	StateDegraded    State = "degraded" // ready but with faults, or waiting for a new configuration
	StateDraining    State = "draining"
	StateCrashed     State = "crashed"
	StateBackoff     State = "backoff" // the next start comes without help
	StateStopped     State = "stopped"
)

// Status describes a plugin for people.
type Status struct {
	ID, Name, Version string
	State             State
	Since             time.Time // when State began
	Reason            string    // why the plugin is degraded, crashed or waiting; "" = no problem
	Kind              string    // "built-in", "folder" or "attached"
	Dir               string    // folder of a folder plugin
	Generation        int       // number of starts so far
	Instance          string    // instance of the present generation; "" = none is ready
	PID               int       // 0 = no process, or attached
	Restarts          int
	Problems          []Problem
	Accounts          []AccountState
	// OneNode are the enabled accounts of the present generation that one node at a time serves; empty
	// when there are no other nodes.
	OneNode   []OneNodeAccount
	LastCrash *Crash
	Ping      time.Duration // round trip through the dispatch loop; 0 = not known
}

// AccountState is the state of an account, as its plugin reported it.
type AccountState struct {
	ID         conversation.AccountID
	OK         bool
	Code, Text string
}

// OneNodeAccount is an account that one node at a time serves.
type OneNodeAccount struct {
	ID   conversation.AccountID
	Here bool // this node serves it; false: another one does, or none
}

// Crash reports the end of a generation that nobody asked for.
type Crash struct {
	At         time.Time
	Generation int
	Cause      string // "exit", "signal", "stream", "unresponsive", "protocol", "lease", "start"
	Error      string
	ExitCode   int    // -1 = ended by a signal, or not known
	Signal     string // name of the signal; "" = none
	Output     string // the last 64 KiB of standard error
}
