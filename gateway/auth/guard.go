package auth

import (
	"hash/maphash"
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

	// Each of these is remembered twice at most.
	maxPairs    = 50_000 // some 150 bytes each
	maxHeats    = 20_000
	maxNetworks = 4_000 // whose strangers wait, up to maxWaits of each, some 40 bytes a wait
	maxWaits    = 64
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
	// address or login are under attack. A time in the past is a wait after a
	// failure that is over, so that it is not asked for again.
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

// over is by how many failures the free ones are exceeded; nil: there were none.
func (h *heat) over(free int, forgets float64, now time.Time) float64 {
	if h == nil {
		return 0
	}
	return max(h.level-now.Sub(h.at).Seconds()*forgets-float64(free), 0)
}

// guard says who may try a password now. What it does depends on names and
// sources alone, never on whether a login exists. Safe for concurrent use.
type guard struct {
	perPair, perIP, perLogin int // failures that cost nothing

	mu     sync.Mutex
	pairs  *limit.Recent[pairKey, *pair] // with a failure or a login
	ips    *limit.Recent[netip.Addr, *heat]
	logins *limit.Recent[string, *heat]
	// waits is until when strangers wait because of others' failures, by their
	// network and the hash of their pair. A name that is only told to wait costs
	// the sender nothing, so he can send very many: those displace waits of his
	// own network, never a pair, a heat or the wait of somebody elsewhere.
	waits *limit.Recent[netip.Addr, *limit.Recent[uint64, time.Time]]
	seed  maphash.Seed
}

func newGuard(perPair, perIP, perLogin int) *guard {
	return &guard{
		perPair: perPair, perIP: perIP, perLogin: perLogin,
		pairs: limit.NewRecent[pairKey, *pair](maxPairs),
		ips:   limit.NewRecent[netip.Addr, *heat](maxHeats), logins: limit.NewRecent[string, *heat](maxHeats),
		waits: limit.NewRecent[netip.Addr, *limit.Recent[uint64, time.Time]](maxNetworks), seed: maphash.MakeSeed(),
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
	g      *guard
	key    pairKey
	at     time.Time
	until  time.Time // of the pair before
	waited bool      // because of others' failures
}

// begin lets an attempt through, or says for how long it must wait, and why.
func (g *guard) begin(login string, from source, now time.Time) (_ attempt, wait time.Duration, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	try := attempt{g: g, key: pairKey{login, from}, at: now}
	p, seen := g.pairs.Find(try.key)
	if !seen {
		p = &pair{}
	}
	if now.Sub(p.failed) > pairKeeps {
		p.failures = 0
	}
	if wait := p.until.Sub(now); wait > 0 {
		return attempt{}, wait, waitPair
	}
	if p.until.IsZero() {
		if wait, why := g.heated(try.key, p, now); wait > 0 {
			if left := g.wait(try.key, wait, now); left > 0 {
				return attempt{}, left, why
			}
			try.waited = true
		}
	}
	if !seen {
		g.pairs.Get(try.key, func() *pair { return p })
	}
	try.until = p.until
	p.failures++
	p.failed = now
	if !from.known() {
		cold := func() *heat { return &heat{} }
		ip, name := g.ips.Get(from.ip, cold), g.logins.Get(login, cold)
		ip.add(1, ipForgets, float64(g.perIP)+ipMost.Seconds()/ipStep.Seconds(), now)
		name.add(1, loginForgets, float64(g.perLogin)+loginMost.Seconds()/loginStep.Seconds(), now)
	}
	wait, _ = g.heated(try.key, p, now)
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
	return try, 0, ""
}

// wait is how long a stranger must still wait because of what others do: what
// it was told first, however often it asks. A wait that is over is taken back.
func (g *guard) wait(key pairKey, wait time.Duration, now time.Time) (left time.Duration) {
	waits := g.waitsOf(key)
	hash := maphash.Comparable(g.seed, key)
	until := waits.Get(hash, func() time.Time { return now.Add(wait) })
	if left = until.Sub(now); left <= 0 {
		waits.Delete(hash)
	}
	return left
}

// waitsOf are the waits in the network of an address. One owner can send from
// all /64 networks of an IPv6 /48, so these share their waits.
func (g *guard) waitsOf(key pairKey) *limit.Recent[uint64, time.Time] {
	network := key.from.ip
	if network.Is6() {
		if p, err := network.Prefix(48); err == nil {
			network = p.Addr()
		}
	}
	return g.waits.Get(network, func() *limit.Recent[uint64, time.Time] {
		return limit.NewRecent[uint64, time.Time](maxWaits)
	})
}

// heated is how long a pair must wait because of what others do.
func (g *guard) heated(key pairKey, p *pair, now time.Time) (wait time.Duration, why string) {
	if key.from.known() || p.gotIn {
		return 0, ""
	}
	ip, _ := g.ips.Find(key.from.ip)
	name, _ := g.logins.Find(key.login)
	byIP := time.Duration(ip.over(g.perIP, ipForgets, now) * float64(ipStep))
	byLogin := time.Duration(name.over(g.perLogin, loginForgets, now) * float64(loginStep))
	if byLogin > byIP {
		return byLogin, waitLogin
	}
	return byIP, waitIP
}

// succeeded forgets the failures of the pair: the password was right.
func (t attempt) succeeded() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	p := t.g.pairs.Get(t.key, func() *pair { return &pair{} })
	p.failures, p.until, p.gotIn = 0, time.Time{}, true
	t.cool()
}

// unchecked takes the attempt back: nobody learnt anything from it. It leaves
// nothing that was not there before, since a flood of such attempts is cheap.
func (t attempt) unchecked() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if p, ok := t.g.pairs.Find(t.key); ok {
		p.failures, p.until = max(p.failures-1, 0), t.until
		if p.failures == 0 && !p.gotIn {
			t.g.pairs.Delete(t.key)
		}
	}
	if t.waited { // it need not wait again
		t.g.waitsOf(t.key).Get(maphash.Comparable(t.g.seed, t.key), func() time.Time { return t.at })
	}
	t.cool()
}

// cool takes the attempt's part back from the heats. The caller holds the mutex.
func (t attempt) cool() {
	if t.key.from.known() {
		return
	}
	if ip, ok := t.g.ips.Find(t.key.from.ip); ok {
		if ip.level = max(ip.level-1, 0); ip.level == 0 {
			t.g.ips.Delete(t.key.from.ip)
		}
	}
	if login, ok := t.g.logins.Find(t.key.login); ok {
		if login.level = max(login.level-1, 0); login.level == 0 {
			t.g.logins.Delete(t.key.login)
		}
	}
}
