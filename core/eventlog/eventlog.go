package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// StreamID names a stream: a conversation, an agent or an account. 16 bytes.
type StreamID [16]byte

// Key is a keyed HMAC-SHA-256 of an external id or a thread key (vault.MAC).
// The clear value is never stored.
type Key [32]byte

// ExpectAny as StreamAppend.Expect lets the log assign the next sequence
// itself. Only pure appends that depend on no state use it (promises.md 4.6).
const ExpectAny = ^uint64(0)

// Event is one fact to append. Head and Body are JSON (Body sealed), stored as
// they are; an empty one reads back as nil. The caller may reuse its slices
// when Append has returned, unless its context ended.
type Event struct {
	Type  string    // "name/version"
	At    time.Time // stored to the microsecond at least, read back in UTC
	Head  []byte
	Body  []byte
	KeyID int64 // data key of Body, above 0; 0 exactly when there is no Body
}

// Record is a stored event.
type Record struct {
	Pos    int64 // commit order in this store, from 1, may have holes
	Stream StreamID
	Seq    uint64 // 1..n in the stream, no holes
	Event
}

// StreamAppend adds events to one stream at an expected sequence. Without events it checks that the
// stream is at that sequence, and the answer is reliable: the check waits for every append under
// way on the stream, including one that was answered ErrUnavailable.
type StreamAppend struct {
	Stream StreamID
	Expect uint64 // last sequence that the writer saw; 0 = new stream; or ExpectAny
	Events []Event
}

// ExternalID binds a provider's id (inbound dedupe key, or id of an outbound part) to the event
// that it belongs to. Unique per (Account, Key) for ever; binding an id again to the very same
// event changes nothing and is no error.
type ExternalID struct {
	Account StreamID
	Key     Key
	Stream  StreamID
	// Index is the place of the event in the StreamAppend of Stream, from 0;
	// the log turns it into the sequence. When Stream has no StreamAppend in
	// this batch, or Index < 0, Seq is used as given.
	Index int
	Seq   uint64
}

// ReceiptJoin removes the receipts that are parked for an external id, since the append takes them
// into account. Seen is how many receipts the writer has read; if a different number is parked by
// now, the append is ErrConflict and the writer reads again. So no receipt is removed unseen, and
// none is left behind.
type ReceiptJoin struct {
	Account StreamID
	Key     Key
	Seen    int // 0 is allowed: it says that none may be parked
}

// EarlyReceipt is a provider's report about an id that is bound to no event yet, because the report
// arrived before the answer to the send. It is kept until the append that binds the id joins it, or
// until it is pruned (DESIGN.md 5: after 7 days).
// Unique per (Account, Key, Status); a second report with the same status is dropped.
type EarlyReceipt struct {
	Account StreamID
	Key     Key
	Status  string
	At      time.Time // when the report came; stored to the microsecond at least
	Body    []byte    // sealed; nil when there is none
	KeyID   int64     // data key of Body, above 0; 0 exactly when there is no Body
}

// Conversation phases as stored in rows; the names of conversation.Phase.
const (
	PhaseOpen      = "open"
	PhaseEnded     = "ended"
	PhaseConcluded = "concluded"
)

// ConversationRow mirrors the state of a conversation for start, load and
// lists. It is written in the append that changes the state other than by a
// message; fold(events) = row is tested. Nothing in it is personal data.
type ConversationRow struct {
	ID        StreamID
	Seq       uint64 // the sequence that State reflects
	Account   StreamID
	Service   StreamID // zero: the conversation has no service
	Contact   StreamID // zero: the customer is unknown
	KeyID     int64    // data key of the conversation's bodies
	Phase     string
	Display   string    // the derived, displayed state (queued, offered, active, parked ...)
	StartedAt time.Time // stays as it was first written: lists are ordered by it
	EndedAt   time.Time // zero while open
	// Due is State's next deadline, for Overdue; zero: there is none. Only a Shared log keeps it.
	Due   time.Time
	State []byte // JSON of conversation.State
	// Agents that take or took part. An agent once listed stays listed
	// (Recent, history), even when a later write leaves it out (MergeAgents);
	// Active tells whether the agent takes part in it now.
	Agents []ConversationAgent
}

// ConversationAgent is an agent's part in a conversation.
type ConversationAgent struct {
	Agent  StreamID
	Active bool // the agent has joined or is in wrap-up
}

