package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// Defaults for Options that are zero.
const (
	DefaultBlockSize = 256
	DefaultCacheSize = 16384
)

// Errors. They are wrapped with operation and key id, never with content.
var (
	// ErrMaster: the given master key is not the one that wrapped this key store.
	ErrMaster = errors.New("vault: master key does not fit the key store")
	// ErrMasterSyntax: a master key is not 32 bytes in hex or base64.
	ErrMasterSyntax = errors.New("vault: master key must be 32 bytes in hex or base64")
	// ErrDestroyed: the key was destroyed, so what it sealed is erased.
	ErrDestroyed = errors.New("vault: key destroyed")
	// ErrUnknownKey: the key store has no such key.
	ErrUnknownKey = errors.New("vault: unknown key")
	// ErrDamaged: this key cannot be unwrapped although the master key is right, so the key store
	// is damaged there. What the key sealed is lost; other keys are not affected.
	ErrDamaged = errors.New("vault: key damaged")
	// ErrSealed: the sealed bytes cannot be opened: they are damaged, or aad differs.
	ErrSealed = errors.New("vault: sealed data does not open")
	// ErrKeysLost: the event store uses keys but the key store is empty.
	ErrKeysLost = errors.New("vault: key store is empty although the event store uses keys")
	// ErrReadOnly: the vault was opened with OpenReadOnly.
	ErrReadOnly = errors.New("vault: read only")
	// ErrFailed: the key store reported an I/O error. No key is assigned any
	// more; the process must exit and recover on start (PR17).
	ErrFailed = errors.New("vault: key store failed")
	// ErrLocked: another process has the key store open for writing.
	ErrLocked = errors.New("vault: key store is in use by another process")
	// ErrClosed: the vault was closed.
	ErrClosed = errors.New("vault: closed")
)

// Lost reports whether err is permanent: the data key was destroyed, or is damaged. Nothing can be
// sealed under it any more, and what it sealed is lost.
func Lost(err error) bool { return errors.Is(err, ErrDestroyed) || errors.Is(err, ErrDamaged) }

// Options says how to open a key store.
type Options struct {
	// Path of the SQLite file; made with mode 0600 if missing. Beside it are Path-wal and Path-shm,
	// and Path.lock, which is held while the store is open.
	Path string
	// Master wraps every key in the store. 32 bytes.
	Master []byte
	// Floor is the largest key id in use in the event store (eventlog.Log.MaxKeyID): only larger
	// ids are assigned.
	Floor int64
	// BlockSize is how many keys are made and stored at a time.
	// 0 means DefaultBlockSize.
	BlockSize int
	// CacheSize bounds the unwrapped keys in memory, about 1 KiB each. 0 means DefaultCacheSize.
	CacheSize int
	// Logger records problems of the background refill; nil discards them.
	Logger *slog.Logger
}

// Vault hands out keys and seals under them. Safe for concurrent use.
type Vault struct {
	store *keyStore
	lock  *fileLock // nil when read only
	log   *slog.Logger
	block int
	cache *cache
	macs  macs

	// load keeps Destroy (write lock) apart from loading a key from the store into the cache (read
	// lock), so that a destroyed key cannot get into the cache again.
	load sync.RWMutex

	pool    keyPool
	damaged damaged

	refillMu sync.Mutex // one refill at a time
	wake     chan struct{}
	stop     context.CancelFunc
	done     sync.WaitGroup

	failOnce  sync.Once
	failed    chan struct{}
	closeOnce sync.Once
	closeErr  error
}

