package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults for Options that are zero.
const (
	DefaultBlockSize = 256
	DefaultCacheSize = 16384
	DefaultPatience  = 3 * time.Second
)

// Errors. They are wrapped with operation and key id, never with content.
var (
	// ErrMaster: the given master key is not the one that wrapped this key store.
	ErrMaster = errors.New("vault: master key does not fit the key store")
	// ErrRotating: the change of the master key is not finished, and some keys are still wrapped by
	// the former one, which this node does not have.
	ErrRotating = errors.New("vault: change of the master key is not finished: name the former key as vault.master_key_previous until it is")
	// ErrMasterSyntax: a master key is not 32 bytes in hex or base64.
	ErrMasterSyntax = errors.New("vault: master key must be 32 bytes in hex or base64")
	// ErrDestroyed: the key was destroyed, so what it sealed is erased.
	ErrDestroyed = errors.New("vault: key destroyed")
	// ErrUnknownKey: the key store has no such key: an old copy of it was restored, say. What the key
	// sealed is lost unless the right copy comes back; other keys are not affected.
	ErrUnknownKey = errors.New("vault: unknown key")
	// ErrDamaged: this key cannot be unwrapped although the master key is right, so the key store
	// is damaged there. What the key sealed is lost; other keys are not affected.
	ErrDamaged = errors.New("vault: key damaged")
	// ErrSealed: the sealed bytes cannot be opened: they are damaged, or aad differs.
	ErrSealed = errors.New("vault: sealed data does not open")
	// ErrKeysLost: the event store uses keys but the key store is empty.
	ErrKeysLost = errors.New("vault: key store is empty although the event store uses keys")
	// ErrMoved: the file's keys were moved into a database. Its own are old copies.
	ErrMoved = errors.New("vault: this file's keys were moved into a database: name it as vault.store")
	// ErrMoving: a move of keys into the database has begun and is not finished.
	ErrMoving = errors.New("vault: keys are being moved into this database: run `parley keys move` to its end")
	// ErrUnavailable: the key database cannot be reached or does not answer in time. A change may
	// still have been made.
	ErrUnavailable = errors.New("vault: key database is not available")
	// ErrReadOnly: the vault was opened with OpenReadOnly.
	ErrReadOnly = errors.New("vault: read only")
	// ErrFailed: the key store reported an I/O error, or has lost keys that it had confirmed. No key
	// is assigned any more; the process must exit and recover on start (PR17).
	ErrFailed = errors.New("vault: key store failed")
	// ErrLocked: another process has the key store open for writing.
	ErrLocked = errors.New("vault: key store is in use by another process")
	// ErrClosed: the vault was closed.
	ErrClosed = errors.New("vault: closed")
)

// Lost reports whether err is permanent: the data key was destroyed, is damaged, or is not in the key
// store. Nothing can be sealed under it any more, and what it sealed is lost.
func Lost(err error) bool {
	return errors.Is(err, ErrDestroyed) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrUnknownKey)
}

// errWentBack: a server is back at an earlier state, for example after a failover to a standby that
// lacked the latest commits. Another node would hand out the same ids again.
var errWentBack = fmt.Errorf("%w: the database has lost keys that it had confirmed", ErrFailed)

// Options says how to open a key store.
type Options struct {
	// DSN is the connection string of a PostgreSQL database that several nodes use, postgres://...
	// It carries a password and is never shown. pool_max_conns bounds the connections, 4 otherwise.
	// "": the key store is the file at Path.
	DSN string
	// Path of the SQLite file; made with mode 0600 if missing. Beside it are Path-wal and Path-shm,
	// and Path.lock, which is held while the store is open for writing. With DSN it may be empty;
	// if it is not, the lock is held too, so that no two processes have one folder.
	Path string
	// Master wraps every key in the store. 32 bytes.
	Master []byte
	// Previous is the master key before, while the installation changes to another: keys that it
	// wrapped can be read, and new ones are wrapped by it until Rotate. nil: there is none.
	Previous []byte
	// Floor is the largest key id in use in the event store (eventlog.Log.MaxKeyID): only larger
	// ids are assigned.
	Floor int64
	// BlockSize is how many keys are made and stored at a time.
	// 0 means DefaultBlockSize.
	BlockSize int
	// CacheSize bounds the unwrapped keys in memory, about 1 KiB each. 0 means DefaultCacheSize.
	CacheSize int
	// Patience bounds each access to a database. 0 means DefaultPatience.
	Patience time.Duration
	// Logger records problems of the background refill; nil discards them.
	Logger *slog.Logger
}

