package peercred_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-gateway/parley/plugins/contract/peercred"
)

// pair returns the two ends of a connection over a unix socket.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	client, err = (&net.Dialer{}).DialContext(t.Context(), "unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

func TestHandshake(t *testing.T) {
	client, server := pair(t)
	for name, tc := range map[string]struct {
		check func(peercred.Peer) error
		want  error
	}{
		"this process":    {peercred.PID(os.Getpid()), nil},
		"another process": {peercred.PID(os.Getpid() + 1), peercred.ErrRefused},
		"this user":       {peercred.UID(os.Getuid()), nil},
		"another user":    {peercred.UID(os.Getuid() + 1), peercred.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			creds := peercred.New(tc.check)
			if _, _, err := creds.ServerHandshake(server); !errors.Is(err, tc.want) {
				t.Errorf("server: got %v, want %v", err, tc.want)
			}
			if _, _, err := creds.ClientHandshake(t.Context(), "", client); !errors.Is(err, tc.want) {
				t.Errorf("client: got %v, want %v", err, tc.want)
			}
			if _, _, err := creds.Clone().ServerHandshake(server); !errors.Is(err, tc.want) {
				t.Errorf("clone: got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestNotAUnixSocket(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if _, err := peercred.Of(a); err == nil {
		t.Error("credentials of a pipe")
	}
}
