package sms

import (
	"fmt"
	"net/netip"
	"syscall"
)

// notPublic are networks that a redirect must not lead to, besides those that netip knows:
// carrier-grade NAT, protocol assignments, benchmarks, reserved networks, and those whose addresses
// lead back into IPv4 (RFC 6890).
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("2001::/32"),
}

// public reports whether an address belongs to the public internet.
func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// publicOnly is a dialer's Control function: it runs after the name was resolved, so a name that
// resolves to a private address is refused, too.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !public(at.Addr()) || at.Port() != 443 && at.Port() != 80 {
		return fmt.Errorf("redirect refused: %w", errPrivate)
	}
	return nil
}
