package nodes

import (
	"context"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"
)

const (
	leaseTTL   = 15 * time.Second
	leaseRenew = 3 * time.Second
	// leaseGuard is how long before its end a lease that could not be renewed counts as lost, so
	// that what works under it has ended before another node can begin.
	leaseGuard = 5 * time.Second
)

// LeaseLog is what Leases need of the log.
type LeaseLog interface {
	AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (epoch int64, held bool, err error)
	ReleaseLease(ctx context.Context, name, node string) error
}

// LeaseOptions for NewLeases. All fields are needed.
type LeaseOptions struct {
	Node   string
	Log    LeaseLog
	Owns   func(id [16]byte) bool // whether this node should have an id's lease if nobody has it (Keeper.Owns)
	Logger *slog.Logger
}

// Leases holds accounts that only one node may serve at a time: those that poll, register or bind
// with their provider. Safe for concurrent use.
type Leases struct {
	o     LeaseOptions
	again chan struct{} // holds a token when Want has changed something

	mu      sync.Mutex
	wanted  map[[16]byte]struct{}
	until   map[[16]byte]time.Time // held until then
	shown   map[[16]byte]struct{}  // what watchers were last told is held
	changed chan struct{}
}

// NewLeases makes Leases, which hold nothing before Run.
func NewLeases(o LeaseOptions) *Leases {
	return &Leases{
		o: o, again: make(chan struct{}, 1), wanted: map[[16]byte]struct{}{}, until: map[[16]byte]time.Time{},
		shown: map[[16]byte]struct{}{}, changed: make(chan struct{}, 1),
	}
}

// Want adds an id to those that this node would serve.
func (l *Leases) Want(id [16]byte) {
	l.mu.Lock()
	_, known := l.wanted[id]
	l.wanted[id] = struct{}{}
	l.mu.Unlock()
	if !known {
		l.poke()
	}
}

// Unwant gives an id up. Call it once nothing works under the lease any more.
func (l *Leases) Unwant(id [16]byte) {
	l.mu.Lock()
	_, known := l.wanted[id]
	delete(l.wanted, id)
	l.mu.Unlock()
	if known {
		l.poke()
	}
}

func (l *Leases) poke() {
	select {
	case l.again <- struct{}{}:
	default:
	}
}

// Held reports whether this node may serve an id now.
func (l *Leases) Held(id [16]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, wanted := l.wanted[id]
	return wanted && time.Now().Before(l.until[id])
}

// Count returns how many ids this node may serve now.
func (l *Leases) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, now := 0, time.Now()
	for id := range l.wanted {
		if now.Before(l.until[id]) {
			n++
		}
	}
	return n
}

// Changes gets a token when an answer of Held has changed. It has one reader.
func (l *Leases) Changes() <-chan struct{} { return l.changed }

// Run takes and renews the leases until ctx ends; Release then gives them up.
func (l *Leases) Run(ctx context.Context) {
	renew := time.NewTicker(leaseRenew)
	defer renew.Stop()
	watch := time.NewTicker(leaseRenew / 3) // a lease that cannot be renewed ends between two renewals
	defer watch.Stop()
	renewed := make(chan struct{}, 1) // the store may be slow, and then leases must still end in time
	renewing := false
	defer func() {
		if renewing {
			<-renewed
		}
	}()
	begin := func() {
		if !renewing {
			renewing = true
			go func() { l.renewAll(ctx); renewed <- struct{}{} }()
		}
	}
	begin()
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
			begin()
		case <-l.again:
			begin()
		case <-renewed:
			renewing = false
			l.show()
		case <-watch.C:
			l.show()
		}
	}
}

// show tells the watcher if what is held has changed.
func (l *Leases) show() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, changed := time.Now(), false
	held := map[[16]byte]struct{}{}
	for id := range l.wanted {
		if now.Before(l.until[id]) {
			held[id] = struct{}{}
			if _, was := l.shown[id]; !was {
				changed = true
			}
		}
	}
	if changed = changed || len(held) != len(l.shown); changed {
		l.shown = held
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
}

func leaseName(id [16]byte) string { return "account/" + hex.EncodeToString(id[:]) }

func (l *Leases) renewAll(ctx context.Context) {
	l.mu.Lock()
	var renew, drop [][16]byte
	for id := range l.wanted {
		renew = append(renew, id)
	}
	for id := range l.until {
		if _, wanted := l.wanted[id]; !wanted {
			drop = append(drop, id)
		}
	}
	l.mu.Unlock()
	for _, id := range drop {
		l.drop(ctx, id)
	}
	for _, id := range renew {
		l.renew(ctx, id)
	}
}

// renew renews a lease that this node holds, or takes it if this node is its preferred owner.
func (l *Leases) renew(ctx context.Context, id [16]byte) {
	l.mu.Lock()
	_, mine := l.until[id]
	l.mu.Unlock()
	if !mine && !l.o.Owns(id) {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, leaseRenew)
	defer cancel()
	asked := time.Now() // monotonic, so a step of the system's clock changes nothing (FT19)
	_, held, err := l.o.Log.AcquireLease(bounded, leaseName(id), l.o.Node, leaseTTL)
	if err != nil {
		if ctx.Err() == nil {
			l.o.Logger.Warn("cannot renew the lease of an account", "account_id", hex.EncodeToString(id[:]), "err", err)
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if held {
		l.until[id] = asked.Add(leaseTTL - leaseGuard)
	} else {
		delete(l.until, id)
	}
}

func (l *Leases) drop(ctx context.Context, id [16]byte) {
	if err := l.o.Log.ReleaseLease(ctx, leaseName(id), l.o.Node); err != nil {
		if ctx.Err() == nil {
			l.o.Logger.Warn("cannot release the lease of an account", "account_id", hex.EncodeToString(id[:]), "err", err)
		}
		return
	}
	l.mu.Lock()
	delete(l.until, id)
	l.mu.Unlock()
}

// Release gives up what this node holds, once Run has ended and nothing works under the leases any
// more, so that other nodes need not wait until they expire.
func (l *Leases) Release(ctx context.Context) {
	l.mu.Lock()
	clear(l.wanted)
	l.mu.Unlock()
	l.renewAll(ctx)
}