// Vault hands out keys and seals under them. Safe for concurrent use.
type Vault struct {
	store    store
	masters  masters
	readOnly bool
	lock     *fileLock // nil: none is held
	log      *slog.Logger
	block    int
	cache    *cache
	macs     macs

	pool    keyPool
	damaged damaged
	missing damaged

	refillMu  sync.Mutex
	refilling *attempt      // the one under way, nil if there is none
	wake      chan struct{} // asks refillLoop for keys
	stop      context.CancelFunc
	done      sync.WaitGroup

	contact                          contact
	blocks, loads, failures, removed atomic.Uint64

	failOnce  sync.Once
	failed    chan struct{}
	closeOnce sync.Once
	closeErr  error
}

// Open opens the key store for a process that assigns keys, makes it if it is missing, and starts
// the goroutine that makes keys ahead, and for a database the one that hears of other nodes; Close
// stops them. A file is for one process, a database for several. Errors: ErrMaster, ErrRotating,
// ErrKeysLost, ErrLocked, ErrMoved, ErrMoving, ErrUnavailable.
func Open(ctx context.Context, o Options) (v *Vault, err error) {
	var lock *fileLock
	if o.DSN == "" || o.Path != "" {
		if lock, err = acquireLock(o.Path + ".lock"); err != nil {
			return nil, err
		}
	}
	if v, err = open(ctx, o, true); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	v.lock = lock
	if err := v.startPool(ctx, o.Floor); err != nil {
		return nil, errors.Join(err, v.store.close(), lock.release())
	}
	v.start(ctx, v.refillLoop)
	return v, nil
}

// OpenReadOnly opens an existing key store while other processes write it, to open sealed bodies
// and compute MACs. Assign and Destroy fail with ErrReadOnly. A key that the owner of a file
// destroys later can be used here for as long as this vault has it in memory, so such a process
// must be short-lived.
func OpenReadOnly(ctx context.Context, o Options) (*Vault, error) {
	v, err := open(ctx, o, false)
	if err != nil {
		return nil, err
	}
	v.start(ctx, nil)
	return v, nil
}

