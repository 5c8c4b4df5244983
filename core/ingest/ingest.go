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
	// Arrive routes an event of a customer's, which has passed the checks, to the
	// conversation of its thread, in the order of the calls. It never blocks on the
	// log; done is called once.
	Arrive(acc directory.Account, in plugin.Inbound, done func(plugin.Ack))
	// SetStatus has a conversation take what a provider says of a message. It never
	// blocks.
	SetStatus(conv conversation.ConversationID, w Word)
	// Channel is the label of a plugin in metrics, which may be any text.
	Channel(plugin string) string
}

// Errors of Conversations.SetStatus.
var (
	// ErrNotFollowed: the conversation does not follow the message any more, so
	// nothing was written.
	ErrNotFollowed = outbox.ErrNotFollowed
	// ErrStopped: the router is stopping, and nothing was written.
	ErrStopped = outbox.ErrStopped
	// ErrBound: a key is bound already, and nothing was written.
	ErrBound = errors.New("ingest: a provider's id is known already")
)

// Word is what a provider says of a message, on its way into the conversation.
type Word struct {
	Account conversation.AccountID
	Keys    []eventlog.Key // the provider's ids, to be bound to the message in the same append
	Message uint64         // sequence of the message that Keys are bound to; 0: there are none
	// Decide gives what is written, from the state and those of Keys that are not
	// known to be bound. The conversation's worker calls it, anew after a conflict.
	Decide func(s *conversation.State, keys []eventlog.Key) (Decision, error)
	// Done is called once, with the sequence of the status (0: the conversation had it
	// already). Errors: ErrBound, ErrNotFollowed, ErrStopped, and those of the log.
	Done func(seq uint64, err error)
}

// Decision is what is written in one append.
type Decision struct {
	Status   conversation.SetStatus
	Outbox   []eventlog.OutboxUpdate // also when the status is no news
	Receipts []eventlog.ReceiptJoin  // early receipts that the status takes into account
}

// Runner lends Ingest the router's life.
type Runner interface {
	// Go runs f on a goroutine that the router's Stop waits for. False: the router
	// is stopping, and f does not run.
	Go(f func()) bool
	// Running ends when the router stops.
	Running() context.Context
	// Commits ends only when Stop waits no longer, so that an append that has
	// begun is heard out.
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

// Vault is what Ingest needs of the keys.
type Vault interface {
	Assign() (int64, error)
	Seal(key int64, aad, plain []byte) ([]byte, error)
	Open(key int64, aad, sealed []byte) ([]byte, error)
	MAC(purpose string, parts ...[]byte) [32]byte
}

// Directory is what Ingest needs of the records.
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

// Ingest takes in what plugins say. It keeps nothing but what it was made of. Safe
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
}

// New makes an Ingest. Early receipts are pruned while Run runs.
func New(o Options) *Ingest {
	return &Ingest{
		node: o.Node, log: o.Log, vault: o.Vault, dir: o.Directory, convs: o.Conversations, outbox: o.Outbox, messages: o.Messages,
		runner: o.Runner, logger: o.Logger, now: o.Now,
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_inbound_refused_total", Help: "Inbound events refused for good, by channel and code."}, []string{"channel", "code"}),
	}
}

// Collectors are the metrics of an Ingest.
func (g *Ingest) Collectors() []prometheus.Collector { return []prometheus.Collector{g.refused} }

// Take makes an event of a plugin durable. It never blocks on the log: done is called
// once, after the commit or the refusal.
func (g *Ingest) Take(in plugin.Inbound, done func(plugin.Ack)) {
	acc, ok := g.dir.Snapshot().Account(in.Account)
	if in.Result != nil && (!ok || acc.Plugin == in.Plugin) { // what was handed out is heard out, whatever became of its account
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
	case in.Deferred != nil:
		g.deferProcess(in, done)
	default:
		g.convs.Arrive(acc, in, done)
	}
}

// Keys are the ids under which the log must know the event.
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

func (g *Ingest) externalKey(account conversation.AccountID, id string) eventlog.Key {
	return g.vault.MAC("external", account[:], []byte(id))
}

// deferProcess makes an opaque item durable and queues its processing.
func (g *Ingest) deferProcess(in plugin.Inbound, done func(plugin.Ack)) {
	if !g.runner.Go(func() {
		row := g.outbox.Deferred(in.Account, in.Thread, in.Deferred)
		err := g.appendAccount(in, g.Keys(in), TypeDeferred, DeferredHead{Plugin: in.Plugin, Command: conversation.MessageID(row.CommandID)}, nil, &row)
		switch {
		case err == nil:
			g.outbox.AddRow(row)
		case eventlog.InDoubt(err):
			g.outbox.ReadAgain() // it may be there; the repeat of the event will be a duplicate
		}
		done(g.accountAck(in, err))
	}) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}

// accountAck answers for an append to an account's stream.
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

// ack answers for what a conversation has taken, as its event seq, or not (err).
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