// AgentRow mirrors the state of an agent's stream.
type AgentRow struct {
	ID    StreamID
	Seq   uint64
	State []byte // JSON of acd.AgentState
}

// Thread is an entry of open_threads: at most one open conversation per
// (Account, Key).
type Thread struct {
	Account      StreamID
	Key          Key
	Conversation StreamID
}

// OutboxState is the state of an outbound command to a plugin.
type OutboxState string

// Outbox states. queued and begun rows are pending; unknown waits for a receipt
// or a decision; settled is final.
const (
	OutboxQueued  OutboxState = "queued"  // also while a plugin has received it and has not called Begin
	OutboxBegun   OutboxState = "begun"   // the plugin passed the Begin barrier
	OutboxSettled OutboxState = "settled" // a final Result event is in the log
	OutboxUnknown OutboxState = "unknown" // outcome not known; never resent silently (PR4)
)

// OutboxRow is a command for a store-and-forward channel, a deferred item to
// process, or a command pinned to a plugin instance (DESIGN.md 4).
type OutboxRow struct {
	CommandID    [16]byte
	Account      StreamID
	Conversation StreamID // zero for work of an account without a conversation
	Seq          uint64   // the message event's sequence; with Index >= 0 resolved as in ExternalID
	Index        int      // -1 in rows read back
	Kind         string   // "send", "process", ...
	Route        string   // "" for any generation of the plugin; else the plugin instance that it is pinned to
	State        OutboxState
	Attempt      int
	NotBefore    time.Time
	Deadline     time.Time
	Payload      []byte // sealed; nil when the event's body contains everything
	KeyID        int64
	Node         string // the node to which the row belongs
	Epoch        int64  // how often the row has gone to another node
}

// OutboxUpdate changes a row that is not settled. A zero NotBefore or Deadline keeps the row's
// value. An update that does not fit the row (see Fits) is ErrConflict, and an update of a row that
// does not exist is ErrNotFound.
type OutboxUpdate struct {
	CommandID [16]byte
	// State "" gives the row to Node and leaves everything else as it is, except that Epoch grows
	// when that is another node. A settled row is not changed by this either.
	State     OutboxState
	Attempt   int
	NotBefore time.Time
	Deadline  time.Time
	Node      string
	Epoch     int64 // the row's Epoch as Node knows it: see Fits
}

// Rewriting says what Log.Rewrite makes of a stream. Its functions run in the caller's goroutine,
// outside any transaction, also for what is appended meanwhile; an error of theirs ends the rewriting
// with nothing changed.
type Rewriting struct {
	Key int64 // the key under which everything is sealed from then on
	// Body gets each record that has a body and returns the new body, sealed under Key; nil removes it.
	Body func(Record) ([]byte, error)
	// Payload gets each row of the stream's outbox that is not settled and has a payload under another
	// key, and returns that payload sealed under Key; nil leaves it as it is. No function: all stay.
	Payload func(OutboxRow) ([]byte, error)
	// Events is called when Body has seen all records, perhaps several times: the events that it
	// returns, which have no body, are appended behind them. No function: none are.
	Events func() []Event
}

// Payloads calls Payload for those of rows that have a payload to be sealed anew and are not in
// sealed, which takes what it returns by command id; nil there: the payload stays. It is for
// implementations of Log.
func (rw *Rewriting) Payloads(stream StreamID, rows []OutboxRow, sealed map[[16]byte][]byte) error {
	for _, row := range rows {
		if _, done := sealed[row.CommandID]; done || !rw.HasOld(stream, &row) {
			continue
		}
		payload, err := rw.Payload(row)
		if err != nil {
			return fmt.Errorf("command %x: %w", row.CommandID, err)
		}
		sealed[row.CommandID] = payload
	}
	return nil
}

// HasOld reports whether a row has a payload that Payload is to seal anew.
func (rw *Rewriting) HasOld(stream StreamID, row *OutboxRow) bool {
	return rw.Payload != nil && row.Conversation == stream && row.State != OutboxSettled && row.Payload != nil && row.KeyID != rw.Key
}

// ReplacedKey is a data key with which a stream's bodies were sealed before a Rewrite.
type ReplacedKey struct {
	Stream StreamID
	Key    int64
}

