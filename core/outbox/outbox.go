package outbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// Conversations is what the outbox asks of the router. The outbox never calls these methods with
// its own lock held.
type Conversations interface {
	// Plugin is the plugin of an account; "" when the account no longer exists.
	Plugin(account conversation.AccountID) string
	// Message reads a message from the log, with its recipient. It may fail with ErrUnreadable.
	Message(ctx context.Context, conv conversation.ConversationID, seq uint64) (Message, error)
	// References finds messages that the message which is event seq of a conversation names, and what is
	// known of them now. A message that is not found is not in the result.
	References(ctx context.Context, conv conversation.ConversationID, seq uint64, ids []conversation.MessageID) (map[conversation.MessageID]Reference, error)
	// Recipient is where messages to an endpoint of the conversation go. It may fail with
	// ErrUnreadable.
	Recipient(ctx context.Context, conv conversation.ConversationID, endpoint int) (Recipient, error)
	// OpenPayload opens the sealed payload of a row that has one. It may fail with ErrUnreadable.
	OpenPayload(row eventlog.OutboxRow) ([]byte, error)
	// Tell writes the outcome of a message into its conversation, and the row's update in the same
	// append. done is called once, perhaps before Tell returns, with the event's sequence (0: the
	// conversation had the outcome already). Errors: ErrNotFollowed, ErrStopped, and those of the
	// log.
	Tell(row eventlog.OutboxRow, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(seq uint64, err error))
	// CallFailed tells a conversation that do, the command of a row of KindCall, ended for good
	// without success, and writes the row's update in the same append. It may wait for the log.
	// res.Code CodeInstanceGone means that the generation to which the row was pinned is gone, and
	// the call with it. done is as with Tell; after ErrNotFollowed the outbox records the failure on
	// the account instead.
	CallFailed(row eventlog.OutboxRow, do *plugin.CallCommand, res plugin.CommandResult, update eventlog.OutboxUpdate, done func(seq uint64, err error))
	// RecordFailure adds to b the record of a failure on the account's stream. The append of b
	// fails with *eventlog.DuplicateError when the command has a record already.
	RecordFailure(b *eventlog.Batch, f Failure) error
}

// Errors of Conversations.
var (
	// ErrUnreadable: the data was sealed under a key that is lost, or cannot be decoded, so that it
	// can never be read.
	ErrUnreadable = errors.New("outbox: can never be read")
	// ErrNotFollowed: the conversation does not follow the message any more, so
	// nothing was written.
	ErrNotFollowed = errors.New("outbox: the conversation does not follow the message")
	// ErrStopped: the router is stopping, and nothing was written.
	ErrStopped = errors.New("outbox: the router is stopping")
)

// Message is a message on its way to a provider.
type Message struct {
	ID     conversation.MessageID
	Parts  []conversation.Part
	Author string // the author's name that is shown with the message
	To     Recipient

	ReplyTo  conversation.MessageID // the message that this one answers; zero: none
	Endpoint int                    // of the conversation, to which the message goes
}

// Reference is what is known of a message that another one names.
type Reference struct {
	Endpoint    int                 // of the conversation, by which the message came or was sent
	Status      conversation.Status // of an outgoing message; "" = nobody has reported on it
	ProviderIDs []string            // of all its parts; nil: none is known
}

// Recipient is where messages to one endpoint of a conversation go, in clear.
type Recipient struct{ Address, Thread string }

// Failure is a command that ended for good without success, and whose failure no conversation
// shows.
type Failure struct {
	Row    eventlog.OutboxRow
	Thread string // the thread of a command that has a payload; "" when it cannot be read
	Result plugin.CommandResult
}

// Runner runs goroutines for the outbox, which end with the router.
type Runner interface {
	// Go runs f on a goroutine that the router's Stop waits for. False: the router
	// is stopping, and f does not run.
	Go(f func()) bool
	// After runs f later, unless the router stops first.
	After(d time.Duration, f func())
	// Running ends when the router stops.
	Running() context.Context
	// Commits returns a context that ends only when Stop gives up waiting, so that the result of an
	// append that has begun is still received.
	Commits() context.Context
}

