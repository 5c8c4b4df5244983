package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// After a crash a generation that was ready for this long is restarted at once; after failed starts
// and earlier crashes the restart waits, longer each time.
const (
	steadyAfter  = 2 * time.Second
	backoffFirst = 250 * time.Millisecond
	backoffLast  = 30 * time.Second
	// backoffBlaming is the longest pause while crashes still show which items are suspect, since
	// suspects are found by trying them.
	backoffBlaming = time.Second
	// exitGrace is the time for a plugin whose stream broke to finish writing its last output.
	exitGrace = 50 * time.Millisecond
	// configRetry is the pause before a Configure that failed through no fault of the configuration
	// is tried again.
	configRetry = 5 * time.Second
)

// hosted supervises one plugin: a single goroutine, supervise, starts, watches,
// replaces and stops its generations.
type hosted struct {
	id          string
	host        *Host
	log         *slog.Logger
	meters      *pluginMeters
	poison      *poison
	identityKey []byte

	reconfigure chan struct{}        // a token: the configuration has changed
	upgrades    chan *upgradeRequest // requests, handled between two other steps
	quit        chan struct{}        // closed by Drain
	quitOnce    sync.Once
	retirees    sync.WaitGroup // generations that were replaced and are being drained
	done        chan struct{}

	mu       sync.Mutex
	launch   launchSpec
	fallback *launchSpec // the program that ran before an upgrade
	backTill time.Time   // a crash before this time goes back to fallback
	state    State
	since    time.Time
	reason   string
	number   int
	failures int
	blaming  bool                   // the last crash narrowed down which items may have caused it
	live     map[string]*generation // by instance: those that take calls of tools; cur and the ones that are being drained
	cur      *generation            // the generation that takes commands, hooks and HTTP
	latest   *generation            // the generation with the newest process, ready or not
	desc     *pluginv1.DescribeResponse
	budgets  map[conversation.AccountID]time.Duration // of webhooks, where an account of the newest ready generation has its own
	changed  chan struct{}                            // closed and replaced with each change
	config   configuration
	leases   leased
	owned    map[conversation.AccountID]bool // the set of the plugin's accounts, enabled or disabled
	problems []Problem
	accounts map[conversation.AccountID]AccountState
	restarts int
	crash    *Crash
}

func newHosted(h *Host, spec Spec) *hosted {
	return &hosted{
		id: spec.ID, host: h, log: h.log.With("plugin", spec.ID), meters: h.meters.of(spec.ID), poison: newPoison(),
		identityKey: newKey(),
		reconfigure: make(chan struct{}, 1), upgrades: make(chan *upgradeRequest),
		quit: make(chan struct{}), done: make(chan struct{}),
		launch: launchSpec{spec: spec, pins: h.pins, logLevel: h.opts.LogLevel},
		state:  StateDiscovered, since: time.Now(), changed: make(chan struct{}),
		leases: newLeased(), live: map[string]*generation{}, owned: map[conversation.AccountID]bool{}, accounts: map[conversation.AccountID]AccountState{},
	}
}

// supervise runs until Drain or Close. Only this goroutine starts or ends generations.
func (p *hosted) supervise(ctx context.Context) {
	defer close(p.done)
	defer p.setState(StateStopped, "")
	defer p.retirees.Wait()
	for {
		launch := p.nextLaunch()
		g, err := p.bringUp(ctx, launch)
		if err == nil {
			p.install(g)
			if !p.watch(ctx, g) {
				return
			}
			continue
		}
		if p.leaving(ctx) {
			return
		}
		p.startFailed(g, err)
		if !p.pause(ctx, err) {
			return
		}
	}
}

func (p *hosted) leaving(ctx context.Context) bool {
	select {
	case <-p.quit:
		return true
	default:
		return ctx.Err() != nil
	}
}

func (p *hosted) nextLaunch() launchSpec {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.launch
}

// bringUp starts a generation and takes it to an open session. With an error it also returns what
// is left of the generation, for the report.
func (p *hosted) bringUp(parent context.Context, launch launchSpec) (*generation, error) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	unquit := afterClosed(p.quit, cancel)
	defer unquit()
	g := p.newGeneration(launch)
	err := g.connect(ctx)
	if err == nil {
		p.setStarting(StateConfiguring)
		err = p.configureFirst(ctx, g)
	}
	if err == nil {
		err = g.openSession(ctx)
	}
	if err != nil {
		g.stop(false)
		p.mu.Lock()
		if p.latest == g {
			p.latest = nil
		}
		p.mu.Unlock()
		return g, fmt.Errorf("generation %d: %w", g.number, err)
	}
	return g, nil
}