// Batch is one append: either all of it becomes durable or nothing.
type Batch struct {
	Streams       []StreamAppend
	External      []ExternalID
	Conversations []ConversationRow
	Agents        []AgentRow
	OpenThreads   []Thread
	CloseThreads  []Thread
	Outbox        []OutboxRow
	OutboxUpdates []OutboxUpdate
	// JoinReceipts belong to the append that binds an id (External). ParkReceipts for an id that is
	// bound, by this append or before, is a *DuplicateError that names the event; a receipt already
	// parked under the same status stays as it is.
	JoinReceipts []ReceiptJoin
	ParkReceipts []EarlyReceipt
	// Lease, when Name is not empty, must be held with this epoch at commit or the append fails
	// with ErrFenced (DESIGN.md 4, promises.md 4.10). A lease that has expired but that no other
	// node has taken since still counts as held.
	Lease LeaseRef
}

// LeaseRef names a lease and the epoch under which the writer acts.
type LeaseRef struct {
	Name  string
	Epoch int64
}

// Appended tells where the events of a batch ended up: one entry per
// StreamAppend, in its order.
type Appended struct {
	Streams []AppendedStream
}

// AppendedStream is the sequence and position of the first event appended to
// a stream; the others follow without holes in Seq. Positions of one stream
// append are consecutive.
type AppendedStream struct {
	FirstSeq uint64
	FirstPos int64
}

// Errors. Implementations wrap them with operation and id, never with content.
var (
	// ErrConflict: a stream was not at the expected sequence. Nothing was written.
	ErrConflict = errors.New("eventlog: stream is not at the expected sequence")
	// ErrNotFound: there is no such row.
	ErrNotFound = errors.New("eventlog: not found")
	// ErrFenced: the lease is held by another node or under a newer epoch.
	ErrFenced = errors.New("eventlog: lease lost")
	// ErrFull: the disk is full; writes fail, reads go on (PR16).
	ErrFull = errors.New("eventlog: no space left")
	// ErrUnavailable: the store cannot be reached or did not answer in time (FT14, FT16). An append
	// that fails with it may have been written all the same: read again to find out, as when a
	// context ends. Trying again later may work.
	ErrUnavailable = errors.New("eventlog: store is not available")
	// ErrFatal: the store can no longer promise durability (fsync error,
	// PR17). The process must stop acknowledging and exit.
	ErrFatal = errors.New("eventlog: store failed")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("eventlog: closed")
	// ErrCorrupt: the store failed its integrity check (FT13).
	ErrCorrupt = errors.New("eventlog: store is damaged")
)

