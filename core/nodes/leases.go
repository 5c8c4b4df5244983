package nodes

import (
	"cmp"
	"context"
	"encoding/hex"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/eventlog"
)

const (
	leaseTTL   = 15 * time.Second
	leaseRenew = 3 * time.Second
	// leaseGuard is how long before its end a lease that could not be renewed counts as lost, so
	// that what works under it has ended before another node can begin.
	leaseGuard = 5 * time.Second
	// leaseLook is how often it is looked for leases that have run out or are to be renewed.
	leaseLook = 250 * time.Millisecond
	// leasePatience is how long a node wants an account before it tries to take it although another
	// node is the preferred owner, whose plugin may not be ready.
	leasePatience = 2 * leaseRenew
	// mostAsked bounds how many leases are asked for at a time. Those that this node does not hold
	// get half of it, so that a slow answer about one of them lets no other run out.
	mostAsked = 16
)

// LeaseLog is what Leases need of the log.
type LeaseLog interface {
	AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (epoch int64, held bool, err error)
	ReleaseLease(ctx context.Context, name, node string, epoch int64) error
}

// LeaseOptions for NewLeases. All fields but Elapsed are needed.
type LeaseOptions struct {
	Node   string
	Log    LeaseLog
	Owns   func(id [16]byte) bool // whether this node should have an id's lease if nobody has it (Keeper.Owns)
	Logger *slog.Logger
	// Elapsed returns the time since any fixed moment. It must count the time for which the machine
	// was suspended, since leases run out meanwhile, and a step of the system's clock must not change
	// it (FT19). nil = the system's clock that does so (on Linux; elsewhere suspension may not count).
	Elapsed func() time.Duration
}

// Leases holds accounts that only one node may serve at a time: those that poll, register or bind
// with their provider. Safe for concurrent use.
type Leases struct {
	o       LeaseOptions
	again   chan struct{} // holds a token when Want, Unwant or an answer of the store has changed something
	changed chan struct{}

	mu  sync.Mutex
	ids map[[16]byte]*lease
}

// lease is what a node knows of the lease of one id. Durations are those of Elapsed.
type lease struct {
	wanted bool
	since  time.Duration // when it was wanted
	asked  time.Duration // when the store was asked last
	never  bool          // the store was not asked since it was wanted
	busy   bool          // the store is being asked
	ending bool          // a release was asked for and not answered: it may still come to pass
	mine   bool          // the store may have the lease in this node's name
	until  time.Duration // this node holds the lease until then, if it is wanted and mine
	epoch  int64         // of the last answer
	unsure bool          // the lease was asked for since without an answer: the store may have another epoch
	from   time.Time     // since when it is held without a gap
	shown  time.Time     // since when it is held as watchers were last told; zero: it is not
}

// NewLeases makes Leases, which hold nothing before Run.
func NewLeases(o LeaseOptions) *Leases {
	if o.Elapsed == nil {
		o.Elapsed = elapsed
	}
	return &Leases{o: o, again: make(chan struct{}, 1), changed: make(chan struct{}, 1), ids: map[[16]byte]*lease{}}
}

// Want adds an id to those that this node would serve. Want it only while this node can serve it:
// a node that holds what it cannot serve keeps the others from serving it.
func (l *Leases) Want(id [16]byte) {
	l.mu.Lock()
	x := l.ids[id]
	if x == nil {
		x = &lease{}
		l.ids[id] = x
	}
	if x.wanted {
		l.mu.Unlock()
		return
	}
	x.wanted, x.never, x.since = true, true, l.o.Elapsed()
	l.mu.Unlock()
	l.poke()
}

// Unwant gives an id up: it is not held any more when Unwant returns, and other nodes may have it
// soon. Call it once nothing works under the lease.
func (l *Leases) Unwant(id [16]byte) {
	l.mu.Lock()
	x := l.ids[id]
	if x == nil || !x.wanted {
		l.mu.Unlock()
		return
	}
	x.wanted, x.never, x.until = false, true, 0
	l.mu.Unlock()
	l.poke()
}

func (l *Leases) poke() {
	select {
	case l.again <- struct{}{}:
	default:
	}
}

func (x *lease) held(now time.Duration) bool { return x != nil && x.wanted && x.mine && now < x.until }

// Held reports whether this node may serve an id now.
func (l *Leases) Held(id [16]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ids[id].held(l.o.Elapsed())
}

// Left returns for how long from now no other node can serve an id that this node serves, or served until
// a moment ago; 0 or less: another node may.
func (l *Leases) Left(id [16]byte) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.ids[id]
	if x == nil || !x.wanted || !x.mine {
		return 0
	}
	return x.until + leaseGuard - l.o.Elapsed()
}

// Lease returns the lease under which this node serves an id, for the appends that are to fail once
// another node has it, and since when it holds it without a gap; ok is false if it does not.
func (l *Leases) Lease(id [16]byte) (ref eventlog.LeaseRef, since time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.ids[id]
	if !x.held(l.o.Elapsed()) {
		return ref, since, false
	}
	return eventlog.LeaseRef{Name: LeaseName(id), Epoch: x.epoch}, x.from, true
}

