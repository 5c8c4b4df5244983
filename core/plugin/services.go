package plugin

import (
	"context"
	"io"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Blobs is what GatewayService needs of the attachment store.
type Blobs interface {
	// Put stores an attachment that a message of the thread may name. If thread is "", a message of
	// any thread of the account may name it.
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
	// Put with conditional set stores nothing (ok = false) unless the stored version is ifVersion
	// (0 = absent).
	Put(ctx context.Context, plugin, key string, value []byte, ifVersion uint64, conditional bool) (version uint64, ok bool, err error)
	Delete(ctx context.Context, plugin, key string) error
	List(ctx context.Context, plugin, prefix, after string, limit int) ([]string, error)
}
