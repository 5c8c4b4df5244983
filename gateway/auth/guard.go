package auth

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/parley-gateway/parley/gateway/limit"
)

// How long somebody who guesses passwords must wait (promises.md 3 Authn, ASVS 6.3.1). Nobody is
// locked out for good: the right password is accepted after the wait, and a device that logged in
// before does not wait because of what others do.
const (
	firstWait = 5 * time.Second // wait of a pair after its free failures; each further failure doubles it
	pairMost  = time.Hour
	pairKeeps = 24 * time.Hour // after so long without a failure a pair has its free failures again

	// When many logins fail at one address, or one login fails from many addresses, sources that
	// have never logged in successfully must wait: once before their first attempt, and after each
	// of their failures.
	ipStep, ipMost, ipForgets          = time.Second, time.Minute, 0.05           // forgotten failures a second
	loginStep, loginMost, loginForgets = 15 * time.Second, 15 * time.Minute, 0.01 // forgotten failures a second

	// limit.Recent keeps up to twice as many of each.
	maxPairs    = 50_000 // some 150 bytes of memory each
	maxHeats    = 20_000
	maxNetworks = 4_000 // networks whose strangers wait, with up to maxWaits waits each of some 40 bytes
	maxWaits    = 64
)

// source is where login attempts come from: a device known for the login, a session (which changes
// its password), or else an address.
type source struct {
	ip netip.Addr // as limit.Address returns it
	id [16]byte   // of the device or the session; zero for an address
}

// known reports whether the source had the right password before: then only its own failures make
// it wait.
func (s source) known() bool { return s.id != [16]byte{} }

// pairKey is a login, known or not, as seen from one source.
type pairKey struct {
	login string
	from  source
}

// pair records the attempts of one login from one source.
type pair struct {
	failures int
	failed   time.Time // when it last failed
	// until is when the next attempt is let through; zero: at once, unless the address or the login
	// is under attack. A time in the past is a wait after a failure that is over, so that the pair
	// need not wait for the same failure again.
	until time.Time
	gotIn bool // the login has succeeded from this source before
}

// heat counts failures, and forgets them at a constant rate.
type heat struct {
	level float64
	at    time.Time
}

func (h *heat) add(n float64, forgets, most float64, now time.Time) {
	h.level = min(max(h.level-now.Sub(h.at).Seconds()*forgets, 0)+n, most)
	h.at = now
}

// over is how many failures exceed the free ones; 0 if h is nil, which means no failures.
func (h *heat) over(free int, forgets float64, now time.Time) float64 {
	if h == nil {
		return 0
	}
	return max(h.level-now.Sub(h.at).Seconds()*forgets-float64(free), 0)
}

// guard decides who may try a password now. Its decision depends on names and sources alone, never
// on whether a login exists. Safe for concurrent use.
type guard struct {
	perPair, perIP, perLogin int // failures that cause no wait

	mu     sync.Mutex
	pairs  *limit.Recent[pairKey, *pair] // pairs that have failed or logged in
	ips    *limit.Recent[netip.Addr, *heat]
	logins *limit.Recent[string, *heat]
	// waits holds until when strangers wait because of others' failures, by their network and the
	// hash of their pair. An attempt that is only told to wait costs its sender nothing, so very
	// many can be sent: they displace only waits of the sender's own network, never a pair, a heat
	// or a wait of another network.
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

// Reasons to wait, used as a label of the counter.
const (
	waitPair  = "pair"
	waitIP    = "address"
	waitLogin = "login"
)

// attempt is a password about to be checked. It counts as a failure from its start, so that many
// attempts at once gain nothing. The caller calls succeeded when the password was right, unchecked
// when it was not checked, and neither when it was wrong.
type attempt struct {
	g      *guard
	key    pairKey
	at     time.Time
	until  time.Time // the pair's wait before this attempt
	waited bool      // it has waited because of others' failures
}

// begin lets an attempt through, or returns how long it must wait and for which reason.
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

// wait is how long a stranger must still wait because of others' failures: the time that it was
// told first, however often it asks. A wait that is over is removed.
func (g *guard) wait(key pairKey, wait time.Duration, now time.Time) (left time.Duration) {
	waits := g.waitsOf(key)
	hash := maphash.Comparable(g.seed, key)
	until := waits.Get(hash, func() time.Time { return now.Add(wait) })
	if left = until.Sub(now); left <= 0 {
		waits.Delete(hash)
	}
	return left
}

// waitsOf returns the waits in the network of an address. All /64 networks of an IPv6 /48 share
// their waits, because one owner can send from all of them.
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

// heated is how long a pair must wait because of others' failures, and why.
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

// succeeded forgets the pair's failures, because the password was right.
func (t attempt) succeeded() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	p := t.g.pairs.Get(t.key, func() *pair { return &pair{} })
	p.failures, p.until, p.gotIn = 0, time.Time{}, true
	t.cool()
}

// unchecked undoes an attempt whose password was not checked, since its sender learned nothing. It
// leaves no record that was not there before: such attempts are cheap, so a flood of them must not
// fill the memory.
func (t attempt) unchecked() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if p, ok := t.g.pairs.Find(t.key); ok {
		p.failures, p.until = max(p.failures-1, 0), t.until
		if p.failures == 0 && !p.gotIn {
			t.g.pairs.Delete(t.key)
		}
	}
	if t.waited { // the pair keeps a record that it has waited, so that it need not wait again
		t.g.waitsOf(t.key).Get(maphash.Comparable(t.g.seed, t.key), func() time.Time { return t.at })
	}
	t.cool()
}

// cool removes this attempt from the heat counters. The caller holds the mutex.
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