// Open opens the key store for the one process that assigns keys, makes it if it is missing, and
// starts the goroutine that makes keys ahead; Close stops it. Errors: ErrMaster, ErrKeysLost,
// ErrLocked.
func Open(ctx context.Context, o Options) (*Vault, error) {
	lock, err := acquireLock(o.Path + ".lock")
	if err != nil {
		return nil, err
	}
	v, err := open(ctx, o, true)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	v.lock = lock
	if err := v.startPool(ctx, o.Floor); err != nil {
		return nil, errors.Join(err, v.store.close(), lock.release())
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v.stop = cancel
	v.done.Go(func() { v.refillLoop(run) })
	return v, nil
}

// OpenReadOnly opens an existing key store while another process owns it, to open sealed bodies and
// compute MACs. Assign and Destroy fail with ErrReadOnly. A key that the owner destroys later can
// be used here for as long as this vault has it in memory, so such a process must be short-lived.
func OpenReadOnly(ctx context.Context, o Options) (*Vault, error) {
	return open(ctx, o, false)
}

func open(ctx context.Context, o Options, write bool) (*Vault, error) {
	if o.BlockSize <= 0 {
		o.BlockSize = DefaultBlockSize
	}
	if o.CacheSize <= 0 {
		o.CacheSize = DefaultCacheSize
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	store, root, err := openStore(ctx, o, write)
	if err != nil {
		return nil, fmt.Errorf("vault: open %s: %w", o.Path, err)
	}
	return &Vault{
		store:  store,
		log:    o.Logger,
		block:  o.BlockSize,
		cache:  newCache(o.CacheSize),
		macs:   macs{root: root},
		wake:   make(chan struct{}, 1),
		failed: make(chan struct{}),
	}, nil
}

// Destroy makes keys unreadable for ever. When it returns nil the keys are in none of the key
// store's files. An unknown id is not an error: it may belong to a store that was lost. If ctx ends
// before the write-ahead log could be emptied (because a reader uses it), the keys are destroyed
// but an old copy may remain until the next Destroy or Open; the error says so.
func (v *Vault) Destroy(ctx context.Context, ids ...int64) error {
	if v.lock == nil {
		return fmt.Errorf("vault: destroy: %w", ErrReadOnly)
	}
	if len(ids) == 0 {
		return nil
	}
	if err := v.destroy(ctx, ids); err != nil {
		return err
	}
	if err := v.store.emptyWAL(ctx); err != nil {
		return v.noteFailure(fmt.Errorf("vault: destroy %d keys: old copies may remain in the write-ahead log: %w", len(ids), err))
	}
	return nil
}

func (v *Vault) destroy(ctx context.Context, ids []int64) error {
	v.load.Lock()
	defer v.load.Unlock()
	if err := v.store.destroy(ctx, ids); err != nil {
		return v.noteFailure(fmt.Errorf("vault: destroy %d keys: %w", len(ids), err))
	}
	for _, id := range ids {
		v.cache.drop(id)
	}
	return nil
}

// Failed is closed when the key store has failed for good (ErrFailed).
func (v *Vault) Failed() <-chan struct{} { return v.failed }

// noteFailure marks the vault as failed if err is an I/O error of the store: a failed flush is
// never tried again (PR17).
func (v *Vault) noteFailure(err error) error {
	if err == nil || !isIOError(err) {
		return err
	}
	v.failOnce.Do(func() { close(v.failed) })
	return fmt.Errorf("%w: %w", ErrFailed, err)
}

func (v *Vault) hasFailed() bool {
	select {
	case <-v.failed:
		return true
	default:
		return false
	}
}

// Close stops the background refill, records which keys are unused and closes the key store.
// Afterwards sealing and opening fail for keys that are not in memory.
func (v *Vault) Close() error {
	v.closeOnce.Do(func() {
		var errs []error
		if v.stop != nil {
			v.stop()
			v.done.Wait()
			if last, ok := v.pool.close(); ok && !v.hasFailed() {
				// A new context, since Close has none; the write is short.
				errs = append(errs, v.store.setReserved(context.Background(), last))
			}
		}
		errs = append(errs, v.store.close())
		if v.lock != nil {
			errs = append(errs, v.lock.release())
		}
		v.closeErr = errors.Join(errs...)
	})
	return v.closeErr
}
