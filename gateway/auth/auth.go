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
	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/gateway/limit"
)

// Directory is what this package needs of core/directory.
type Directory interface {
	Snapshot() *directory.Snapshot
	SetPassword(ctx context.Context, user conversation.AgentID, password string, keep sessions.ID) error
}

// Sessions is what this package needs of core/sessions.
type Sessions interface {
	Add(ctx context.Context, s sessions.Session, hash string) error
	ByToken(ctx context.Context, hash [32]byte) (sessions.Session, error)
	Touch(ctx context.Context, seen map[sessions.ID]time.Time) error
	Revoke(ctx context.Context, id sessions.ID) error
	RevokedSince(ctx context.Context, since time.Time) ([]sessions.ID, error)
	Prune(ctx context.Context, before time.Time) error
}

// Trail is where the package writes entries of the audit trail (audit.Trail).
type Trail interface {
	// Append adds an entry, durable on return.
	Append(ctx context.Context, e audit.Entry) error
}

// Options configure an Auth. A zero limit means its default.
type Options struct {
	Directory Directory // required
	Sessions  Sessions  // required
	Trail     Trail     // required
	// SameOrigin reports whether a request comes from a page of the desktop's own origin;
	// gateway.SameOrigin. Required.
	SameOrigin func(*http.Request) bool

	// PairBurst is how often the login of one user may fail from one address (IPv6: /64), or on one
	// known device, before the next attempt must wait, longer with each failure. Default as in the
	// configuration.
	PairBurst int
	// IPBurst is how many logins may fail from one address, and LoginBurst how often the login of
	// one user may fail from all addresses together, before attempts from sources that never logged
	// in successfully must wait, too. Default as in the configuration, and 20.
	IPBurst, LoginBurst int
	// DeviceKey signs DeviceCookie, 32 bytes. nil: a random key of this process, so that no device
	// is known after a restart.
	DeviceKey []byte
	// Hashers is how many passwords from unknown devices are checked at once; known devices have
	// one place more. Each check takes a core for tens of milliseconds and 19 MiB. Default half of
	// the cores.
	Hashers int

	// IdleTimeout ends a session that has not been used for so long; an open socket counts as use.
	// Default as in the configuration.
	IdleTimeout time.Duration
	// AbsoluteTimeout ends a session that old, even if it is in use. Default as in the
	// configuration.
	AbsoluteTimeout time.Duration

	// Now is the installation's time, by which sessions end; nil: time.Now.
	Now func() time.Time

	Log      *slog.Logger          // nil: nothing is logged
	Registry prometheus.Registerer // nil: no metrics
}

// How often the background work runs, and how long its results count.
const (
	sweepEvery  = time.Second
	sweepMargin = 10 * time.Second // the clocks of processes may differ by this much
	sweepStale  = 4 * time.Second  // after so long without a successful sweep, sessions in memory are no longer trusted
	touchEvery  = 2 * time.Minute
	pruneEvery  = time.Hour
	maxCached   = 50_000
	maxWaiting  = 64 // logins that wait in a lane, those being checked included
	maxOfSource = 16 // logins of one address or device among maxWaiting
)

// Auth logs users in and identifies who sends a request. Safe for concurrent use.
type Auth struct {
	opts     Options
	dir      Directory
	sessions Sessions
	log      *slog.Logger
	guard    *guard
	slowed   rate.Sometimes // limits how often slowed logins are logged
	denials  *limit.Rates[sessions.ID]
	dummy    string // hash that a password is compared with when the login does not exist
	logins   *prometheus.CounterVec
	waits    *prometheus.CounterVec

	strangers, known lane // lanes in which passwords are checked: from unknown and from known devices

	swept atomic.Int64 // when the last sweep succeeded, in milliseconds

	mu       sync.Mutex
	live     map[[32]byte]*session      // sessions in memory, by the hash of their token
	byID     map[sessions.ID][32]byte   // for the sessions in live, the hash of their token
	watchers map[sessions.ID][]*watcher // watchers of open sockets, by their session
	revoked  map[sessions.ID]time.Time  // sessions that were revoked lately, so that a Watch that begins late still learns of it
	touched  map[sessions.ID]time.Time  // last uses that are not stored yet

	stop context.CancelFunc
	done sync.WaitGroup
}

// session is a session that was valid when the directory was last asked.
type session struct {
	sessions.Session
}

// New makes an Auth and starts the goroutine that looks for sessions that other processes ended;
// Close stops it.
func New(ctx context.Context, o Options) (*Auth, error) {
	if o.Directory == nil || o.Sessions == nil || o.Trail == nil || o.SameOrigin == nil {
		return nil, errors.New("auth: needs a directory, sessions, an audit trail and an origin check")
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
		opts: o, dir: o.Directory, sessions: o.Sessions, log: o.Log, dummy: dummy,
		guard:     newGuard(o.PairBurst, o.IPBurst, o.LoginBurst),
		slowed:    rate.Sometimes{Interval: time.Minute},
		denials:   limit.NewRates[sessions.ID](0.2, 10, 20_000),
		strangers: newLane(o.Hashers, maxOfSource), known: newLane(1, maxOfSource),
		live: map[[32]byte]*session{}, byID: map[sessions.ID][32]byte{},
		watchers: map[sessions.ID][]*watcher{}, revoked: map[sessions.ID]time.Time{},
		touched: map[sessions.ID]time.Time{},
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

// Close stops the background goroutine and stores when sessions were last used.
func (a *Auth) Close() error {
	a.stop()
	a.done.Wait()
	// Close has no context, so this clean-up gets one with a limit.
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
			if err := a.sessions.Prune(ctx, now.Add(-24*time.Hour)); err != nil && ctx.Err() == nil {
				a.log.WarnContext(ctx, "cannot remove old sessions", "err", err)
			}
		}
	}
}
