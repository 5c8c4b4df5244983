package freeport

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// Ports that Linux, macOS and Windows never give to outgoing connections by themselves
// (net.ipv4.ip_local_port_range begins at 32768): such a port is still free after its server was
// away.
const (
	lowest  = 10240
	highest = 32767
	tries   = 100
)

// Fix checks that each host:port is free, and replaces port 0 by a free one. The addresses returned
// all differ. Nothing listens on them when it returns. The error for an address that is in use is
// syscall.EADDRINUSE.
func Fix(ctx context.Context, addrs ...string) (fixed []netip.AddrPort, err error) {
	for _, addr := range addrs {
		ln, e := listen(ctx, addr)
		if e != nil {
			return nil, e
		}
		defer func() { err = errors.Join(err, ln.Close()) }()
		got := ln.Addr().(*net.TCPAddr).AddrPort()
		fixed = append(fixed, netip.AddrPortFrom(got.Addr().Unmap(), got.Port()))
	}
	return fixed, nil
}

func listen(ctx context.Context, addr string) (ln net.Listener, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	if port != "0" {
		return lc.Listen(ctx, "tcp", addr)
	}
	for range tries {
		port := lowest + rand.IntN(highest-lowest+1) //nolint:gosec // a guess, no secret
		ln, err = lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return ln, err
}
