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

// defaultConns is a third of the file descriptors that the process may have: a
// proxied socket needs two, and the store, plugins and pages need some.
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

// door counts connections and turns away what is over the limits. It closes
// rather than waits: a client that is turned away can tell, and one that holds
// connections cannot keep others in the kernel's queue.
type door struct {
	*net.TCPListener
	conns   *limit.Conns[netip.Addr]
	exempt  []netip.Prefix
	refused func(reason string)
}

// Accept waits for the next connection that is let in. Errors of the kernel
// (no file descriptors left) go to net/http, which waits longer and longer (FT25).
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
		// A reset, not a FIN: no state stays behind for those turned away.
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}

// counted is a connection that the door knows of. Embedding the TCP connection
// keeps SyscallConn and ReadFrom.
type counted struct {
	*net.TCPConn
	once    sync.Once
	release func()
}

// Close closes and gives the place back.
func (c *counted) Close() error {
	c.once.Do(c.release)
	return c.TCPConn.Close()
}
