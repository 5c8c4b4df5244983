package pluginhost

import (
	"context"
	"fmt"
	"time"
)

// upgradeWatch is how long an upgraded plugin is watched: if it crashes within this time, the old
// program is started again.
const upgradeWatch = 30 * time.Second

// upgradeGrace is how long a new generation may still take to become ready after the old one has
// ended by itself.
const upgradeGrace = 500 * time.Millisecond

// upgradeRequest asks for a new generation of another program, or, with a nil spec, of the same
// program (a restart without a gap).
type upgradeRequest struct {
	spec   *Spec
	answer chan error
}

func (r *upgradeRequest) launch(old launchSpec) launchSpec {
	if r == nil || r.spec == nil {
		return old
	}
	return launchSpec{spec: *r.spec, pins: old.pins, logLevel: old.logLevel}
}

func (r *upgradeRequest) reply(err error) {
	if r != nil {
		r.answer <- err
	}
}

// replace puts a new generation in the place of old and returns the one that serves afterwards: old
// if the new one did not become ready, nil if none serves. A nil req restarts the same program.
func (p *hosted) replace(ctx context.Context, old *generation, req *upgradeRequest) *generation {
	before := p.nextLaunch()
	next := req.launch(before)
	if old.describe.GetExclusive() {
		return p.replaceExclusive(ctx, old, req, before, next)
	}
	start, cancel := context.WithCancel(ctx)
	defer cancel()
	// If the old generation has ended, a new one that hangs must not keep the old program from
	// being started again (PR9).
	defer afterClosed(old.gone, func() { time.AfterFunc(upgradeGrace, cancel) })()
	g, err := p.bringUp(start, next)
	if err == nil {
		err = awaitPong(start, g)
		if err != nil {
			g.stop(false)
		}
	}
	if err != nil {
		p.log.Error("upgrade failed, the old generation stays", "err", err)
		req.reply(fmt.Errorf("upgrade plugin %s: %w", p.id, err))
		return old
	}
	if old.over() { // it ended while the new one started
		p.crashed(old)
		p.remember(old, req, before, next)
		p.install(g)
	} else {
		p.remember(old, req, before, next)
		p.install(g)
		p.retirees.Go(func() { p.retire(old) })
	}
	req.reply(nil)
	return g
}

// replaceExclusive is for plugins that must not run twice at the same time. During the gap commands
// wait in the outbox, and hooks in the waiting room.
func (p *hosted) replaceExclusive(ctx context.Context, old *generation, req *upgradeRequest, before, next launchSpec) *generation {
	p.setState(StateDraining, "")
	p.remember(old, req, before, next)
	p.retire(old)
	g, err := p.bringUp(ctx, next)
	if err == nil {
		p.install(g)
		req.reply(nil)
		return g
	}
	if p.leaving(ctx) {
		req.reply(ErrClosed)
		return nil
	}
	p.log.Error("upgrade failed, the old program comes back", "err", err)
	req.reply(fmt.Errorf("upgrade plugin %s: %w", p.id, err))
	p.startFailed(g, err)
	return nil
}

// remember makes next the program to start from now on, and keeps the old program for a while if it
// is a different one.
func (p *hosted) remember(old *generation, req *upgradeRequest, before, next launchSpec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.launch = next
	if req == nil || req.spec == nil {
		return
	}
	if p.fallback != nil && p.fallback.kept != nil {
		p.fallback.kept.close()
	}
	if old.exe != nil {
		before.kept, old.exe = old.exe, nil
	}
	p.fallback, p.backTill = &before, time.Now().Add(upgradeWatch)
}

func awaitPong(ctx context.Context, g *generation) error {
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	select {
	case <-g.session.ponged:
		return nil
	case <-g.gone:
		return fmt.Errorf("first ping: %w", ErrGone)
	case <-ctx.Done():
		return fmt.Errorf("first ping: %w", ctx.Err())
	}
}

// askUpgrade gives a request to the supervisor and waits for the outcome.
func (p *hosted) askUpgrade(ctx context.Context, spec *Spec) error {
	req := &upgradeRequest{spec: spec, answer: make(chan error, 1)}
	select {
	case p.upgrades <- req:
	case <-p.done:
		return fmt.Errorf("upgrade plugin %s: %w", p.id, ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("upgrade plugin %s: %w", p.id, ctx.Err())
	}
	select {
	case err := <-req.answer:
		return err
	case <-p.done:
		return fmt.Errorf("upgrade plugin %s: %w", p.id, ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("upgrade plugin %s: %w", p.id, ctx.Err())
	}
}
