package plugin

import (
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Outbound is a command for a plugin.
type Outbound struct {
	Command      [16]byte
	Account      conversation.AccountID
	Thread       string
	Conversation conversation.ConversationID
	Attempt      int
	MaybeSent    bool
	Deadline     time.Time // by the system's clock, with which the plugin compares it; zero: none

	Send    *SendCommand
	Process []byte
	Lookup  *LookupCommand
}

// SendCommand sends a message to the customer.
type SendCommand struct {
	Message           conversation.MessageID
	To                string // the address in clear
	Parts             []conversation.Part
	Author            string
	ReplyToProviderID string
}

// LookupCommand asks the plugin for the outcome of a message whose outcome is not known.
type LookupCommand struct {
	Message conversation.MessageID
}

// CommandResult reports the outcome of a command.
type CommandResult struct {
	Command     [16]byte
	Outcome     conversation.Status // sent, failed or unknown
	ProviderIDs []string
	Kind        string // error class, see conversation.MessageStatus
	Code, Text  string // the provider's own code and text
	Retryable   bool
	RetryAfter  time.Duration
}

// CommandPort takes commands for one generation of a plugin. Offer never blocks: false means that
// the window of the account or the process is full, or that the generation is ending. The router
// then keeps the command and offers it again after PluginRoom, a Result or the next PluginReady. If
// the command is under way there already, Offer returns true without sending it twice.
type CommandPort interface {
	Offer(Outbound) bool
	// Info describes the plugin behind the port.
	Info() Info
}

// Info is what the core needs to know of a plugin's description of itself.
type Info struct {
	ID, Name, Version string
	Capabilities      conversation.Capabilities
	IdempotentSend    bool
	CanLookup         bool
}
