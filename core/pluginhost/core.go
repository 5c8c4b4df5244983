package pluginhost

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Core is what the plugin host needs of the rest of Parley: the router
// implements it. Methods are safe for concurrent use.
type Core interface {
	// Ingest makes an event of a plugin durable. It never blocks on the
	// disk: done is called exactly once, from another goroutine or from this
	// one, after the commit or the refusal. Events of one (account, thread)
	// are handled in the order of the calls.
	Ingest(ctx context.Context, in Inbound, done func(Ack))
	// Subscribe opens a reader of a thread for a connected channel.
	Subscribe(ctx context.Context, spec SubscriptionSpec, sink Sink) (Reader, error)
	// Signal passes typing or presence of a customer on. It never blocks.
	Signal(s CustomerSignal)
	// Begin records that the plugin is about to call its provider
	// (plugin-notes.md 4.6). It returns after the commit; false: the command
	// is no longer this plugin's to send.
	Begin(ctx context.Context, account conversation.AccountID, command [16]byte, instance string) (bool, error)
	// PluginReady says that a generation of a plugin has a session and takes
	// commands through the port until PluginGone is called with the same instance.
	PluginReady(plugin, instance string, port CommandPort)
	// PluginGone says that a generation takes no more commands. begun and unbegun
	// are the unsettled command ids that had and had not passed Begin.
	PluginGone(plugin, instance string, begun, unbegun [][16]byte)
	// AccountStatus tells how an account is doing at its provider.
	AccountStatus(account conversation.AccountID, ok bool, code, text string)
}

// Blobs is what GatewayService needs of the attachment store.
type Blobs interface {
	// Put stores an attachment that a message of the thread may name; of any thread
	// of the account when it is "".
	Put(ctx context.Context, account conversation.AccountID, thread, name, mime string, r io.Reader) (conversation.File, error)
	// Get opens an attachment of one of the plugin's accounts.
	Get(ctx context.Context, accounts []conversation.AccountID, id conversation.BlobID) (conversation.File, io.ReadCloser, error)
	// URL makes a short-lived public URL.
	URL(ctx context.Context, accounts []conversation.AccountID, id conversation.BlobID, ttl time.Duration, thumbnail bool) (string, time.Time, error)
}

// Granter mints single-use grants for visitors (DESIGN.md 7).
type Granter interface {
	MintVisitor(ctx context.Context, plugin, instance string, account conversation.AccountID, thread, purpose string) (string, time.Time, error)
}

// KV is a small store for each plugin's own use, 64 KiB a value.
type KV interface {
	Get(ctx context.Context, plugin, key string) (value []byte, version uint64, found bool, err error)
	// Put with conditional set fails (ok = false) unless the stored version is ifVersion (0 = absent).
	Put(ctx context.Context, plugin, key string, value []byte, ifVersion uint64, conditional bool) (version uint64, ok bool, err error)
	Delete(ctx context.Context, plugin, key string) error
	List(ctx context.Context, plugin, prefix, after string, limit int) ([]string, error)
}

// Inbound is an event from a plugin. Exactly one of the pointers is set.
type Inbound struct {
	Plugin    string
	Account   conversation.AccountID
	Thread    string // clear thread key
	DedupeKey string // "" = cannot repeat
	// Repeats: what is answered with Retry comes again, under the same DedupeKey
	// and in the order of its sending. It holds for what a session sends by
	// itself; a webhook's events come again when the carrier likes.
	Repeats    bool
	ProviderAt time.Time
	ReceivedAt time.Time

	Message  *InboundMessage
	Result   *CommandResult
	Status   *DeliveryStatus
	Receipt  *InboundReceipt
	Action   *CustomerAction
	Deferred []byte
}

// InboundMessage is a customer's message.
type InboundMessage struct {
	ClientID    string
	Address     string
	Name        string
	Parts       []conversation.Part
	ReplyTo     conversation.MessageID
	ProviderIDs []string
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

// DeliveryStatus is a provider's later word on a message, which one of
// ProviderID and Command names, or both.
type DeliveryStatus struct {
	ProviderID string
	Command    [16]byte // zero: not known
	Status     conversation.Status
	Code, Text string
}

// InboundReceipt is a connected customer's cumulative receipt.
type InboundReceipt struct {
	Conversation    conversation.ConversationID
	Delivered, Read uint64
}

// CustomerAction is what a customer does beyond messages. Exactly one is set.
type CustomerAction struct {
	Start      *StartAction
	Page       *conversation.PageBody
	End        bool
	Left       bool
	Attributes map[string]string
	OptOut     *OptOut
}

// OptOut: the customer wants no more messages on the thread, or some again.
type OptOut struct {
	Out     bool
	Keyword string // as written
}

// StartAction asks for a conversation (request form).
type StartAction struct {
	Body     conversation.StartedBody // Thread is filled in by the router
	ClientID string
	Parts    []conversation.Part
}

// AckStatus is the outcome of an Ingest.
type AckStatus int

// Outcomes. Refused is final and logged; Retry means that nothing is durable
// and the event should come again.
const (
	Committed AckStatus = iota + 1
	Duplicate
	Refused
	Retry
)

// Ack answers an Ingest.
type Ack struct {
	Status       AckStatus
	Code         string // refused, retry: published reason
	Conversation conversation.ConversationID
	Seq          uint64
}

// SubscriptionSpec names a reader of a thread.
type SubscriptionSpec struct {
	Plugin   string
	Account  conversation.AccountID
	Thread   string
	After    conversation.ConversationID // zero: the open one from its start
	AfterSeq uint64
	Audience conversation.Audience
	Credit   int // records that may be in flight
}

// Record is an opened event as a reader gets it. Head and Body are the stored
// bytes and must not be changed.
type Record struct {
	Conversation conversation.ConversationID
	Seq, Prev    uint64
	At           time.Time
	Type         conversation.Type
	Head, Body   json.RawMessage
}

// Sink takes what a reader gets. Its methods are called one at a time and
// must not block: the host queues (records are bounded by credit).
type Sink interface {
	// Records delivers in order; live tells that nothing more is waiting.
	Records(recs []Record, live bool)
	// Signal delivers something ephemeral.
	Signal(AgentSignal)
	// End says that the subscription is over; code is a published reason.
	End(code string)
}

// Reader is an open subscription.
type Reader interface {
	// Credit lets n more records come.
	Credit(n int)
	// Close ends it; no method of the sink runs after Close returns.
	Close()
}

// SignalKind tells what an ephemeral signal says.
type SignalKind string

// Kinds of signals.
const (
	SignalTyping   SignalKind = "typing"
	SignalPresence SignalKind = "presence"
	SignalQueue    SignalKind = "queue"
)

// CustomerSignal is typing or presence of a customer.
type CustomerSignal struct {
	Account conversation.AccountID
	Thread  string
	Kind    SignalKind
	On      bool
}

// AgentSignal goes to a customer's channel.
type AgentSignal struct {
	Conversation conversation.ConversationID
	Kind         SignalKind
	On           bool
	Name         string        // who types
	Position     int           // queue: from 1; 0 = not queued
	Waited       time.Duration // queue
}

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

// RoomWatcher may be implemented by a Core: PluginRoom says that a window of
// the generation which refused an Offer has room again. A Core without it
// offers again after each Result, which returns its command's credit before
// it is ingested.
type RoomWatcher interface {
	PluginRoom(plugin, instance string)
}

// CommandPort takes commands for one generation of a plugin. Offer never
// blocks: false means that the window of the account or the process is full
// or that the generation is ending; the router keeps the command and offers
// again after a Result, PluginRoom or the next PluginReady. A command that is
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
