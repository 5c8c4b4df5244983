package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Errors of Host.
var (
	// ErrOverload: the local queue is full; nothing was taken.
	ErrOverload = errors.New("event queue full")
	// ErrTooLarge: the event exceeds the limit of a frame; nothing was taken.
	ErrTooLarge = errors.New("event too large")
	// ErrNotUTF8: the event's Thread or DedupeKey is not UTF-8; nothing was
	// taken. They are names, so no byte of them can be replaced: two exchanges
	// would become one. In all other strings bad bytes are.
	ErrNotUTF8 = errors.New("thread or dedupe key is not UTF-8")
	// ErrStopped: the process is ending. An event handed over before may or
	// may not have arrived.
	ErrStopped = errors.New("plugin stopped")
	// ErrNotFound: no such key, blob, account or thread.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the key's version has moved on.
	ErrConflict = errors.New("version conflict")
	// ErrDenied: it belongs to somebody else.
	ErrDenied = errors.New("denied")
	// ErrNotDurable: the host cannot store it now; try again later.
	ErrNotDurable = errors.New("not durable now")
	// ErrHostGone: the host cannot be reached.
	ErrHostGone = errors.New("host gone")
)

// RefusedError is the host's final no to an event. It is logged there; a
// repeat gets the same answer.
type RefusedError struct {
	Code string // "banned", "unknown_account", "no_service", "too_large", "invalid", "ended" ...
}

// Error names the code.
func (e *RefusedError) Error() string { return fmt.Sprintf("event refused: %s", e.Code) }

// Ack says that an event is durable.
type Ack struct {
	Duplicate    bool // it was there before; the ids name it
	Conversation ConversationID
	Seq          uint64 // the record's seq in the conversation; 0 = none was written
}

// Host is the gateway as a plugin sees it. All methods are safe for
// concurrent use and outlive a lost Session: what was not acknowledged is
// sent again under the next one.
type Host interface {
	// Emit hands ev over and returns after the acknowledgement: nil only when
	// it is durable, *RefusedError when the host will never take it. After
	// ctx has ended its fate is not known; emitting it again under the same
	// DedupeKey is safe. Events of one caller keep their order. ErrNotUTF8 and
	// ErrTooLarge say that nothing was sent.
	Emit(ctx context.Context, ev Event) (Ack, error)

	// EmitAsync is Emit without waiting, for hot paths: done runs once, on
	// the SDK's reading goroutine, and must not block. An error means that ev
	// was not taken and done will not run; ErrOverload means try again later.
	EmitAsync(ev Event, done func(Ack, error)) error

	// Signal sends what is worth knowing only now. It never blocks; the
	// oldest waiting signals are dropped first.
	Signal(s Signal)

	// Subscribe reads what the audience may see of a thread after the cursor,
	// then whatever follows, until ctx ends, Close is called or the host ends
	// it. After a lost Session it goes on where it was.
	Subscribe(ctx context.Context, account AccountID, thread ThreadID, after Cursor, handler RecordHandler, opts ...SubscribeOptions) Subscription

	// Status tells how an account fares. The last one per account counts.
	Status(s AccountStatus)

	// KV is a small store of the plugin's own, the same on all nodes.
	KV() KV

	// Blobs stores and reads attachments.
	Blobs() Blobs

	// MintGrant makes a single-use grant for the visitor of one of the
	// plugin's own threads.
	MintGrant(ctx context.Context, account AccountID, thread ThreadID, purpose string) (Grant, error)

	// Logger writes JSON to standard error, which the host collects. Use the
	// keys conversation_id, command_id, account, attempt, err; never message
	// text, addresses or tokens.
	Logger() *slog.Logger

	// Instance names this generation of the plugin, Node the gateway's node.
	Instance() string
	Node() string
}

// AccountStatus is how an account fares.
type AccountStatus struct {
	Account AccountID
	OK      bool
	Code    string // "unauthorized", "unreachable" ...; "" when OK
	Text    string // for people, no secrets
}

// KV is a store of small values under keys. Values are at most 64 KiB.
type KV interface {
	// Get returns a value and its version; ErrNotFound when there is none.
	Get(ctx context.Context, key string) (value []byte, version uint64, err error)
	// Put writes and returns the new version.
	Put(ctx context.Context, key string, value []byte) (version uint64, err error)
	// PutIf writes when the key still has version (0 = it does not exist);
	// ErrConflict otherwise.
	PutIf(ctx context.Context, key string, value []byte, version uint64) (uint64, error)
	// Delete removes a key; one that is not there is no error.
	Delete(ctx context.Context, key string) error
	// List returns up to limit keys with prefix, in order, after the key after.
	List(ctx context.Context, prefix, after string, limit uint32) ([]string, error)
}

// BlobMeta describes an attachment to be stored.
type BlobMeta struct {
	Account AccountID
	Thread  ThreadID // of an open conversation, which then owns the blob; "" = the account owns it
	Name    string   // as the sender named it
	MIME    string   // as the sender said; the host sniffs
}

// Blobs stores attachments in the host.
type Blobs interface {
	// Put stores what r gives and returns what the host found it to be.
	Put(ctx context.Context, meta BlobMeta, r io.Reader) (File, error)
	// Get reads an attachment; the caller closes the reader.
	Get(ctx context.Context, id BlobID) (File, io.ReadCloser, error)
	// URL returns a short-lived address under which a browser or a vendor
	// may fetch the attachment, and when it expires. ttl 0 = the host's.
	URL(ctx context.Context, id BlobID, ttl time.Duration, thumbnail bool) (string, time.Time, error)
}

// Grant opens one route once.
type Grant struct {
	Token   Secret // sent in the Parley-Grant header, a first frame or postMessage; never in a URL
	Expires time.Time
}
