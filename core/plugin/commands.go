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
	Deadline     time.Time // as the system's clock will show it; zero: none

	Send    *SendCommand
	Process []byte
	Lookup  *LookupCommand
}

// SendCommand sends a message to the customer.
type SendCommand struct {
	Message           conversation.MessageID
	To                string // clear address
	Parts             []conversation.Part
	Author            string
	ReplyToProviderID string
}

// LookupCommand asks what became of a message whose outcome is not known.
type LookupCommand struct {
	Message conversation.MessageID
}

// CommandResult settles a command.
type CommandResult struct {
	Command     [16]byte
	Outcome     conversation.Status // sent, failed or unknown
	ProviderIDs []string
	Kind        string // error class, see conversation.MessageStatus
	Code, Text  string // the provider's own
	Retryable   bool
	RetryAfter  time.Duration
}

// CommandPort takes commands for one generation of a plugin. Offer never
// blocks: false means that the window of the account or the process is full
// or that the generation is ending; the router keeps the command and offers
// again after PluginRoom, a Result or the next PluginReady. A command that is
// under way there already is taken without being sent twice.
type CommandPort interface {
	Offer(Outbound) bool
	// Info describes the plugin behind the port.
	Info() Info
}

// Info is what a plugin said of itself that the core needs.
type Info struct {
	ID, Name, Version string
	Capabilities      conversation.Capabilities
	IdempotentSend    bool
	CanLookup         bool
}