// afterClosed calls f once c is closed, unless stop is called before.
func afterClosed(c <-chan struct{}, f func()) (stop func()) {
	stopped := make(chan struct{})
	go func() {
		select {
		case <-c:
			f()
		case <-stopped:
		}
	}()
	return func() { close(stopped) }
}

func (p *hosted) newGeneration(launch launchSpec) *generation {
	p.mu.Lock()
	p.number++
	g := &generation{
		p: p, number: p.number, launch: launch, gone: make(chan struct{}), started: time.Now(),
		instance: fmt.Sprintf("%s.%s", p.id, uuid.Must(uuid.NewV7())),
	}
	p.latest = g
	p.mu.Unlock()
	g.log = p.log.With("generation", g.number)
	p.setStarting(StateStarting)
	return g
}

// configError says that a configuration was refused, so only a new configuration helps.
type configError struct{ problems []Problem }

func (e *configError) Error() string {
	return fmt.Sprintf("configuration refused: %d faults, first at %q: %s", len(e.problems), e.problems[0].Path, e.problems[0].Code)
}

// configureFirst gives a new generation its configuration. If the plugin's own settings have
// faults, no session is opened.
func (p *hosted) configureFirst(ctx context.Context, g *generation) error {
	config := p.configuration()
	if err := g.learnPlacements(ctx, &config); err != nil {
		return err
	}
	req, problems := g.request(&config, g.serves)
	if req == nil {
		p.setProblems(problems)
		return &configError{problems}
	}
	more, _, err := g.configure(ctx, req)
	if err != nil {
		return err
	}
	problems = append(problems, more...)
	p.setProblems(problems)
	if own := ownProblems(problems); len(own) > 0 {
		return &configError{own}
	}
	return nil
}

func ownProblems(list []Problem) (own []Problem) {
	for _, p := range list {
		if p.Account.IsZero() {
			own = append(own, p)
		}
	}
	return own
}

// install makes g the generation that gets commands, hooks and HTTP requests.
func (p *hosted) install(g *generation) {
	g.ready = time.Now()
	p.mu.Lock()
	p.cur, p.desc, p.budgets, p.live[g.instance] = g, g.describe, g.budgets, g
	p.notePlacements(g)
	faults := len(p.problems)
	p.mu.Unlock()
	g.tellOff() // a lease may be newer than the session
	if faults > 0 {
		p.setState(StateDegraded, fmt.Sprintf("%d faults in the configuration", faults))
	} else {
		p.setState(StateReady, "")
	}
	g.log.Info("plugin ready", "version", g.describe.GetVersion(), "took", time.Since(g.started).Round(time.Microsecond))
	p.host.opts.Core.PluginReady(p.id, g.instance, g.session)
}

// watch handles a generation until it is over; false: the plugin must stop.
func (p *hosted) watch(ctx context.Context, g *generation) bool {
	for {
		select {
		case <-g.gone:
			p.crashed(g)
			return p.pauseAfterCrash(ctx, g)
		case <-p.reconfigure:
			if p.applyConfig(ctx, g) {
				g = p.replace(ctx, g, nil)
			}
		case req := <-p.upgrades:
			g = p.replace(ctx, g, req)
		case <-p.quit:
			p.setState(StateDraining, "")
			p.retire(g)
			return false
		case <-ctx.Done():
			p.abandon(g)
			return false
		}
		if g == nil {
			return !p.leaving(ctx)
		}
	}
}

// retire drains a generation and stops it gently.
func (p *hosted) retire(g *generation) {
	ctx, cancel := context.WithTimeout(context.Background(), g.drainTime()+endTimeout) // bounded; Close kills the process earlier
	defer cancel()
	stop := context.AfterFunc(p.host.ctx, cancel)
	defer stop()
	p.uninstall(g)
	g.drain(ctx)
	p.forget(g)
	p.settleUp(ctx, g)
	g.stop(true)
}

// abandon ends a generation at once, because the host closes.
func (p *hosted) abandon(g *generation) {
	p.uninstall(g)
	p.forget(g)
	g.session.fail(errFinished)
	<-g.session.done
	g.session.failHooks()
	g.stop(false)
}

