package gateway

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/parley-gateway/parley/gateway/limit"
)

// defaultConns is a third of the file descriptors that the process may have: a proxied socket needs
// two, and the stores, plugins and pages need some.
func defaultConns() int {
	var rl syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &rl); err != nil || rl.Cur > 1<<20 {
		return 1 << 18
	}
	return max(int(rl.Cur)/3, 16)
}

// listen opens a TCP listener whose connections notice a dead peer within 30 s:
// an idle one by keep-alive probes, one with unacknowledged data by TCP_USER_TIMEOUT (FT20).
func listen(ctx context.Context, addr string) (*net.TCPListener, error) {
	lc := net.ListenConfig{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         userTimeout(30 * time.Second),
	}
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return ln.(*net.TCPListener), nil
}

// door counts connections and closes those over the limits at once. It does not let them wait: a
// client that is refused can tell, and a client that holds its connections open cannot make others
// wait in the kernel's queue.
type door struct {
	*net.TCPListener
	conns   *limit.Conns[netip.Addr]
	exempt  []netip.Prefix
	refused func(reason string)
}

// Accept waits for the next connection that is within the limits. Errors of the kernel (no file
// descriptors left) are returned to net/http, which waits longer before each new try (FT25).
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.AcceptTCP()
		if err != nil {
			return nil, err
		}
		ap, _ := netip.ParseAddrPort(c.RemoteAddr().String())
		key := limit.Address(ap.Addr())
		switch d.conns.Acquire(key, limit.Contains(d.exempt, ap.Addr().Unmap())) {
		case limit.OK:
			return &counted{TCPConn: c, release: func() { d.conns.Release(key) }}, nil
		case limit.KeyFull:
			d.refused("address")
		case limit.TotalFull:
			d.refused("total")
		}
		// Close by a reset and not by a FIN, so that the kernel keeps no state for a refused
		// connection.
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

// counted is a connection that the door has counted. It embeds the TCP connection so that
// SyscallConn and ReadFrom stay available.
type counted struct {
	*net.TCPConn
	once    sync.Once
	release func()
}

// Close closes the connection and gives its place back.
func (c *counted) Close() error {
	c.once.Do(c.release)
	return c.TCPConn.Close()
}
