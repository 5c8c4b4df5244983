// Package peercred restricts a gRPC connection over a unix socket to a known process: its
// TransportCredentials read the peer's credentials from the kernel in the handshake and pass them
// to a check. Nothing is encrypted; the socket is in a directory of mode 0700, and a wrong process
// of the same user is refused in the handshake. Both sides can use it: a connecting process sees
// the credentials of the one that listens.
package peercred

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
)

// ErrRefused is returned, wrapped, when the check refuses the peer.
var ErrRefused = errors.New("peer refused")

// Peer is the process at the other end of a unix socket.
type Peer struct {
	PID int
	UID int
}

// PID returns a check which accepts exactly the process pid.
func PID(pid int) func(Peer) error {
	return func(p Peer) error {
		if p.PID != pid {
			return fmt.Errorf("%w: pid %d, want %d", ErrRefused, p.PID, pid)
		}
		return nil
	}
}

// UID returns a check which accepts every process of the user uid.
func UID(uid int) func(Peer) error {
	return func(p Peer) error {
		if p.UID != uid {
			return fmt.Errorf("%w: uid %d, want %d", ErrRefused, p.UID, uid)
		}
		return nil
	}
}

// New returns credentials for both sides of a connection. check runs in each handshake and must be
// safe for concurrent use.
func New(check func(Peer) error) credentials.TransportCredentials {
	return &creds{check: check}
}

// Of reads the credentials of the process at the other end of conn, which
// must be a *net.UnixConn.
func Of(conn net.Conn) (Peer, error) {
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		return Peer{}, fmt.Errorf("peer credentials: %T is not a unix socket", conn)
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	var p Peer
	var perr error
	if err := raw.Control(func(fd uintptr) { p, perr = read(int(fd)) }); err != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", err)
	}
	if perr != nil {
		return Peer{}, fmt.Errorf("peer credentials: %w", perr)
	}
	return p, nil
}

type creds struct {
	check func(Peer) error
}

// AuthInfo is the AuthInfo of a gRPC handler's peer.
type AuthInfo struct {
	credentials.CommonAuthInfo
	Peer Peer
}

// AuthType implements credentials.AuthInfo.
func (AuthInfo) AuthType() string { return "peercred" }

func (c *creds) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.handshake(conn)
}

func (c *creds) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.handshake(conn)
}

func (c *creds) handshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	p, err := Of(conn)
	if err != nil {
		return nil, nil, err
	}
	if err := c.check(p); err != nil {
		return nil, nil, err
	}
	info := AuthInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}, Peer: p}
	return conn, info, nil
}

func (c *creds) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "peercred"}
}

func (c *creds) Clone() credentials.TransportCredentials { return &creds{check: c.check} }

func (c *creds) OverrideServerName(string) error { return nil }
