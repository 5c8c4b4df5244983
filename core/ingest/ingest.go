package ingest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/messages"
	"github.com/parley-gateway/parley/core/outbox"
	"github.com/parley-gateway/parley/core/plugin"
)

// Conversations is what Ingest asks of the router.
type Conversations interface {
	// Arrive routes a customer's event, which has passed the checks, to the conversation of its
	// thread, in the order in which Arrive was called. It never blocks on the log; done is called
	// once.
	Arrive(acc directory.Account, in plugin.Inbound, done func(plugin.Ack))
	// Bot carries out what a bot does in a conversation (Inbound.Bot, which has passed the checks). It
	// never blocks; done is called once.
	Bot(acc directory.Account, in plugin.Inbound, done func(plugin.Ack))
	// SetStatus asks a conversation to record the status that a provider reports for a message. It
	// never blocks.
	SetStatus(conv conversation.ConversationID, w Word)
	// Tool has a tool's event taken into the conversation of its session. It never blocks on the log; done is
	// called once.
	Tool(in plugin.Inbound, done func(plugin.Ack))
	// Channel returns a plugin's label in metrics. The argument may be any text.
	Channel(plugin string) string
}

// Errors of Conversations.SetStatus.
var (
	// ErrNotFollowed: the conversation does not follow the message's status any more, so nothing
	// was written.
	ErrNotFollowed = outbox.ErrNotFollowed
	// ErrStopped: the router is stopping, and nothing was written.
	ErrStopped = outbox.ErrStopped
	// ErrBound: one of Word.Keys is bound already, so nothing was written.
	ErrBound = errors.New("ingest: a provider's id is known already")
)

// Word carries what a provider says of one outgoing message to the message's conversation.
type Word struct {
	Account conversation.AccountID
	Keys    []eventlog.Key // the provider's ids, which the same append binds to the message
	Message uint64         // sequence of the message to which Keys are bound; 0: there are no Keys
	// Decide returns what to write, given the conversation's state and those of Keys that are not
	// known to be bound. The conversation's worker calls it, and calls it again after a conflict.
	Decide func(s *conversation.State, keys []eventlog.Key) (Decision, error)
	// Done is called once, with the sequence of the status event; 0 when the conversation had
	// recorded that status already. Errors: ErrBound, ErrNotFollowed, ErrStopped, and those of the
	// log.
	Done func(seq uint64, err error)
}

// Decision is everything that one append writes for a Word.
type Decision struct {
	Status   conversation.SetStatus
	Outbox   []eventlog.OutboxUpdate // written even when Status changes nothing
	Receipts []eventlog.ReceiptJoin  // early receipts that the status takes into account
}

// Runner runs Ingest's goroutines and bounds them by the life of the router.
type Runner interface {
	// Go runs f on a goroutine that the router's Stop waits for. False means that the router is
	// stopping and f does not run.
	Go(f func()) bool
	// Running returns a context that ends when the router stops.
	Running() context.Context
	// Commits returns a context that ends only when Stop waits no longer, so that an append that
	// has begun before still gets its answer.
	Commits() context.Context
}

// Log is what Ingest needs of the log.
type Log interface {
	Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error)
	Read(ctx context.Context, stream eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error)
	External(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (stream eventlog.StreamID, seq uint64, err error)
	OutboxRow(ctx context.Context, command [16]byte) (eventlog.OutboxRow, error)
	EarlyReceipts(ctx context.Context, account eventlog.StreamID, key eventlog.Key) ([]eventlog.EarlyReceipt, error)
	PruneReceipts(ctx context.Context, before time.Time) (int, error)
}

// Vault is what Ingest needs of the vault, which holds the data keys.
type Vault interface {
	Assign() (int64, error)
	Seal(key int64, aad, plain []byte) ([]byte, error)
	Open(key int64, aad, sealed []byte) ([]byte, error)
	MAC(purpose string, parts ...[]byte) [32]byte
}

// Directory is what Ingest needs of the installation's records: its accounts.
type Directory interface {
	Snapshot() *directory.Snapshot
}

// Options for New. All fields are needed.
type Options struct {
	Node          string
	Log           Log
	Vault         Vault
	Directory     Directory
	Conversations Conversations
	Outbox        *outbox.Outbox
	Messages      *messages.Maker
	Runner        Runner
	Logger        *slog.Logger
	Now           func() time.Time // the installation's time (core/clock)
}

// Ingest takes in what plugins say. It has no state beside the Options that it was made with. Safe
// for concurrent use.
type Ingest struct {
	node     string
	log      Log
	vault    Vault
	dir      Directory
	convs    Conversations
	outbox   *outbox.Outbox
	messages *messages.Maker
	runner   Runner
	logger   *slog.Logger
	now      func() time.Time
	refused  *prometheus.CounterVec

	templates templates
}

