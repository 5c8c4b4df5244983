package limit

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rates is a token bucket for each key. The zero value is not usable; see
// NewRates. Safe for concurrent use.
type Rates[K comparable] struct {
	perSecond rate.Limit
	burst     int

	mu      sync.Mutex
	buckets *Recent[K, *rate.Limiter]
}

// NewRates gives each key perSecond events per second and bursts of burst
// events. At most 2*max keys are remembered. perSecond <= 0 allows everything.
func NewRates[K comparable](perSecond float64, burst, max int) *Rates[K] {
	return &Rates[K]{perSecond: rate.Limit(perSecond), burst: burst, buckets: NewRecent[K, *rate.Limiter](max)}
}

// Allow takes one token of key's bucket at now and reports whether there was one.
func (r *Rates[K]) Allow(key K, now time.Time) bool {
	if r == nil || r.perSecond <= 0 {
		return true
	}
	return r.bucket(key).AllowN(now, 1)
}

func (r *Rates[K]) bucket(key K) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buckets.Get(key, func() *rate.Limiter { return rate.NewLimiter(r.perSecond, r.burst) })
}

// Len is the number of keys remembered.
func (r *Rates[K]) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buckets.Len()
}

// Conns counts what is open at once, per key and in total. A key with nothing open is forgotten, so
// the total bounds the memory. Safe for concurrent use.
type Conns[K comparable] struct {
	perKey, total int

	mu   sync.Mutex
	open map[K]int
	n    int
}

// NewConns allows perKey at once for each key and total in all; 0 = no limit.
func NewConns[K comparable](perKey, total int) *Conns[K] {
	return &Conns[K]{perKey: perKey, total: total, open: map[K]int{}}
}

// Outcome tells whether, or why not, something may be opened.
type Outcome int

// Outcomes of Acquire.
const (
	OK Outcome = iota
	KeyFull
	TotalFull
)

// Acquire counts one more for key. With exempt the limit per key does not apply (loopback, a
// trusted proxy). After OK the caller must call Release once.
func (c *Conns[K]) Acquire(key K, exempt bool) Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total > 0 && c.n >= c.total {
		return TotalFull
	}
	if !exempt && c.perKey > 0 && c.open[key] >= c.perKey {
		return KeyFull
	}
	c.open[key]++
	c.n++
	return OK
}

// Release gives back what Acquire counted.
func (c *Conns[K]) Release(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	if c.open[key]--; c.open[key] <= 0 {
		delete(c.open, key)
	}
}

// Open is the number open in all.
func (c *Conns[K]) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// Address is what the limits treat as one client: the address itself for IPv4, the /64 network for
// IPv6, where a host can use any address of its network.
func Address(ip netip.Addr) netip.Addr {
	if !ip.IsValid() {
		return ip
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}

// Client is the Address of the sender of r. The gateway has put the client's
// own address into RemoteAddr before any handler runs.
func Client(r *http.Request) netip.Addr { return Address(IP(r)) }

// IP is the address of the sender of r; the zero Addr when there is none.
func IP(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// Loopback are the networks that limits per address exempt by default: a reverse proxy, a probe or
// a load generator on the machine itself connects from them.
func Loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// Contains reports whether ip is in one of the networks.
func Contains(nets []netip.Prefix, ip netip.Addr) bool {
	for _, n := range nets {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}
