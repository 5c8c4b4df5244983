package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/limit"
)

// Directory is what this package needs of core/directory.
type Directory interface {
	Snapshot() *directory.Snapshot
	AddSession(ctx context.Context, s directory.Session, hash string) error
	SessionByToken(ctx context.Context, hash [32]byte) (directory.Session, error)
	TouchSessions(ctx context.Context, seen map[directory.SessionID]time.Time) error
	RevokeSession(ctx context.Context, id directory.SessionID) error
	RevokedSince(ctx context.Context, since time.Time) ([]directory.SessionID, error)
	PruneSessions(ctx context.Context, before time.Time) error
	SetPassword(ctx context.Context, user conversation.AgentID, password string, keep directory.SessionID) error
	Audit(ctx context.Context, e directory.AuditEntry) error
}

// Options configure an Auth. A zero limit gets its default.
type Options struct {
	Directory Directory
	// SameOrigin reports whether a request comes from a page of the desk's own
	// origin; gateway.SameOrigin. Required.
	SameOrigin func(*http.Request) bool

	// PairBurst is how often one login may fail from one address (IPv6: /64),
	// or on one known device, before it must wait, longer with each failure.
	// Default as in the configuration.
	PairBurst int
	// IPBurst is how many logins may fail from one address, and LoginBurst how
	// often one login may fail from any, before those who never got in from
	// where they are must wait, too. Default as in the configuration, and 20.
	IPBurst, LoginBurst int
	// DeviceKey signs DeviceCookie, 32 bytes. nil: one for this process, so that
	// every device is a stranger after a restart.
	DeviceKey []byte
	// Hashers is how many passwords are checked at once for addresses; known
	// devices have one place more. Each takes a core for tens of milliseconds
	// and 19 MiB. Default half of the cores.
	Hashers int

	// IdleTimeout ends a session that is not used; an open socket is use.
	// Default as in the configuration.
	IdleTimeout time.Duration
	// AbsoluteTimeout ends any session. Default as in the configuration.
	AbsoluteTimeout time.Duration

	// Now is the installation's time, by which sessions end; nil: time.Now.
	Now func() time.Time

	Log      *slog.Logger          // nil discards
	Registry prometheus.Registerer // nil: no metrics
}

// How often and how long.
const (
	sweepEvery  = time.Second
	sweepMargin = 10 * time.Second // clocks of other processes may differ by this
	sweepStale  = 4 * time.Second  // without a sweep for so long, memory is not believed
	touchEvery  = 2 * time.Minute
	pruneEvery  = time.Hour
	maxCached   = 50_000
	maxWaiting  = 64 // logins in a lane, those being checked included
	maxOfSource = 16 // of them, of one address or device
)

// Auth logs people in and tells who sends a request. Safe for concurrent use.
type Auth struct {
	opts    Options
	dir     Directory
	log     *slog.Logger
	guard   *guard
	slowed  rate.Sometimes // paces the log
	denials *limit.Rates[directory.SessionID]
	dummy   string // what the password of nobody is compared with
	logins  *prometheus.CounterVec
	waits   *prometheus.CounterVec

	strangers, known lane // where passwords are checked

	swept atomic.Int64 // when the last sweep succeeded, ms

	mu       sync.Mutex
	live     map[[32]byte]*session              // by token hash
	byID     map[directory.SessionID][32]byte   // token hashes of live
	watchers map[directory.SessionID][]*watcher // open sockets
	revoked  map[directory.SessionID]time.Time  // lately, so that a late Watch is told
	touched  map[directory.SessionID]time.Time  // uses not yet stored

	stop context.CancelFunc
	done sync.WaitGroup
}

// session is a session known to be good when it was last looked at.
type session struct {
	directory.Session
}

// New makes an Auth and starts the goroutine that looks for sessions ended
// elsewhere; Close stops it.
func New(ctx context.Context, o Options) (*Auth, error) {
	if o.Directory == nil || o.SameOrigin == nil {
		return nil, errors.New("auth: needs a directory and an origin check")
	}
	login := config.Default().Login
	set(&o.PairBurst, login.PerAccountBurst)
	set(&o.IPBurst, login.PerIPBurst)
	set(&o.LoginBurst, 20)
	if o.DeviceKey == nil {
		o.DeviceKey = make([]byte, 32)
		_, _ = rand.Read(o.DeviceKey) // never fails (crypto/rand)
	}
	set(&o.Hashers, max(1, runtime.NumCPU()/2))
	set(&o.IdleTimeout, login.IdleTimeout.Duration())
	set(&o.AbsoluteTimeout, login.AbsoluteTimeout.Duration())
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dummy, err := directory.HashPassword("nobody has this password")
	if err != nil {
		return nil, err
	}
	a := &Auth{
		opts: o, dir: o.Directory, log: o.Log, dummy: dummy,
		guard:     newGuard(o.PairBurst, o.IPBurst, o.LoginBurst),
		slowed:    rate.Sometimes{Interval: time.Minute},
		denials:   limit.NewRates[directory.SessionID](0.2, 10, 20_000),
		strangers: newLane(o.Hashers, maxOfSource), known: newLane(1, maxOfSource),
		live: map[[32]byte]*session{}, byID: map[directory.SessionID][32]byte{},
		watchers: map[directory.SessionID][]*watcher{}, revoked: map[directory.SessionID]time.Time{},
		touched: map[directory.SessionID]time.Time{},
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_logins_total", Help: "Attempts to log in, by result.",
		}, []string{"result"}),
		waits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_login_waits_total", Help: "Attempts to log in that were told to wait, by what had failed too often.",
		}, []string{"cause"}),
	}
	if o.Registry != nil {
		for _, c := range []prometheus.Collector{a.logins, a.waits} {
			if err := o.Registry.Register(c); err != nil {
				return nil, err
			}
		}
	}
	a.swept.Store(a.opts.Now().UnixMilli())
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = cancel
	a.done.Go(func() { a.run(run) })
	return a, nil
}

func set[T comparable](field *T, def T) {
	var zero T
	if *field == zero {
		*field = def
	}
}

// Close stops the background work and stores when sessions were last used.
func (a *Auth) Close() error {
	a.stop()
	a.done.Wait()
	// A bounded clean-up of its own: Close has no context.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return a.flushTouched(ctx)
}

func (a *Auth) run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var flushed, pruned time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := a.opts.Now()
		a.sweep(ctx, now)
		if now.Sub(flushed) >= touchEvery {
			flushed = now
			if err := a.flushTouched(ctx); err != nil && ctx.Err() == nil {
				a.log.WarnContext(ctx, "cannot store when sessions were used", "err", err)
			}
		}
		if now.Sub(pruned) >= pruneEvery {
			pruned = now
			if err := a.dir.PruneSessions(ctx, now.Add(-24*time.Hour)); err != nil && ctx.Err() == nil {
				a.log.WarnContext(ctx, "cannot remove old sessions", "err", err)
			}
		}
	}
}
