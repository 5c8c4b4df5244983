package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/database"
)

// Vault is what the directory needs of core/vault.
type Vault interface {
	Assign() (int64, error)
	Seal(keyID int64, aad, plain []byte) ([]byte, error)
	Open(keyID int64, aad, sealed []byte) ([]byte, error)
	MAC(purpose string, parts ...[]byte) [32]byte
	Destroy(ctx context.Context, ids ...int64) error
}

// Dialect names a database engine.
type Dialect = database.Dialect

// Dialects.
const (
	SQLite   = database.SQLite
	Postgres = database.Postgres
)

// Options say how to open the directory.
type Options struct {
	// DSN is the path of the SQLite file, which the log uses too and which is made when it is
	// missing; or PostgreSQL's connection string, which is the log's, too.
	DSN string
	// Dialect; "" means SQLite.
	Dialect Dialect
	// Vault seals contacts and secrets. Must not be nil.
	Vault Vault
	// Poll is how often the directory looks for changes by other processes. 0 means one second,
	// negative never.
	Poll time.Duration
	// Gate, for SQLite and when not nil, is held while the directory writes. Give the log's
	// writer the same one: SQLite lets waiting writers starve, a mutex does not.
	Gate sync.Locker
	// Now is the installation's time; nil: time.Now.
	Now func() time.Time
	// Logger; nil discards.
	Logger *slog.Logger
}

// Directory holds the records. Safe for concurrent use.
type Directory struct {
	db *database.DB
	// byAddress is prepared, since it is used for each new conversation.
	byAddress *sql.Stmt
	vault     Vault
	trail     *audit.Trail
	log       *slog.Logger
	now       func() time.Time

	writeMu sync.Mutex // one change at a time, so that snapshots appear in order
	snap    atomic.Pointer[Snapshot]

	watchMu  sync.Mutex
	watchers map[chan struct{}]struct{}

	stop      context.CancelFunc
	done      sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// Open opens the directory, brings its tables up to date and reads the first
// snapshot. It starts goroutines that look for changes by other processes, and destroy keys that are
// no longer needed; Close stops them.
func Open(ctx context.Context, o Options) (*Directory, error) {
	if o.Vault == nil {
		return nil, errors.New("directory: open: no vault")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	db, err := database.Open(ctx, database.Options{DSN: o.DSN, Dialect: o.Dialect, Gate: o.Gate})
	if err != nil {
		return nil, fmt.Errorf("directory: open: %w", err)
	}
	d := &Directory{
		db: db, vault: o.Vault, trail: audit.New(db, o.Vault, o.Now), log: o.Logger, now: o.Now,
		watchers: map[chan struct{}]struct{}{},
	}
	snap, err := d.loadSnapshot(ctx)
	if err == nil {
		d.byAddress, err = db.Reader().PrepareContext(ctx, selectByAddress)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("directory: open: %w", err), db.Close())
	}
	d.snap.Store(snap)
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = cancel
	if o.Poll > 0 {
		d.done.Go(func() { d.follow(run, o.Poll) })
		d.done.Go(func() { d.followSpent(run, spentPolls*o.Poll) })
	}
	return d, nil
}

// Database is the directory's open database, for packages that store other tables in it. It is
// closed with the directory.
func (d *Directory) Database() *database.DB { return d.db }

// Trail is the audit trail in which changes of records are recorded, for packages that add other
// entries to it.
func (d *Directory) Trail() *audit.Trail { return d.trail }

// Snapshot is the present state of the records. It never blocks.
func (d *Directory) Snapshot() *Snapshot { return d.snap.Load() }

// Changes returns a channel that receives after each change of the snapshot; several changes may be
// reported as one. cancel ends this; the channel is not closed.
func (d *Directory) Changes() (changed <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	d.watchMu.Lock()
	d.watchers[c] = struct{}{}
	d.watchMu.Unlock()
	return c, func() {
		d.watchMu.Lock()
		delete(d.watchers, c)
		d.watchMu.Unlock()
	}
}

func (d *Directory) publish(s *Snapshot) {
	d.snap.Store(s)
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	for c := range d.watchers {
		select {
		case c <- struct{}{}:
		default: // a change is reported already and not received yet
		}
	}
}

// Refresh reads the records again if another process changed them.
func (d *Directory) Refresh(ctx context.Context) error {
	var version int64
	if err := d.db.Reader().QueryRowContext(ctx, selectVersion).Scan(&version); err != nil {
		return fmt.Errorf("directory: read version: %w", d.db.Note(err))
	}
	if version == d.Snapshot().version {
		return nil
	}
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	s, err := d.loadSnapshot(ctx)
	if err != nil {
		return fmt.Errorf("directory: read records: %w", d.db.Note(err))
	}
	if s.version != d.Snapshot().version {
		d.publish(s)
	}
	return nil
}

func (d *Directory) follow(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := d.Refresh(ctx); err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "cannot look for changed records", "err", err)
		}
	}
}

// Failed is closed when the store reported an I/O error: the process must
// stop and recover on start (PR17).
func (d *Directory) Failed() <-chan struct{} { return d.db.Failed() }

// Close ends watching for changes and closes the database.
func (d *Directory) Close() error {
	d.closeOnce.Do(func() {
		d.stop()
		d.done.Wait()
		d.closeErr = errors.Join(d.byAddress.Close(), d.db.Close())
	})
	return d.closeErr
}
