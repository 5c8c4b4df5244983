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
	// ErrOverload: the local queue is full; the event was not taken.
	ErrOverload = errors.New("event queue full")
	// ErrTooLarge: the event exceeds the limit of a frame; it was not taken.
	ErrTooLarge = errors.New("event too large")
	// ErrNotUTF8: the event's Thread or DedupeKey is not UTF-8; the event was not taken. These two
	// are names, and replacing a bad byte could make two exchanges one. In all other strings bad
	// bytes are replaced.
	ErrNotUTF8 = errors.New("thread or dedupe key is not UTF-8")
	// ErrStopped: the process is ending. An event that was handed over before may or may not have
	// arrived.
	ErrStopped = errors.New("plugin stopped")
	// ErrNotFound: no such key, blob, account or thread.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the key has another version now.
	ErrConflict = errors.New("version conflict")
	// ErrDenied: the object does not belong to this plugin.
	ErrDenied = errors.New("denied")
	// ErrNotDurable: the host cannot store anything now; try again later.
	ErrNotDurable = errors.New("not durable now")
	// ErrHostGone: the host cannot be reached.
	ErrHostGone = errors.New("host gone")
)

// RefusedError says that the host has refused an event for good. The host has logged it; a repeat
// is refused, too.
type RefusedError struct {
	Code string // "banned", "unknown_account", "no_service", "too_large", "invalid", "ended" ...
}

// Error names the code.
func (e *RefusedError) Error() string { return fmt.Sprintf("event refused: %s", e.Code) }

// Ack says that an event is durable.
type Ack struct {
	Duplicate    bool // the event was stored before; the ids are those of then
	Conversation ConversationID
	Seq          uint64 // seq of the event's record in the conversation; 0 = it has no record
}

// Host is the gateway as a plugin sees it. All methods are safe for concurrent use and go on
// working after a lost Session: what was not acknowledged is sent again in the next one.
type Host interface {
	// Emit hands ev over and waits for the acknowledgement. It returns nil only when the event is
	// durable, and *RefusedError when the host will never take it. If ctx ends first it is not
	// known whether the event arrived; emitting it again under the same DedupeKey is safe. Events
	// of one caller keep their order. After ErrNotUTF8 and ErrTooLarge nothing was sent.
	Emit(ctx context.Context, ev Event) (Ack, error)

	// EmitAsync is Emit without waiting, for code that must be fast: done runs once, on the SDK's
	// reading goroutine, and must not block. An error means that ev was not taken and done will not
	// run; after ErrOverload try again later.
	EmitAsync(ev Event, done func(Ack, error)) error

	// Signal sends what matters only now, such as typing. It never blocks; when too many wait, the
	// oldest are dropped.
	Signal(s Signal)

	// Subscribe reads the records of a thread after the cursor that the audience may see, and then
	// those that follow, until ctx ends, Close is called, or the host ends the subscription. After
	// a lost Session it continues where it was.
	Subscribe(ctx context.Context, account AccountID, thread ThreadID, after Cursor, handler RecordHandler, opts ...SubscribeOptions) Subscription

	// Status reports whether an account works. The latest report on each account counts.
	Status(s AccountStatus)

	// KV is a small store of the plugin's own, with the same contents on all nodes.
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

// AccountStatus says whether an account works.
type AccountStatus struct {
	Account AccountID
	OK      bool
	Code    string // "unauthorized", "unreachable" ...; "" when OK
	Text    string // for people; it must contain no secrets
}

// KV is a store of small values under keys. Values are at most 64 KiB.
type KV interface {
	// Get returns a value and its version; ErrNotFound when there is none.
	Get(ctx context.Context, key string) (value []byte, version uint64, err error)
	// Put writes and returns the new version.
	Put(ctx context.Context, key string, value []byte) (version uint64, err error)
	// PutIf writes if the key still has that version (0 = the key does not exist); otherwise
	// ErrConflict.
	PutIf(ctx context.Context, key string, value []byte, version uint64) (uint64, error)
	// Delete removes a key; it returns no error when there is none.
	Delete(ctx context.Context, key string) error
	// List returns up to limit keys with prefix, in order, after the key after.
	List(ctx context.Context, prefix, after string, limit uint32) ([]string, error)
}

// BlobMeta describes an attachment to be stored.
type BlobMeta struct {
	Account AccountID
	Thread  ThreadID // the thread of an open conversation, which then owns the blob; "" = the account owns it
	Name    string   // as the sender named the file
	MIME    string   // as the sender said; the host detects the type itself
}

// Blobs stores attachments in the host.
type Blobs interface {
	// Put stores the contents of r and returns the file as the host found it to be.
	Put(ctx context.Context, meta BlobMeta, r io.Reader) (File, error)
	// Get reads an attachment; the caller closes the reader.
	Get(ctx context.Context, id BlobID) (File, io.ReadCloser, error)
	// URL returns a short-lived URL from which a browser or a vendor may fetch the attachment, and
	// when it expires. ttl 0 = the host's default.
	URL(ctx context.Context, id BlobID, ttl time.Duration, thumbnail bool) (string, time.Time, error)
}

// Grant lets its holder open one route once.
type Grant struct {
	Token   Secret // sent in the Parley-Grant header, in a first frame or by postMessage; never in a URL
	Expires time.Time
}