func open(ctx context.Context, o Options, write bool) (_ *Vault, err error) {
	if o.BlockSize <= 0 {
		o.BlockSize = DefaultBlockSize
	}
	if o.CacheSize <= 0 {
		o.CacheSize = DefaultCacheSize
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	v := &Vault{
		readOnly: !write,
		log:      o.Logger,
		block:    o.BlockSize,
		cache:    newCache(o.CacheSize),
		wake:     make(chan struct{}, 1),
		failed:   make(chan struct{}),
	}
	if v.masters, err = newMasters(o); err != nil {
		return nil, err
	}
	if v.store, err = openStore(ctx, o, write); err == nil {
		if err = v.prepare(ctx, o); err != nil {
			err = errors.Join(err, v.store.close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("vault: open %s: %w", o.place(), err)
	}
	return v, nil
}

// place names the store without a password.
func (o Options) place() string {
	if o.DSN != "" {
		return "the key database"
	}
	return o.Path
}

func openStore(ctx context.Context, o Options, write bool) (store, error) {
	if o.DSN != "" {
		if o.Patience <= 0 {
			o.Patience = DefaultPatience
		}
		return nilless(openServer(ctx, o.DSN, o.Patience, write))
	}
	return nilless(openFile(ctx, o.Path, write))
}

// nilless keeps a nil pointer from becoming a store that is not nil.
func nilless[S store](s S, err error) (store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// prepare checks that the store may be used, makes the root at the first start, and notes how far
// other nodes have come.
func (v *Vault) prepare(ctx context.Context, o Options) error {
	for _, mark := range []struct {
		name    string
		refusal error
	}{{metaMoved, ErrMoved}, {metaMoving, ErrMoving}} {
		value, err := v.store.meta(ctx, mark.name)
		if err != nil {
			return err
		}
		if value != nil {
			return mark.refusal
		}
	}
	root, err := v.root(ctx)
	if err == nil && root == nil {
		root, err = v.newRoot(ctx, o)
	}
	if err != nil {
		return err
	}
	v.macs.root = root
	if !v.readOnly {
		// Remove the copies that stay if a crash interrupts Destroy.
		if err := v.store.scrub(ctx); err != nil {
			return err
		}
	}
	if !v.store.shared() {
		return nil
	}
	n, err := v.store.news(ctx, math.MaxInt64) // the cache is empty, so former destroyings do not matter
	if err != nil {
		return err
	}
	v.contact.heard(n.number, nil)
	return nil
}

// newRoot makes the MAC root at the first start. When several nodes do so at the same time, one of
// them is first and the others take its root.
func (v *Vault) newRoot(ctx context.Context, o Options) ([]byte, error) {
	if v.readOnly || o.Floor > 0 {
		return nil, ErrKeysLost
	}
	root := make([]byte, keySize)
	_, _ = rand.Read(root) // never fails (crypto/rand)
	ok, err := v.store.setMeta(ctx, nil, map[string][]byte{metaRoot: v.masters[0].wrap(metaRoot, 0, root)})
	if err != nil || ok {
		return root, err
	}
	return v.root(ctx)
}

// start starts the goroutines; refill nil: keys are only read.
func (v *Vault) start(ctx context.Context, refill func(context.Context)) {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v.stop = cancel
	if refill != nil {
		v.done.Go(func() { refill(run) })
	}
	if v.store.shared() {
		v.done.Go(func() { v.lookLoop(run) })
	}
}

// Destroy makes keys unreadable for ever, on this node at once and on others within DestroyedWithin.
// When it returns nil this is durable, and the keys are in none of a file store's files; a
// database's old row versions, write-ahead log and backups keep them, wrapped by the master key,
// until they age out. An unknown id is not an error: it may belong to a store that was lost. If ctx
// ends before a file's write-ahead log could be emptied (because a reader uses it), the keys are
// destroyed but an old copy may remain until the next Destroy or Open; the error says so.
func (v *Vault) Destroy(ctx context.Context, ids ...int64) error {
	if v.readOnly {
		return fmt.Errorf("vault: destroy: %w", ErrReadOnly)
	}
	if len(ids) == 0 {
		return nil
	}
	err := v.store.destroy(ctx, ids)
	v.cache.drop(ids) // after an error too: the store may have done it all the same
	if err != nil {
		v.failures.Add(1)
		return v.noteFailure(fmt.Errorf("vault: destroy %d keys: %w", len(ids), err))
	}
	if err := v.store.scrub(ctx); err != nil {
		return v.noteFailure(fmt.Errorf("vault: destroy %d keys: old copies may remain in the write-ahead log: %w", len(ids), err))
	}
	return nil
}

// Failed is closed when the key store has failed for good (ErrFailed).
func (v *Vault) Failed() <-chan struct{} { return v.failed }

// noteFailure marks the vault as failed if err says that the store failed: a failed flush is never
// tried again (PR17).
func (v *Vault) noteFailure(err error) error {
	if errors.Is(err, ErrFailed) {
		v.failOnce.Do(func() { close(v.failed) })
	}
	return err
}

func (v *Vault) hasFailed() bool {
	select {
	case <-v.failed:
		return true
	default:
		return false
	}
}

// Close stops the goroutines, records which keys are unused and closes the key store. Afterwards
// sealing and opening fail for keys that are not in memory.
func (v *Vault) Close() error {
	v.closeOnce.Do(func() {
		var errs []error
		v.stop()
		v.done.Wait()
		if last, unused, ok := v.pool.close(); ok && !v.readOnly && !v.hasFailed() {
			// A new context, since Close has none; the write is short. Keys that a database which is
			// away does not take back are wasted, and nothing else.
			if err := v.store.giveBack(context.Background(), last, unused); !errors.Is(err, ErrUnavailable) {
				errs = append(errs, err)
			}
		}
		errs = append(errs, v.store.close(), v.lock.release())
		v.closeErr = errors.Join(errs...)
	})
	return v.closeErr
}
