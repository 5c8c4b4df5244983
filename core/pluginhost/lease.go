package pluginhost

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Leases hold the accounts that one node at a time may serve (core/nodes.Leases). Safe for
// concurrent use.
type Leases interface {
	// Want asks for an account that this node can serve now.
	Want(id [16]byte)
	// Unwant gives an account up, which nothing on this node serves any more.
	Unwant(id [16]byte)
	// Held reports whether this node may serve an account now. After it has become false, other
	// nodes do not serve the account for at least 5 s.
	Held(id [16]byte) bool
	// Left returns for how long from now no other node serves an account; 0 or less: another node may.
	Left(id [16]byte) time.Duration
	// Since returns since when this node may serve an account without a gap, also one that nobody saw;
	// zero: it may not now.
	Since(id [16]byte) time.Time
	// Changes gets a token within 250 ms after an answer of Held or Since has changed.
	Changes() <-chan struct{}
}

const (
	// giveUpWithin is how long a generation may go on with an account that this node holds no more,
	// until a Configure that switches the account off has been answered. Then the process is killed,
	// since 5 s after the loss another node may serve the account.
	giveUpWithin = 3 * time.Second
	// keepDown is how long a plugin that is not running keeps its accounts, so that a restart does not
	// move them to another node.
	keepDown = 5 * time.Second
)

// placement is what a plugin said of an account with certain settings.
type placement struct {
	plugin, settings json.RawMessage // the plugin's settings and the account's
	one              bool            // one node at a time serves the account
}

// leased is what a plugin has to do with leases. Guarded by hosted.mu.
type leased struct {
	one     map[conversation.AccountID]bool     // of the newest ready generation: accounts for one node at a time
	wanted  map[conversation.AccountID]struct{} // those that the leases were asked for
	held    map[conversation.AccountID]held     // those that the configuration's revision counts as held
	running map[*generation]struct{}            // generations whose process was configured and has not ended
	down    time.Time                           // since when no generation is ready; zero = one is
}

// held is a lease that this node has. After a gap in it the process may have the account on standby by
// itself, so that it is another one.
type held struct {
	since    time.Time
	revision uint64 // the first one of the configuration that counts it
}

// offs are the accounts for one node that are off at a process.
type offs struct {
	mu       sync.Mutex                          // taken before hosted.mu
	accepted map[conversation.AccountID]struct{} // off in the last accepted Configure; replaced as a whole
	asked    map[conversation.AccountID]struct{} // off in one that is not answered or failed; replaced as a whole
	revision uint64                              // of the last accepted Configure
}

func newLeased() leased {
	return leased{
		wanted: map[conversation.AccountID]struct{}{}, held: map[conversation.AccountID]held{}, running: map[*generation]struct{}{},
	}
}

// reviewLeases makes followLeases look at all plugins soon.
func (h *Host) reviewLeases() {
	select {
	case h.review <- struct{}{}:
	default:
	}
}

// followLeases wants and gives up the leases of all plugins' accounts, lets plugins be configured
// anew when what this node holds changes, and ends generations that do not give up an account in
// time. It does not depend on supervisors, which may be waiting for a plugin.
func (h *Host) followLeases() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		h.mu.Lock()
		plugins := h.list()
		h.mu.Unlock()
		again := time.Hour
		for _, p := range plugins {
			again = min(again, p.followLeases(time.Now()))
		}
		timer.Reset(again)
		select {
		case <-h.ctx.Done():
			return
		case <-h.opts.Leases.Changes():
		case <-h.review:
		case <-timer.C:
		}
	}
}

// followLeases looks at one plugin, and returns after what time to look again.
func (p *hosted) followLeases(now time.Time) (again time.Duration) {
	p.mu.Lock()
	again = p.wantLeases(now)
	holds := map[conversation.AccountID]held{}
	changed := false
	for id := range p.leases.wanted {
		since := p.host.opts.Leases.Since(id)
		if since.IsZero() {
			continue
		}
		one, ok := p.leases.held[id]
		if !ok || !one.since.Equal(since) {
			one, changed = held{since: since, revision: p.config.revision + 1}, true
		}
		holds[id] = one
	}
	var live []*generation
	if changed = changed || len(holds) != len(p.leases.held); changed {
		p.leases.held = holds
		p.config.revision++
		live = slices.Collect(maps.Values(p.live))
	}
	late, wait := p.lateGenerations(now)
	var ready []*generation
	for _, g := range late {
		if p.live[g.instance] == g {
			ready = append(ready, g)
		}
	}
	p.mu.Unlock()
	for _, g := range live {
		g.tellOff()
	}
	if changed {
		select {
		case p.reconfigure <- struct{}{}:
		default:
		}
	}
	for _, g := range late {
		g.log.Error("killed a plugin", "err", errLease)
		if slices.Contains(ready, g) {
			g.session.fail(errLease)
		}
		g.kill()
		if g.proc == nil {
			g.markGone()
		}
	}
	return min(again, wait)
}

