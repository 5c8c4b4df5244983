package nodes

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

const (
	// beatEvery is how often a node says that it is alive.
	beatEvery = 2 * time.Second
	// ttl is how long a node that says nothing counts as alive.
	ttl = 10 * time.Second
)

// Log is what a Keeper needs of the log (eventlog.Shared).
type Log interface {
	Beat(ctx context.Context, n eventlog.Node, ttl time.Duration) ([]eventlog.Node, error)
	Leave(ctx context.Context, n eventlog.Node) error
}

// Options for New. Address and Version may be empty.
type Options struct {
	Name    string // unique in the installation
	Version string
	Address string
	Log     Log
	Logger  *slog.Logger
	Now     func() time.Time // the installation's time (core/clock)
}

// Keeper keeps this node among the installation's nodes and knows the others. Safe for concurrent
// use.
type Keeper struct {
	log    Log
	logger *slog.Logger
	self   eventlog.Node // Draining is guarded by mu
	beats  chan struct{} // holds a token when a beat is due at once
	taken  chan struct{}

	view atomic.Pointer[view]

	mu      sync.Mutex
	watched map[chan struct{}]struct{}
	steady  time.Time // since when no beat was missed
	last    time.Time // the last beat
}

// view is what the last beat showed; it is never changed.
type view struct {
	live    []eventlog.Node
	ring    ring
	settled bool // whoever is not in live is gone
}

// New makes a Keeper, which knows no nodes before Join.
func New(o Options) (*Keeper, error) {
	if o.Name == "" || o.Log == nil || o.Logger == nil || o.Now == nil {
		return nil, errors.New("nodes: incomplete options")
	}
	k := &Keeper{
		log: o.Log, logger: o.Logger, beats: make(chan struct{}, 1), taken: make(chan struct{}), watched: map[chan struct{}]struct{}{},
		self: eventlog.Node{Name: o.Name, Version: o.Version, Address: o.Address, Started: o.Now().UTC().Truncate(time.Microsecond)},
	}
	_, _ = rand.Read(k.self.Instance[:]) // never fails (crypto/rand)
	k.view.Store(&view{})
	return k, nil
}

// Join takes the node's name and learns of the others. Errors: eventlog.ErrNameTaken while another
// process that runs has the name, and those of the log.
func (k *Keeper) Join(ctx context.Context) error {
	err := k.beat(ctx)
	if errors.Is(err, eventlog.ErrNameTaken) {
		return fmt.Errorf("%w; give each node a name of its own (node in the configuration, PARLEY_NODE), or stop the other one", err)
	}
	return err
}

// Run keeps the node alive for the others until ctx ends or the name is taken (Taken).
func (k *Keeper) Run(ctx context.Context) {
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-k.beats:
		}
		switch err := k.beat(ctx); {
		case errors.Is(err, eventlog.ErrNameTaken):
			k.logger.Error("another process has this node's name", "err", err)
			close(k.taken)
			return
		case err != nil && ctx.Err() == nil:
			k.logger.Warn("cannot tell other nodes that this one is alive", "err", err)
		}
	}
}

// Taken is closed when another process has taken this node's name while this one was away from the
// database. This one must stop, since the two would take each other's work for their own.
func (k *Keeper) Taken() <-chan struct{} { return k.taken }

// Drain says with the next beat, which comes at once while Run runs, that the node is about to
// stop, so that others become the owners of what it owns.
func (k *Keeper) Drain() {
	k.mu.Lock()
	k.self.Draining = true
	k.mu.Unlock()
	select {
	case k.beats <- struct{}{}:
	default:
	}
}

// Leave takes the node out, once Run has ended.
func (k *Keeper) Leave(ctx context.Context) error { return k.log.Leave(ctx, k.self) }

func (k *Keeper) beat(ctx context.Context) error {
	k.mu.Lock()
	self := k.self
	k.mu.Unlock()
	asked := time.Now() // monotonic, so a step of the system's clock changes nothing (FT19)
	live, err := k.log.Beat(ctx, self, ttl)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if asked.Sub(k.last) > ttl/2 { // also at the first beat
		k.steady = asked
	}
	k.last = asked
	old := k.view.Load()
	v := &view{live: live, settled: asked.Sub(k.steady) > ttl}
	if !v.settled { // the others may only have had no time yet to say that they are alive
		for _, n := range old.live {
			if !slices.ContainsFunc(live, func(x eventlog.Node) bool { return x.Name == n.Name }) {
				v.live = append(v.live, n)
			}
		}
		slices.SortFunc(v.live, func(a, b eventlog.Node) int { return strings.Compare(a.Name, b.Name) })
	}
	v.ring = newRing(v.live)
	k.view.Store(v)
	if v.settled != old.settled || !slices.Equal(v.live, old.live) {
		for ch := range k.watched {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
	return nil
}

// Live returns the nodes that are alive, this one included, by name. The slice must not be changed.
func (k *Keeper) Live() []eventlog.Node { return k.view.Load().live }

// Gone reports whether a node that was in the installation is there no more. It is false while that
// is not certain: after this node's start and after an outage of the database.
func (k *Keeper) Gone(name string) bool {
	v := k.view.Load()
	return v.settled && !slices.ContainsFunc(v.live, func(n eventlog.Node) bool { return n.Name == name })
}

// Owner returns the name of the node that is the preferred owner of an id; "" before Join.
func (k *Keeper) Owner(id [16]byte) string { return k.view.Load().ring.owner(id) }

// Owns reports whether this node is the preferred owner of an id.
func (k *Keeper) Owns(id [16]byte) bool { return k.Owner(id) == k.self.Name }

// Changes returns a channel that gets a token when the nodes or what is known of them have changed,
// and a function that ends this.
func (k *Keeper) Changes() (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watched[ch] = struct{}{}
	return ch, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.watched, ch)
	}
}
