package vault

import (
	"context"
	"embed"
)

//go:embed migrations/sqlite/*.sql migrations/postgres/*.sql
var migrations embed.FS

// Names in vault_meta.
const (
	metaRoot     = "mac_root" // the root of all MAC keys, wrapped by the store's present master key
	metaRotating = "rotating" // while keys are wrapped anew: the root, wrapped by the former master key
	metaReserved = "reserved" // file: keys up to this id may have been assigned; 8 bytes, big endian
	metaMoved    = "moved_to" // file: the keys were moved into a database
	metaMoving   = "moving"   // server: a file's keys are being moved in
)

// wrappedKey is a data key as a store keeps it.
type wrappedKey struct {
	id      int64
	wrapped []byte // nil: destroyed
}

// store is where the keys are: a file that one process writes (fileStore), or a PostgreSQL database
// that several nodes write (serverStore). It sees wrapped keys only. All methods may be called
// concurrently. Changes are durable when they return nil.
type store interface {
	// meta returns the value of a name, nil if it has none.
	meta(ctx context.Context, name string) ([]byte, error)
	// setMeta stores values, and deletes those that are nil, in one transaction, if the root is
	// still ifRoot (nil: there is none); otherwise ok is false.
	setMeta(ctx context.Context, ifRoot []byte, values map[string][]byte) (ok bool, err error)
	// takeOver prepares the assigning of ids above floor. It returns the keys above floor that an
	// orderly stop left, which from now on count as assigned, and the largest id in the store.
	takeOver(ctx context.Context, floor int64) (unused []wrappedKey, last int64, err error)
	// addBlock stores n keys with ids that follow each other, that nobody had and that are larger
	// than after. wrap makes them, given the root as it is within the transaction.
	addBlock(ctx context.Context, after int64, n int, wrap func(root []byte, first int64) ([][]byte, error)) error
	// giveBack ends the assigning in order: given is the largest id that was assigned or skipped,
	// unused are the keys that were not assigned.
	giveBack(ctx context.Context, given int64, unused []wrappedKey) error
	// key returns one key, or ErrUnknownKey.
	key(ctx context.Context, id int64) (wrappedKey, error)
	// each calls fn with every key above after, lowest id first, destroyed ones too.
	each(ctx context.Context, after int64, fn func(wrappedKey) error) error
	// destroy erases keys; unknown ids are no error.
	destroy(ctx context.Context, ids []int64) error
	// rewrap replaces up to n keys above after by what fn returns for them (nil: stays as it is), in
	// one transaction. It returns the last id that it looked at, 0 if there is none left.
	rewrap(ctx context.Context, after int64, n int, fn func(wrappedKey) []byte) (last int64, err error)
	// scrub removes the copies that destroyed and rewrapped keys have left in the store's files, as
	// far as the store can.
	scrub(ctx context.Context) error
	// shared reports whether other processes write this store.
	shared() bool
	// news returns what has changed since the destroying with number since (shared stores only).
	news(ctx context.Context, since int64) (news, error)
	close() error
}

// news is what a node must hear of the others.
type news struct {
	number int64   // of the latest destroying
	gone   []int64 // destroyed after the number asked for
	many   bool    // more than mostGone were, so gone does not list them
	last   int64   // largest id that was ever handed out
	root   []byte  // the wrapped root
}