// wantLeases asks for the leases of accounts that the ready generation can serve, and gives up those
// that nobody serves any more. It returns after what time to look again. The caller holds the mutex.
func (p *hosted) wantLeases(now time.Time) (again time.Duration) {
	again = time.Hour
	want := map[conversation.AccountID]struct{}{}
	keep := false // while the plugin is restarted
	if p.cur != nil {
		p.leases.down = time.Time{}
		for _, a := range p.config.accounts {
			if a.Enabled && p.leases.one[a.ID] {
				want[a.ID] = struct{}{}
			}
		}
		for _, fault := range p.problems {
			delete(want, fault.Account)
		}
	} else {
		if p.leases.down.IsZero() {
			p.leases.down = now
		}
		select {
		case <-p.quit:
		default:
			left := keepDown - now.Sub(p.leases.down)
			if keep = left > 0; keep {
				again = left
			}
		}
	}
	for id := range p.leases.wanted {
		_, still := want[id]
		if still || keep || p.mayBeServing(id) {
			continue
		}
		delete(p.leases.wanted, id)
		p.host.opts.Leases.Unwant(id)
	}
	for id := range want {
		if _, ok := p.leases.wanted[id]; !ok {
			p.leases.wanted[id] = struct{}{}
			p.host.opts.Leases.Want(id)
		}
	}
	return again
}

// mayBeServing reports whether a process may be serving an account for one node. The caller holds
// the mutex.
func (p *hosted) mayBeServing(id conversation.AccountID) bool {
	for g := range p.leases.running {
		if _, ok := g.serving[id]; ok {
			return true
		}
	}
	return false
}

// lateGenerations returns those that may be serving, for longer than they may, an account that this
// node does not hold, and after what time to look again. The caller holds the mutex.
func (p *hosted) lateGenerations(now time.Time) (late []*generation, again time.Duration) {
	again = time.Hour
	for g := range p.leases.running {
		lapsed := false
		for id := range g.serving {
			lapsed = lapsed || !p.host.opts.Leases.Held(id)
		}
		if g.killed {
			continue
		}
		switch {
		case !lapsed:
			g.lapsed = time.Time{}
			continue
		case g.lapsed.IsZero():
			g.lapsed = now
		}
		if left := giveUpWithin - now.Sub(g.lapsed); left > 0 {
			again = min(again, left)
		} else {
			g.killed = true
			late = append(late, g)
		}
	}
	return late, again
}

// learnPlacements asks the plugin which accounts one node at a time serves, before any of them is
// enabled: an account that this node does not hold must not be enabled for a moment either. Accounts
// with faults stay unknown, and with them off.
func (g *generation) learnPlacements(ctx context.Context, c *configuration) error {
	if g.p.host.opts.Leases == nil {
		return nil
	}
	placed := map[conversation.AccountID]placement{}
	known := true
	for _, a := range c.accounts {
		one := placement{plugin: c.settings, settings: a.Settings, one: g.describe.GetSingleNode()}
		if was, ok := g.placed[a.ID]; ok && bytes.Equal(was.plugin, one.plugin) && bytes.Equal(was.settings, one.settings) {
			one = was
		} else if known = known && !a.Enabled; a.Enabled && wire.Minor(g.describe) > 0 {
			continue
		}
		placed[a.ID] = one
	}
	g.placed = placed
	if known || wire.Minor(g.describe) == 0 { // minor 0 has no traits
		return nil
	}
	req, _ := g.request(c, g.serves) // of the accounts that are not known yet, none is enabled
	if req == nil {
		return nil // the faults are found again
	}
	req.ValidateOnly = true
	for {
		faults, resp, err := g.askConfigure(ctx, req)
		switch {
		case err != nil:
			return err
		case len(ownProblems(faults)) > 0:
			return nil // found again
		case len(faults) > 0:
			if err := leaveOut(req, faults); err != nil {
				return err
			}
			continue
		}
		return g.place(c, req.GetAccounts(), resp.GetAccounts())
	}
}

// place keeps the placements that a plugin gave in answer to a Configure with the accounts in asked.
func (g *generation) place(c *configuration, asked []*pluginv1.Account, list []*pluginv1.AccountTraits) error {
	traits, err := wire.Traits(g.describe, asked, list)
	if err != nil {
		return fmt.Errorf("%w: configure: plugin %s: %w", errProtocol, g.p.id, err)
	}
	info := g.info
	info.Accounts = traits
	for _, a := range c.accounts {
		if slices.ContainsFunc(asked, func(x *pluginv1.Account) bool { return x.GetId() == a.ID.String() }) {
			g.placed[a.ID] = placement{plugin: c.settings, settings: a.Settings, one: info.OneNodeOf(a.ID)}
		}
	}
	return nil
}

// serves reports whether this node may serve an account now.
func (g *generation) serves(id conversation.AccountID) bool {
	if g.p.host.opts.Leases == nil {
		return true
	}
	placed, known := g.placed[id]
	return known && (!placed.one || g.p.host.opts.Leases.Held(id))
}

