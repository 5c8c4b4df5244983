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
}

// Delivery is how messages reach the customer.
type Delivery int

// The two ways of delivery (DESIGN.md 7).
const (
	// StoreAndForward: messages come to Send, as commands from the host's outbox.
	StoreAndForward Delivery = iota + 1
	// Connected: the plugin subscribes to threads and streams records to
	// customers who are connected.
	Connected
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
