package webchat

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// Limits on what is remembered of addresses without a socket.
const (
	maxIdleAddresses = 50_000
	forgetAddress    = 15 * time.Minute // at least; longer until the address's buckets are full again
)

// clientAddress is the address that a request comes from, as the gateway's proxy reports it: the
// address itself for IPv4, the /64 network for IPv6, where a host can use any address of its
// network. Requests that did not come through the gateway share the zero Addr, which is treated
// like any other address.
func clientAddress(r *http.Request) netip.Addr {
	id, _ := sdk.IdentityOf(r.Context())
	ip, err := netip.ParseAddr(id.RemoteIP)
	if err != nil {
		return netip.Addr{}
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if net, err := ip.Prefix(64); err == nil {
			return net.Addr()
		}
	}
	return ip
}

type addressKey struct {
	account sdk.AccountID
	ip      netip.Addr
}

// address holds the limits that all sockets of one address share at one site: anybody can make any
// number of visitors, so limits on each visitor alone would limit nothing (FT24).
type address struct {
	addressKey
	sockets int   // guarded by addresses.mu
	left    int64 // milliseconds: when the last socket was closed

	mu       sync.Mutex
	starts   bucket
	messages bucket
	refill   time.Duration // how long an empty bucket takes to fill, by the settings last used
}

// fills records how long a bucket takes to fill. The caller holds a.mu.
func (a *address) fills(rate, burst float32) {
	if rate > 0 {
		a.refill = max(a.refill, time.Duration(float64(burst)/float64(rate)*float64(time.Second)))
	}
}

// allowStart counts one conversation against the address's limit, and reports whether it is
// allowed.
func (a *address) allowStart(now int64, at *site) bool {
	if a == nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	rate, burst := float32(at.AddressStartsPerMinute)/60, float32(at.AddressStartBurst)
	a.fills(rate, burst)
	return a.starts.take(now, 1, rate, burst)
}

// allowMessage counts one message against the address's limit, and reports whether it is allowed.
func (a *address) allowMessage(now int64, at *site) bool {
	if a == nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	rate, burst := float32(at.AddressMessagesPerSecond), float32(at.AddressMessageBurst)
	a.fills(rate, burst)
	return a.messages.take(now, 1, rate, burst)
}

// addresses knows the address of every socket, and remembers for a while those whose sockets are
// closed, so that connecting again does not restore an allowance. Its size is bounded by the open
// sockets and maxIdleAddresses. It fails open: beyond that bound some address without a socket
// starts again with a full allowance.
type addresses struct {
	mu   sync.Mutex
	all  map[addressKey]*address
	idle map[*address]struct{} // those without a socket
}

func newAddresses() *addresses {
	return &addresses{all: map[addressKey]*address{}, idle: map[*address]struct{}{}}
}

// enter counts one more socket of an address.
func (as *addresses) enter(account sdk.AccountID, ip netip.Addr) *address {
	key := addressKey{account, ip}
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.all[key]
	if a == nil {
		a = &address{addressKey: key}
		as.all[key] = a
	}
	delete(as.idle, a)
	a.sockets++
	return a
}

// leave counts one socket less; a nil address has no limits.
func (as *addresses) leave(a *address, now int64) {
	if a == nil {
		return
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	if a.sockets--; a.sockets > 0 {
		return
	}
	if len(as.idle) >= maxIdleAddresses {
		for other := range as.idle { // any one of them
			as.forget(other)
			break
		}
	}
	a.left = now
	as.idle[a] = struct{}{}
}

// prune forgets addresses that have had no socket for long enough.
func (as *addresses) prune(now int64) {
	as.mu.Lock()
	defer as.mu.Unlock()
	for a := range as.idle {
		a.mu.Lock()
		keep := max(forgetAddress, a.refill)
		a.mu.Unlock()
		if time.Duration(now-a.left)*time.Millisecond > keep {
			as.forget(a)
		}
	}
}

func (as *addresses) forget(a *address) {
	delete(as.idle, a)
	delete(as.all, a.addressKey)
}
