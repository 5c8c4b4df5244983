package sdk

import "time"

// Manifest is the answer to Describe.
type Manifest struct {
	ID      string // short lower-case name, unique in an installation: "webchat"
	Name    string // the name that people see: "Web chat"
	Version string // the plugin's own version

	// MinHostMinor is the lowest minor version of the contract with which the plugin works; an
	// older host gets an error that says so.
	MinHostMinor uint32

	SettingsSchema string // JSON Schema 2020-12 of the plugin's settings; "" = it has none
	AccountSchema  string // JSON Schema 2020-12 of an account's settings; "" = it has none

	Delivery     Delivery
	Capabilities Capabilities
	Routes       []Route   // HTTP routes under /p/<id>/; need an http.Handler
	Hook         *HookInfo // nil: no webhooks; needs a Hooker

	IdempotentSend bool // the provider recognises a repeated id and sends once, so Begin is not needed
	CanLookup      bool // implements Lookuper
	Exclusive      bool // two generations of the plugin must not run at once (bound port, poll cursor)
	SingleNode     bool // an account may be served by only one node at a time
	EgressHosts    []string

	// From here on minor 1. An older host is told none of it, and refuses a plugin without a channel.

	Tool      *ToolInfo // nil: the plugin is no tool; needs a ToolServer
	Bot       *BotInfo  // nil: no account can be the bot of a service; needs a Bot or a BotNoticeHandler
	Calls     *CallInfo // nil: the plugin takes no call commands; needs a CallCommander
	Templates bool      // reports its accounts' templates with ReportTemplates

	// Silence is how long pings may go unanswered before the plugin counts as frozen, in whole
	// milliseconds; 0 = 1.5 s, at most 30 s.
	Silence time.Duration
	// Drain is how long Drain may take; 0 = 8 s, at most 1 h and what the operator allows.
	Drain time.Duration
}

// ToolInfo declares that the plugin is a tool that agents and customers use inside a conversation.
type ToolInfo struct {
	Title          string   // for people: "Co-browse"
	Icon           string   // a desktop icon's name
	AgentStarts    bool     // an agent may start a session
	CustomerStarts bool     // the customer may ask for one
	NeedsConsent   bool     // nothing happens before the customer has accepted
	NeedsPanels    bool     // works only on channels with Capabilities.Panels
	EmbedOrigins   []string // origins that panels may embed: "https://host[:port]"
	Single         bool     // at most one session of this tool is live in a conversation
}

// BotInfo declares that an account of the plugin can be the bot of a service.
type BotInfo struct {
	Name string // as customers see it, unless the account's settings say otherwise; "" = the account's name
}

// CallInfo declares which call commands the plugin carries out.
type CallInfo struct {
	Commands []string // made by CallCommands
	Video    bool
}

// Delivery is how messages reach the customer.
type Delivery int

// The ways of delivery (DESIGN.md 7).
const (
	// StoreAndForward: messages come to Send, as commands from the host's outbox.
	StoreAndForward Delivery = iota + 1
	// Connected: the plugin subscribes to threads and streams records to
	// customers who are connected.
	Connected
	// NoChannel: the plugin gets no messages to send, and its accounts start no conversations. It is
	// a tool, a bot, or both (minor 1).
	NoChannel
)

// Capabilities is what a channel can carry (DESIGN.md 3). Router and desktop offer only what is set
// here.
type Capabilities struct {
	Text          bool
	RichText      bool
	Files         bool
	Location      bool
	Choices       bool
	Template      bool
	Reaction      bool
	Edit          bool
	Revoke        bool
	Typing        bool
	Read          bool // the channel has read receipts
	Receipts      bool // the channel has delivery receipts
	Links         bool // customers can click on links
	Page          bool // reports the page that the customer has open
	Panels        bool
	Calls         bool
	OutboundFirst bool // an agent may write before the customer has

	ReplyWindowHours uint32 // hours after a customer's message in which an agent may write; 0 = unlimited
	Counter          string // "gsm7", "utf16" or "" (none)
	MaxLength        uint32 // of one message, in the counter's units or UTF-16 units; 0 = no limit
	OfferTitle       string // title of the offer alert, "Web Chat"
	Medium           string // picks the rules of the service: "chat", "sms", "messaging", "voice", "email"; "" and others = chat
	Icon             string // a desktop icon's name: "message-circle", "device-mobile", "phone"
	// AddressKind is the form of customers' addresses: "phone" (E.164 with plus) or "" (opaque).
	// With OutboundFirst, a conversation that an agent begins has the address in that form as its
	// thread: name the threads of inbound events in the same way.
	AddressKind string

	// From here on minor 1.

	PartLimits []PartLimit // limits of single kinds of parts; none = only the general ones
	Quotes     bool        // a message may answer an earlier one
	Captions   bool        // a file may carry a caption
}

// PartLimit is what one kind of part may be on a channel. 0 and none = no limit of this kind.
type PartLimit struct {
	Kind      string   // "text", "rich_text", "file", "location", "choices", "template", "caption", ...
	MaxLength uint32   // of its text, in the counter's units or UTF-16 units
	MaxBytes  uint64   // of a file
	MaxCount  uint32   // in one message; for "choices" the number of options
	MIMEs     []string // "image/jpeg", "image/*": what files may be; with MaxBytes: the files that it holds for
	MaxTitle  uint32   // of one option's title, in UTF-16 units
}

// Access says who may use a route.
type Access int

// Who may use a route.
const (
	Public    Access = iota + 1 // anybody; the plugin authenticates
	AgentOnly                   // a logged-in agent; Parley-Identity is required
	GrantOnly                   // whoever sends a single-use grant; Parley-Identity is required
)

// Route is a path prefix whose requests the gateway passes on to the plugin.
type Route struct {
	Path    string // prefix below /p/<id>/, without the leading slash; "" = everything
	Access  Access
	Upgrade bool   // WebSocket upgrades are allowed
	MaxBody uint64 // largest body in bytes; 0 = 64 KiB
}

// HookInfo declares that the plugin takes webhooks.
type HookInfo struct {
	Budget  time.Duration // the time within which the carrier wants its answer, in whole milliseconds; 0 = 10 s
	Methods []string      // HTTP methods of webhooks; empty = POST
	MaxBody uint64        // largest body in bytes; 0 = 1 MiB
}