// InDoubt reports whether an append that failed with err may have been written all the same, or
// may still be written (ErrUnavailable, or a context that ended).
func InDoubt(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// DuplicateError says that an external id is already bound, so the event that the caller wanted to
// append exists. Nothing was written.
type DuplicateError struct {
	Account StreamID
	Key     Key
	Stream  StreamID // the stream of the event that is bound
	Seq     uint64
}

// Error contains no content: keys are HMACs.
func (e *DuplicateError) Error() string {
	return fmt.Sprintf("eventlog: external id already bound at seq %d", e.Seq)
}

// ThreadOpenError says that another conversation is open on a thread.
type ThreadOpenError struct {
	Thread Thread // the thread and the conversation that is open on it
}

// Error contains no content.
func (e *ThreadOpenError) Error() string { return "eventlog: thread has an open conversation" }

// Log is the event store. All methods are safe for concurrent use.
type Log interface {
	// Append makes b durable and returns after the flush (PR1). Concurrent appends share one flush;
	// a conflict fails its own append only. Errors: ErrConflict, *DuplicateError, *ThreadOpenError,
	// ErrFenced, ErrNotFound (outbox update), ErrInvalid, ErrFull, ErrUnavailable, ErrFatal,
	// ErrClosed. When ctx ends first the outcome is unknown to the caller (the append may still
	// commit) and b must not be changed any more; read again to find out.
	Append(ctx context.Context, b *Batch) (Appended, error)

	// Read returns up to limit events (0 = all) of a stream with sequence >
	// after, in order. An unknown stream gives none.
	Read(ctx context.Context, stream StreamID, after uint64, limit int) ([]Record, error)
	// Tail returns up to limit events (0 = all) with position > after in commit order. It stops
	// before the oldest position that an append under way may still fill.
	Tail(ctx context.Context, after int64, limit int) ([]Record, error)
	// Position returns the largest committed position, 0 when there is no event. Tail may stop
	// before it.
	Position(ctx context.Context) (int64, error)
	// Wait returns when an event with position > after is committed, or ctx ends. It may also
	// return early, so callers then read with Tail.
	Wait(ctx context.Context, after int64) error

	// Conversation returns a conversation's row, or ErrNotFound.
	Conversation(ctx context.Context, id StreamID) (ConversationRow, error)
	// Conversations lists rows, newest start first.
	Conversations(ctx context.Context, q ConversationQuery) ([]ConversationRow, error)
	// Agents returns all agent rows.
	Agents(ctx context.Context) ([]AgentRow, error)
	// Agent returns an agent's row, or ErrNotFound.
	Agent(ctx context.Context, id StreamID) (AgentRow, error)
	// Thread returns the conversation open on (account, key), or ErrNotFound.
	Thread(ctx context.Context, account StreamID, key Key) (StreamID, error)
	// External returns the event bound to an external id, or ErrNotFound.
	External(ctx context.Context, account StreamID, key Key) (stream StreamID, seq uint64, err error)
	// Outbox returns the pending rows (queued, begun), and the unknown ones if unknown is true,
	// oldest first: of one account, or of all accounts when account is zero.
	Outbox(ctx context.Context, account StreamID, unknown bool, limit int) ([]OutboxRow, error)
	// OutboxRow returns one command's row, pending or not, or ErrNotFound.
	OutboxRow(ctx context.Context, command [16]byte) (OutboxRow, error)

	// EarlyReceipts returns the receipts parked for an external id, oldest first; none is not an
	// error.
	EarlyReceipts(ctx context.Context, account StreamID, key Key) ([]EarlyReceipt, error)
	// PruneReceipts removes the receipts that were parked before a time and returns how many it
	// removed.
	PruneReceipts(ctx context.Context, before time.Time) (int, error)

	// AcquireLease takes or renews a named lease for node until now+ttl. The epoch grows each time
	// another node takes the lease. held is false while another node holds it.
	AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (epoch int64, held bool, err error)
	// ReleaseLease gives a lease up that node took with this epoch, so that the epoch is no longer
	// valid. A lease that node does not hold, or holds with another epoch, stays as it is, and that is
	// not an error: a release that arrives late gives up nothing that was taken after it.
	ReleaseLease(ctx context.Context, name, node string, epoch int64) error

	// Rewrite replaces the bodies of a stream in place (masking, erasure). Sequences, heads and order
	// stay; the conversation row's KeyID becomes rw.Key, and the keys that the stream used before are
	// noted as replaced. All changes are one transaction. Of two rewritings of a stream at once, one
	// waits for the other, at most until ctx ends. With ErrUnavailable, or when ctx ends, the rewriting
	// may have been done all the same.
	Rewrite(ctx context.Context, stream StreamID, rw Rewriting) error
	// ReplacedKeys returns the keys that Rewrite has replaced and that are not forgotten: whoever
	// destroys them forgets them afterwards, so that none is left because of a crash in between.
	ReplacedKeys(ctx context.Context) ([]ReplacedKey, error)
	// ForgetKeys removes keys from those that ReplacedKeys returns; unknown ones are no error.
	ForgetKeys(ctx context.Context, keys ...int64) error

	// MaxKeyID is the largest key id that an event or row has ever used.
	MaxKeyID(ctx context.Context) (int64, error)
	// Stats returns counters and timings for metrics.
	Stats() Stats
	// Failed is closed when the store has failed for good (ErrFatal).
	Failed() <-chan struct{}
	// Close stops the writer, waits for what it holds, and closes the store.
	Close() error
}

// ConversationQuery selects rows. Zero fields do not restrict the selection.
type ConversationQuery struct {
	Phases  []string // any of these phases
	Agent   StreamID // an agent who takes or took part
	Active  bool     // with Agent: only conversations in which the agent takes part now
	Account StreamID
	Service StreamID
	Contact StreamID
	Before  StreamID // id of the last row of the previous page
	Limit   int      // 0 = all
}

// Stats are counts and times since the start that only grow, except Queue and LastFlush.
type Stats struct {
	Batches, Appends, Events uint64 // counts of what was committed
	Conflicts, Failures      uint64
	Queue                    int           // number of appends that wait
	FlushSeconds             float64       // total time in commits
	LastFlush                time.Duration // the most recent one
}
