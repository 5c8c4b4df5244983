package auth

import (
	"net/netip"
	"sync"
	"time"

	"github.com/parley-gateway/parley/gateway/limit"
)

// How long somebody who guesses passwords must wait (promises.md 3 Authn,
// ASVS 6.3.1). Nobody is ever refused for good: a right password gets in after
// the wait, and one's own machine is not made to wait for what others do.
const (
	firstWait = 5 * time.Second // of one pair after its free failures; doubled by each further failure
	pairMost  = time.Hour
	pairKeeps = 24 * time.Hour // after so long without a failure a pair has its free ones again

	// An address at which many logins fail, or a login that fails from many
	// addresses, makes those wait who were not seen to get in: once before
	// their first attempt, and after each of their failures.
	ipStep, ipMost, ipForgets          = time.Second, time.Minute, 0.05           // failures a second
	loginStep, loginMost, loginForgets = 15 * time.Second, 15 * time.Minute, 0.01 // failures a second

	maxPairs = 50_000 // remembered twice at most, some 150 bytes each
	maxHeats = 20_000
)

// source is where attempts come from: a device known for the login, a session
// (a change of the password), or else an address.
type source struct {
	ip netip.Addr // limit.Address
	id [16]byte   // of the device or the session; zero for an address
}

// known reports whether the source had the password before: it waits for
// nobody's failures but its own.
func (s source) known() bool { return s.id != [16]byte{} }

// pairKey is a login, known or not, as seen from one source.
type pairKey struct {
	login string
	from  source
}

// pair is what happened between one login and one source.
type pair struct {
	failures int
	failed   time.Time // the last time
	// until is when the next attempt is let through; zero: at once, unless
	// address or login are under attack. A time in the past is a wait that is
	// over, so that it is not asked for again.
	until time.Time
	gotIn bool // the login got in from here before
}

// heat counts failures and forgets them in time.
type heat struct {
	level float64
	at    time.Time
}

func (h *heat) add(n float64, forgets, most float64, now time.Time) {
	h.level = min(max(h.level-now.Sub(h.at).Seconds()*forgets, 0)+n, most)
	h.at = now
}

// over is by how many failures the free ones are exceeded.
func (h *heat) over(free int, forgets float64, now time.Time) float64 {
	return max(h.level-now.Sub(h.at).Seconds()*forgets-float64(free), 0)
}

// guard says who may try a password now. What it does depends on names and
// sources alone, never on whether a login exists. Safe for concurrent use.
type guard struct {
	perPair, perIP, perLogin int // failures that cost nothing

	mu     sync.Mutex
	pairs  *limit.Recent[pairKey, *pair]
	ips    *limit.Recent[netip.Addr, *heat]
	logins *limit.Recent[string, *heat]
}

func newGuard(perPair, perIP, perLogin int) *guard {
	return &guard{
		perPair: perPair, perIP: perIP, perLogin: perLogin,
		pairs: limit.NewRecent[pairKey, *pair](maxPairs),
		ips:   limit.NewRecent[netip.Addr, *heat](maxHeats), logins: limit.NewRecent[string, *heat](maxHeats),
	}
}

// Reasons to wait, the label of the counter.
const (
	waitPair  = "pair"
	waitIP    = "address"
	waitLogin = "login"
)

// attempt is a password about to be checked. It counts as a failure from its
// start, so that many at once gain nothing; exactly one of succeeded,
// unchecked and nothing follows.
type attempt struct {
	g   *guard
	key pairKey
	at  time.Time
}

// begin lets an attempt through, or says for how long it must wait, and why.
func (g *guard) begin(login string, from source, now time.Time) (_ attempt, wait time.Duration, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := pairKey{login, from}
	p := g.pair(key)
	if now.Sub(p.failed) > pairKeeps {
		p.failures = 0
	}
	if wait := p.until.Sub(now); wait > 0 {
		return attempt{}, wait, waitPair
	}
	if p.until.IsZero() {
		if wait, why := g.heated(key, p, now); wait > 0 {
			p.until = now.Add(wait)
			return attempt{}, wait, why
		}
	}
	p.failures++
	p.failed = now
	if !from.known() {
		ip, name := g.heats(key)
		ip.add(1, ipForgets, float64(g.perIP)+ipMost.Seconds()/ipStep.Seconds(), now)
		name.add(1, loginForgets, float64(g.perLogin)+loginMost.Seconds()/loginStep.Seconds(), now)
	}
	wait, _ = g.heated(key, p, now)
	if n := p.failures - g.perPair; n >= 0 {
		own := pairMost
		if n < 16 {
			own = min(firstWait<<n, pairMost)
		}
		wait = max(wait, own)
	}
	p.until = time.Time{}
	if wait > 0 {
		p.until = now.Add(wait)
	}
	return attempt{g, key, now}, 0, ""
}

// heated is how long a pair must wait because of what others do.
func (g *guard) heated(key pairKey, p *pair, now time.Time) (wait time.Duration, why string) {
	if key.from.known() || p.gotIn {
		return 0, ""
	}
	ip, name := g.heats(key)
	byIP := time.Duration(ip.over(g.perIP, ipForgets, now) * float64(ipStep))
	byLogin := time.Duration(name.over(g.perLogin, loginForgets, now) * float64(loginStep))
	if byLogin > byIP {
		return byLogin, waitLogin
	}
	return byIP, waitIP
}

func (g *guard) pair(key pairKey) *pair { return g.pairs.Get(key, func() *pair { return &pair{} }) }

func (g *guard) heats(key pairKey) (ip, login *heat) {
	cold := func() *heat { return &heat{} }
	return g.ips.Get(key.from.ip, cold), g.logins.Get(key.login, cold)
}

// succeeded forgets the failures of the pair: the password was right.
func (t attempt) succeeded() {
	t.takeBack(func(p *pair) { p.failures, p.until, p.gotIn = 0, time.Time{}, true })
}

// unchecked takes the attempt back: nobody learnt anything from it.
func (t attempt) unchecked() {
	t.takeBack(func(p *pair) { p.failures, p.until = max(p.failures-1, 0), t.at })
}

func (t attempt) takeBack(fn func(*pair)) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	fn(t.g.pair(t.key))
	if !t.key.from.known() {
		ip, login := t.g.heats(t.key)
		ip.level, login.level = max(ip.level-1, 0), max(login.level-1, 0)
	}
}
