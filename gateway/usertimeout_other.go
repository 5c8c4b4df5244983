//go:build !linux

package gateway

import (
	"syscall"
	"time"
)

// userTimeout does nothing: without TCP_USER_TIMEOUT the kernel's own limit on retransmission
// holds; idle connections still have keep-alive probes.
func userTimeout(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