// New makes an Ingest. Early receipts are pruned only while Run runs.
func New(o Options) *Ingest {
	return &Ingest{
		node: o.Node, log: o.Log, vault: o.Vault, dir: o.Directory, convs: o.Conversations, outbox: o.Outbox, messages: o.Messages,
		runner: o.Runner, logger: o.Logger, now: o.Now,
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_inbound_refused_total", Help: "Inbound events refused for good, by channel and code."}, []string{"channel", "code"}),
	}
}

// Collectors are the metrics of an Ingest.
func (g *Ingest) Collectors() []prometheus.Collector { return []prometheus.Collector{g.refused} }

// Take makes an event of a plugin durable, or refuses it. Take never blocks on the log: done is
// called once, after the commit or the refusal.
func (g *Ingest) Take(in plugin.Inbound, done func(plugin.Ack)) {
	acc, ok := g.dir.Snapshot().Account(in.Account)
	if in.Result != nil && (!ok || acc.Plugin == in.Plugin) { // the Result of a command that was handed out is taken even if its account was disabled or deleted since
		res := *in.Result
		res.Code = cut(res.Code, maxCode)
		g.outbox.Result(in.Account, res, done)
		return
	}
	if !ok || acc.Plugin != in.Plugin || !acc.Enabled {
		g.refuse(in, "unknown_account", done)
		return
	}
	if code := check(&in); code != "" {
		g.refuse(in, code, done)
		return
	}
	switch {
	case in.Status != nil:
		g.deliveryStatus(in, done)
	case in.Receipt != nil && byProvider(in.Receipt):
		g.receiptOfIDs(in, done)
	case in.Deferred != nil:
		g.deferProcess(in, done)
	case in.Tool != nil:
		g.convs.Tool(in, done)
	case in.Bot != nil:
		g.convs.Bot(acc, in, done)
	default:
		g.convs.Arrive(acc, in, done)
	}
}

// Keys returns the ids under which the log records an event, so that a repeat is recognised: its
// dedupe key and the provider's ids of its message.
func (g *Ingest) Keys(in plugin.Inbound) []eventlog.Key {
	var keys []eventlog.Key
	if in.DedupeKey != "" {
		keys = append(keys, g.externalKey(in.Account, in.DedupeKey))
	}
	if in.Message != nil {
		for _, id := range in.Message.ProviderIDs {
			if id != "" && id != in.DedupeKey {
				keys = append(keys, g.externalKey(in.Account, id))
			}
		}
	}
	return keys
}

// Find returns the event to which an account's provider id is bound. It fails with
// eventlog.ErrNotFound when the id is bound to none.
func (g *Ingest) Find(ctx context.Context, account conversation.AccountID, id string) (eventlog.StreamID, uint64, error) {
	return g.log.External(ctx, eventlog.StreamID(account), g.externalKey(account, id))
}

func (g *Ingest) externalKey(account conversation.AccountID, id string) eventlog.Key {
	return g.vault.MAC("external", account[:], []byte(id))
}

// deferProcess makes a plugin's opaque item durable and queues the command by which the plugin will
// process it.
func (g *Ingest) deferProcess(in plugin.Inbound, done func(plugin.Ack)) {
	if !g.runner.Go(func() {
		row := g.outbox.Deferred(in.Account, in.Thread, in.Deferred)
		err := g.appendAccount(in, g.Keys(in), TypeDeferred, DeferredHead{Plugin: in.Plugin, Command: conversation.MessageID(row.CommandID)}, nil, &row)
		switch {
		case err == nil:
			g.outbox.AddRow(row)
		case eventlog.InDoubt(err):
			g.outbox.ReadAgain() // the row may have been written, and the repeat of the event will be a duplicate that brings no row
		}
		done(g.accountAck(in, err))
	}) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}

// accountAck is the acknowledgement of an event whose append to the account's stream ended with
// err.
func (g *Ingest) accountAck(in plugin.Inbound, err error) plugin.Ack {
	var dup *eventlog.DuplicateError
	switch {
	case err == nil:
		return plugin.Ack{Status: plugin.Committed}
	case errors.As(err, &dup):
		return g.Repeat(in, dup.Stream, dup.Seq)
	default:
		return g.ack(conversation.ConversationID{}, 0, err)
	}
}

// ack is the acknowledgement of an event that a conversation has recorded as its event seq, or has
// not recorded (err).
func (g *Ingest) ack(conv conversation.ConversationID, seq uint64, err error) plugin.Ack {
	switch code := conversation.Code(err); {
	case code != "":
		return plugin.Ack{Status: plugin.Refused, Code: code, Conversation: conv}
	case err != nil:
		if !errors.Is(err, ErrStopped) {
			g.logger.Warn("event not durable", "conversation_id", conv, "err", err)
		}
		return plugin.Ack{Status: plugin.Retry, Code: "unavailable"}
	}
	return plugin.Ack{Status: plugin.Committed, Conversation: conv, Seq: seq}
}
