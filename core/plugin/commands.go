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
	Pinned       bool // it is for what this generation holds, such as a call
	Attempt      int
	MaybeSent    bool
	Deadline     time.Time // by the system's clock, with which the plugin compares it; zero: none

	Send    *SendCommand
	Process []byte
	Lookup  *LookupCommand

	MarkRead *MarkReadCommand
	Typing   *TypingCommand
	Call     *CallCommand
	ToolEnd  *ToolEndCommand // goes to the plugin's tool service (Tools), and never to its port
}

// ToolEndCommand tells a tool that a session of its is over in the log.
type ToolEndCommand struct {
	Session conversation.SessionID
	By      conversation.Author // who ended it; zero: the gateway
	Cause   conversation.Cause  // finished, cancelled, expired, or "conversation_ended"
}

// MarkReadCommand tells the provider that the customer's messages up to and including this one have
// been read.
type MarkReadCommand struct {
	Message     conversation.MessageID
	ProviderIDs []string // the provider's ids of that message; the first one names it
}

// TypingCommand tells the provider that somebody writes to the customer, or has stopped. It has no
// outbox row, and is dropped when there is no room.
type TypingCommand struct {
	On         bool
	ProviderID string // of the customer's last message; "" = not known
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
// the window of the account or the process is full, that the generation is ending, or that another
// node may be serving the account, so that only what is pinned to this generation is taken. The router
// then keeps the command and offers it again after PluginRoom, a Result or the next PluginReady. If
// the command is under way there already, Offer returns true without sending it twice.
type CommandPort interface {
	Offer(Outbound) bool
	// Info describes the plugin behind the port, as it is now (Core.PluginInfo).
	Info() Info
	// NoticeBot tells the plugin of a conversation that one of its accounts is to answer as bot, or no
	// longer. It never blocks. False: the notice was not taken, because too many wait (PluginRoom says when
	// there is room) or the plugin is no bot. Notices may be lost with the generation: the core gives all of
	// them again after PluginReady.
	NoticeBot(BotNotice) bool
}

// Info is what the core needs to know of a plugin's description of itself.
type Info struct {
	ID, Name, Version string
	Capabilities      conversation.Capabilities
	IdempotentSend    bool
	CanLookup         bool
	OneNode           bool // one node at a time serves an account, unless Accounts says otherwise

	// Channel: accounts of the plugin start conversations and take messages.
	Channel  bool
	MarkRead bool // takes MarkReadCommands
	Typing   bool // takes TypingCommands
	// Templates: the plugin tells which templates the providers of its accounts have approved.
	Templates bool
	Tool      *ToolInfo // nil: the plugin is no tool
	Bot       bool      // an account of the plugin can be the bot of a service
	BotName   string    // as customers see it; "" = the account's name
	Calls     []string  // call commands that the plugin takes, by their names in the contract
	// Accounts holds what differs from Capabilities and the plugin's placement for single accounts.
	Accounts map[conversation.AccountID]AccountTraits
}

// AccountTraits is what holds for one account of a plugin whose accounts differ.
type AccountTraits struct {
	Capabilities *conversation.Capabilities // nil: the plugin's
	OneNode      bool                       // one node at a time serves the account
}

// OneNodeOf reports whether one node at a time serves an account.
func (i *Info) OneNodeOf(account conversation.AccountID) bool {
	if t, ok := i.Accounts[account]; ok {
		return t.OneNode
	}
	return i.OneNode
}

// CapabilitiesOf returns what an account's channel can carry.
func (i *Info) CapabilitiesOf(account conversation.AccountID) conversation.Capabilities {
	if t, ok := i.Accounts[account]; ok && t.Capabilities != nil {
		return *t.Capabilities
	}
	return i.Capabilities
}