// mayServe notes which accounts for one node the process may serve from now on: those of a Configure
// that is about to be asked for, or, once it is accepted, these only. Of an accepted one it takes
// the placements too: a plugin may say of an enabled account what it did not say before.
func (g *generation) mayServe(req *pluginv1.ConfigureRequest, accepted bool) {
	if g.p.host.opts.Leases == nil {
		return
	}
	var enabled []conversation.AccountID
	off := map[conversation.AccountID]struct{}{}
	strayed := false
	for _, a := range req.GetAccounts() {
		var id conversation.AccountID
		if wire.ParseID(&id, a.GetId()) != nil {
			continue
		}
		placed := g.placed[id]
		if accepted {
			if one := g.info.OneNodeOf(id); one != placed.one && (one || a.GetEnabled()) {
				strayed = strayed || one && a.GetEnabled()
				placed.one = one
				g.placed[id] = placed
			}
		}
		switch {
		case !placed.one:
		case a.GetEnabled():
			enabled = append(enabled, id)
		default:
			off[id] = struct{}{}
		}
	}
	g.off.mu.Lock()
	if accepted {
		g.off.accepted, g.off.asked, g.off.revision = off, nil, req.GetRevision()
	} else {
		g.off.asked = off
	}
	g.off.mu.Unlock()
	g.tellOff()
	g.p.mu.Lock()
	if accepted || g.serving == nil {
		g.serving = map[conversation.AccountID]struct{}{}
	}
	for _, id := range enabled {
		g.serving[id] = struct{}{}
	}
	g.p.leases.running[g] = struct{}{}
	g.p.mu.Unlock()
	g.p.host.reviewLeases()
	if strayed {
		g.log.Warn("the plugin said only of an enabled account that one node at a time serves it")
		select {
		case g.p.reconfigure <- struct{}{}:
		default:
		}
	}
}

// serveFor returns for how long from now the process may serve all accounts for one node that it may
// be serving; 0 = without bound.
func (g *generation) serveFor() time.Duration {
	if g.p.host.opts.Leases == nil {
		return 0
	}
	g.p.mu.Lock()
	defer g.p.mu.Unlock()
	left := time.Duration(0)
	for id := range g.serving {
		if d := max(time.Millisecond, g.p.host.opts.Leases.Left(id)); left == 0 || d < left {
			left = d
		}
	}
	return left
}

// tellOff tells the session which accounts for one node are off at the process, so that it is sent no
// commands of them: it would refuse them for good.
func (g *generation) tellOff() {
	if g.session == nil || g.p.host.opts.Leases == nil {
		return
	}
	g.off.mu.Lock()
	defer g.off.mu.Unlock()
	g.session.setOff(g.offNow())
}

// offNow returns the accounts for one node that are, or may be, off at the process. Those whose lease
// is newer than the last accepted Configure may be. The caller holds off.mu, or the generation has no session.
func (g *generation) offNow() map[conversation.AccountID]struct{} {
	list := map[conversation.AccountID]struct{}{}
	maps.Copy(list, g.off.accepted)
	maps.Copy(list, g.off.asked)
	g.p.mu.Lock()
	defer g.p.mu.Unlock()
	for id, one := range g.p.leases.held {
		if one.revision > g.off.revision {
			list[id] = struct{}{}
		}
	}
	return list
}

// servesNothing is called when the process has ended.
func (g *generation) servesNothing() {
	g.p.mu.Lock()
	delete(g.p.leases.running, g)
	g.p.mu.Unlock()
	g.p.host.reviewLeases()
}

// notePlacements makes the placements of a generation those of the plugin. The caller holds the
// mutex.
func (p *hosted) notePlacements(g *generation) {
	p.leases.one = map[conversation.AccountID]bool{}
	for id, placed := range g.placed {
		p.leases.one[id] = placed.one
	}
	p.host.reviewLeases()
}

// oneNodeAccounts lists the enabled accounts for one node. The caller holds the mutex.
func (p *hosted) oneNodeAccounts() (list []OneNodeAccount) {
	if p.host.opts.Leases == nil || p.cur == nil {
		return nil
	}
	for _, a := range p.config.accounts {
		if a.Enabled && p.leases.one[a.ID] {
			list = append(list, OneNodeAccount{ID: a.ID, Here: p.host.opts.Leases.Held(a.ID)})
		}
	}
	slices.SortFunc(list, func(a, b OneNodeAccount) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return list
}

// refusedAsDisabled reports whether a plugin may have refused a webhook only because the account is
// off on this node: a plugin of minor 0 knows no accounts on standby. The carrier is then asked to
// send the webhook again, which may reach the node that serves the account.
func (p *hosted) refusedAsDisabled(account conversation.AccountID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.host.opts.Leases != nil && wire.Minor(p.desc) == 0 && p.leases.one[account] && !p.host.opts.Leases.Held(account)
}