// Log is what the outbox needs of the log.
type Log interface {
	Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error)
	Outbox(ctx context.Context, account eventlog.StreamID, unknown bool, limit int) ([]eventlog.OutboxRow, error)
	OutboxRow(ctx context.Context, command [16]byte) (eventlog.OutboxRow, error)
	AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (epoch int64, held bool, err error)
	ReleaseLease(ctx context.Context, name, holder string, epoch int64) error
}

// Leases say which accounts this node serves of those that one node at a time serves
// (core/nodes.Leases).
type Leases interface {
	// Lease returns the lease under which this node serves an account, and since when; ok is false if
	// it does not.
	Lease(account [16]byte) (ref eventlog.LeaseRef, since time.Time, ok bool)
}

// Options for New. All fields but Shared and Leases are needed.
type Options struct {
	Node          string // the node to which these rows belong
	Shared        bool   // other nodes write the log too, and may rewrite what is not handed out yet
	Log           Log
	Conversations Conversations
	Runner        Runner
	Leases        Leases // nil: this node may serve every account
	Logger        *slog.Logger
	Now           func() time.Time // the installation's time (core/clock)
}

// Outbox holds a node's pending commands. Safe for concurrent use.
type Outbox struct {
	node    string
	shared  bool // messages are read from the log when they are handed out: memory may hold what another node has masked
	log     Log
	convs   Conversations
	runner  Runner
	leases  Leases
	logger  *slog.Logger
	now     func() time.Time
	metrics metrics
	wake    chan struct{} // holds a token when there may be commands to hand out
	again   chan struct{} // holds a token when the rows are to be read now
	sooner  chan struct{} // holds a token when a command must be looked at before due

	mu        sync.Mutex
	plugins   map[string]*generation // the latest generation of each plugin, also when it is gone
	instances map[string]*generation // generations that are there, by instance; those that end count until they are gone
	ended     recentNames            // instances that were here
	accounts  map[conversation.AccountID]*account
	byID      map[[16]byte]*Command
	others    others // messages of other nodes for which this node's wait
	past      past
	epoch     atomic.Int64 // of the node's lease, when it was last held
	round     int          // counts calls of handOut
	rewritten uint64       // counts calls of Rewritten
	due       time.Time    // when Expire looks at the commands next
	ending    []ending     // what endAll is to end as soon as mu is free

	reads   uint64                // number of the last reading of rows
	reading int                   // number of readings under way
	gone    map[[16]byte]struct{} // commands that left memory, or others, during these readings

	// These fields belong to the goroutine that reads all rows: Start, then Keep.
	renewed, keptSince time.Time // the node's lease: when it was last renewed, and since when it has been kept without a gap
	notReadBefore      time.Time
}

// New makes an outbox. Nothing runs before Start, Run, Keep and Expire are called.
func New(o Options) *Outbox {
	return &Outbox{
		node: o.Node, shared: o.Shared, log: o.Log, convs: o.Conversations, runner: o.Runner, leases: o.Leases, logger: o.Logger, now: o.Now, metrics: newMetrics(),
		wake: make(chan struct{}, 1), again: make(chan struct{}, 1), sooner: make(chan struct{}, 1),
		plugins: map[string]*generation{}, instances: map[string]*generation{}, accounts: map[conversation.AccountID]*account{}, byID: map[[16]byte]*Command{},
		past: past{rows: map[[16]byte]eventlog.OutboxRow{}},
	}
}

// poke wakes Run, which hands out the commands that can be handed out now.
func (o *Outbox) poke() { token(o.wake) }

// token puts a token into a channel, unless it holds one already.
func token(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// retryPause is the pause before something that the store refused is tried again.
const retryPause = time.Second

// stopping answers Retry, for work that would need another goroutine while the router stops.
func stopping(done func(plugin.Ack)) {
	done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
}