// Since returns since when this node may serve an id without a gap; zero: it may not now.
func (l *Leases) Since(id [16]byte) time.Time {
	_, since, ok := l.Lease(id)
	if !ok {
		return time.Time{}
	}
	return since
}

// Count returns how many ids this node may serve now.
func (l *Leases) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, now := 0, l.o.Elapsed()
	for _, x := range l.ids {
		if x.held(now) {
			n++
		}
	}
	return n
}

// Changes gets a token soon (250 ms) after an answer of Held or Since has changed. It has one reader.
func (l *Leases) Changes() <-chan struct{} { return l.changed }

// Run takes and renews the leases until ctx ends; Release then gives them up.
func (l *Leases) Run(ctx context.Context) {
	look := time.NewTicker(leaseLook)
	defer look.Stop()
	var asking sync.WaitGroup
	defer asking.Wait()
	for {
		l.show()
		for _, id := range l.due() {
			asking.Go(func() { l.ask(ctx, id); l.poke() })
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case <-l.again:
		}
	}
}

// due returns the ids about which the store is to be asked now, and marks them as being asked: first
// those whose lease runs out first.
func (l *Leases) due() (list [][16]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, busy, others := l.o.Elapsed(), 0, 0
	held := func(id [16]byte) bool { return l.ids[id].held(now) }
	for id, x := range l.ids {
		switch {
		case x.busy:
			if busy++; !x.held(now) {
				others++
			}
		case !x.wanted && !x.mine:
			delete(l.ids, id)
		case !x.never && now-x.asked < leaseRenew:
		case x.wanted && !x.mine && now-x.since < leasePatience && !l.o.Owns(id):
		default:
			list = append(list, id)
		}
	}
	slices.SortFunc(list, func(a, b [16]byte) int {
		if held(a) != held(b) {
			if held(a) {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(l.ids[a].until, l.ids[b].until), cmp.Compare(l.ids[a].asked, l.ids[b].asked), slices.Compare(a[:], b[:]))
	})
	most := mostAsked - busy
	if own := slices.IndexFunc(list, func(id [16]byte) bool { return !held(id) }); own >= 0 {
		most = min(most, own+max(0, mostAsked/2-others))
	}
	list = list[:min(most, len(list))]
	for _, id := range list {
		l.ids[id].busy = true
	}
	return list
}

// show tells the watcher if what is held has changed.
func (l *Leases) show() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, changed := l.o.Elapsed(), false
	for _, x := range l.ids {
		var since time.Time
		if x.held(now) {
			since = x.from
		}
		if !since.Equal(x.shown) {
			x.shown, changed = since, true
		}
	}
	if changed {
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
}

// LeaseName is the name that the lease of an account has in the log.
func LeaseName(id [16]byte) string { return "account/" + hex.EncodeToString(id[:]) }

// ask takes or renews an id's lease, or gives it up if it is not wanted any more.
func (l *Leases) ask(ctx context.Context, id [16]byte) {
	l.mu.Lock()
	x := l.ids[id]
	wanted, was, unsure := x.wanted, x.epoch, x.unsure
	release := !wanted || x.ending
	asked := l.o.Elapsed()
	x.asked, x.never = asked, false
	x.ending = release
	l.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, leaseRenew)
	defer cancel()
	var epoch int64
	var held bool
	var err error
	if release && unsure { // a release needs the epoch
		if epoch, _, err = l.o.Log.AcquireLease(bounded, LeaseName(id), l.o.Node, leaseTTL); err == nil {
			was, unsure, epoch = epoch, false, 0
		}
	}
	// Also one that is wanted again is released first. Then it is taken under a new epoch, and a release
	// of the former one that the store still carries out does nothing.
	if release && err == nil {
		err = l.o.Log.ReleaseLease(bounded, LeaseName(id), l.o.Node, was)
	}
	released := release && err == nil
	if wanted && err == nil {
		epoch, held, err = l.o.Log.AcquireLease(bounded, LeaseName(id), l.o.Node, leaseTTL)
		unsure = err != nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	x.busy, x.epoch, x.unsure = false, was, unsure
	if released {
		x.ending = false
	}
	if err != nil { // the store may have done it all the same
		x.mine = true
		if ctx.Err() == nil {
			l.o.Logger.Warn("cannot renew or release the lease of an account", "account_id", hex.EncodeToString(id[:]), "err", err)
		}
		return
	}
	now := l.o.Elapsed()
	if held && (!x.held(now) || x.epoch != epoch) {
		x.from = time.Now()
	}
	x.mine, x.epoch = held, epoch
	if held && x.wanted {
		x.until = asked + leaseTTL - leaseGuard
	}
}

// Release gives up what this node holds, once Run has ended and nothing works under the leases any
// more, so that other nodes need not wait until they expire.
func (l *Leases) Release(ctx context.Context) {
	l.mu.Lock()
	var mine [][16]byte
	for id, x := range l.ids {
		if x.wanted, x.until = false, 0; x.mine {
			mine = append(mine, id)
		}
	}
	l.mu.Unlock()
	for _, id := range mine {
		l.ask(ctx, id)
	}
}