func (p *hosted) uninstall(g *generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cur == g {
		p.cur = nil
		p.notify()
	}
}

// forget ends the calls of tools to a generation.
func (p *hosted) forget(g *generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.live, g.instance)
}

// pauseAfterCrash waits before the next start; after a steady generation it does not wait.
func (p *hosted) pauseAfterCrash(ctx context.Context, g *generation) bool {
	if code := exitCodeOf(g); code == contract.ExitConfig || code == contract.ExitVersion {
		return p.pause(ctx, &exitError{plugin: p.id, code: code})
	}
	p.mu.Lock()
	failures := p.failures
	p.mu.Unlock()
	if failures == 0 {
		return !p.leaving(ctx)
	}
	return p.pause(ctx, nil)
}

func exitCodeOf(g *generation) int {
	if g.proc == nil {
		return -1
	}
	code, _ := g.proc.exit()
	return code
}

// pause waits before the next start; false: there will be none. After a refused configuration it
// waits for a new one, after a refused version for the longest time.
func (p *hosted) pause(ctx context.Context, err error) bool {
	var exit *exitError
	var refused *configError
	wait := time.NewTimer(p.backoff())
	defer wait.Stop()
	timeout := wait.C
	switch {
	case errors.As(err, &refused), errors.As(err, &exit) && exit.code == contract.ExitConfig:
		timeout = nil
		p.setState(StateDegraded, "waits for a new configuration: "+err.Error())
	case errors.As(err, &exit) && exit.code == contract.ExitVersion, contract.Reason(err) == contract.ReasonVersion:
		wait.Reset(backoffLast)
		p.setState(StateDegraded, "plugin and gateway have no version of the contract in common")
	default:
		p.mu.Lock()
		reason := p.reason
		p.mu.Unlock()
		p.setState(StateBackoff, reason)
	}
	select {
	case <-timeout:
		return true
	case <-p.reconfigure:
		return true
	case req := <-p.upgrades:
		p.mu.Lock()
		p.launch = req.launch(p.launch)
		p.failures = 0
		p.mu.Unlock()
		req.answer <- nil
		return true
	case <-p.quit:
		return false
	case <-ctx.Done():
		return false
	}
}

// backoff is 0.25 s, doubled with each failure in a row up to 30 s, +-20 %.
func (p *hosted) backoff() time.Duration {
	p.mu.Lock()
	n, last := p.failures, backoffLast
	if p.blaming {
		last = backoffBlaming
	}
	p.mu.Unlock()
	d := min(last, backoffFirst<<min(10, max(0, n-1)))
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // jitter
}

func (p *hosted) setState(s State, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != s {
		p.since = time.Now()
	}
	p.state, p.reason = s, reason
	p.notify()
}

// setStarting shows the state of a start, unless another generation serves meanwhile.
func (p *hosted) setStarting(s State) {
	p.mu.Lock()
	serving := p.cur != nil
	p.mu.Unlock()
	if !serving {
		p.setState(s, "")
	}
}

// notify wakes everything that waits for a change. The caller holds the mutex.
func (p *hosted) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
	p.host.reviewLeases()
}

// awaitSession returns the session that takes hooks. If there is none it waits for the next
// generation.
func (p *hosted) awaitSession(ctx context.Context) (*session, error) {
	for {
		p.mu.Lock()
		g, changed := p.cur, p.changed
		p.mu.Unlock()
		if g != nil && g.session.ctx.Err() == nil {
			return g.session, nil
		}
		select {
		case <-changed:
		case <-p.done:
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: none was within the budget", ErrUnavailable)
		}
	}
}

// described returns the newest Describe answer of a ready generation; nil before the first.
func (p *hosted) described() *pluginv1.DescribeResponse {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.desc
}

func (p *hosted) owns(id conversation.AccountID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owned[id]
}

func (p *hosted) ownedAccounts() []conversation.AccountID {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]conversation.AccountID, 0, len(p.owned))
	for id := range p.owned {
		out = append(out, id)
	}
	return out
}

func (p *hosted) accountStatus(a *pluginv1.AccountStatus) {
	s := AccountState{OK: a.GetOk(), Code: a.GetCode(), Text: a.GetText()}
	if wire.ParseID(&s.ID, a.GetAccount()) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accounts[s.ID] = s
}
