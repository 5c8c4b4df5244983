package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/parley-gateway/parley/plugins/contract/identity"
)

// Identity is what the gateway knows of the sender of a proxied request.
type Identity = identity.Identity

type identityKey struct{}

// IdentityOf returns who sent the request that ctx belongs to. It reports
// false on a public route whose request came without an identity.
func IdentityOf(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(Identity)
	return id, ok
}

// web serves the plugin's routes on http.sock.
type web struct {
	key atomic.Pointer[[]byte] // the identity key of the last accepted configuration

	mu     sync.Mutex
	socket string
	server *http.Server
	done   chan struct{}
}

// serve listens on socket, or keeps the present listener if the socket is the same.
func (w *web) serve(s *Server, socket string, routes []Route) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.socket == socket {
		return nil
	}
	w.closeLocked()
	ln, err := (&net.ListenConfig{}).Listen(s.ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("listen on the HTTP socket: %w", err)
	}
	w.socket = socket
	w.server = &http.Server{
		Handler:           w.authenticate(routes, s.abilities.Handler),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
	}
	w.done = make(chan struct{})
	server, done := w.server, w.done
	go func() {
		defer close(done)
		if err := server.Serve(&peerListener{Listener: ln, creds: s.peer}); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("HTTP server ended", "err", err)
		}
	}()
	return nil
}

func (w *web) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closeLocked()
}

func (w *web) closeLocked() {
	if w.server == nil {
		return
	}
	_ = w.server.Close()
	<-w.done
	w.server, w.socket = nil, ""
}

// authenticate checks the Parley-Identity header on any request that has one, and demands it on
// routes that are not public. Paths outside of all routes get a 404.
func (w *web) authenticate(routes []Route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		// A path with ".." could name one route and reach another.
		clean := path.Clean(r.URL.Path)
		access := accessOf(routes, clean)
		if access == 0 || clean != r.URL.Path && clean+"/" != r.URL.Path {
			http.NotFound(rw, r)
			return
		}
		header := r.Header.Get(identity.Header)
		if header == "" {
			if access != Public {
				http.Error(rw, "identity missing", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(rw, r)
			return
		}
		id, err := identity.Verify(*w.key.Load(), header, r.Method, r.URL.Path, time.Now())
		if err != nil {
			http.Error(rw, "identity refused", http.StatusForbidden)
			return
		}
		r.Header.Del(identity.Header)
		next.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), identityKey{}, id)))
	})
}

// accessOf returns the access of the longest route that the path is under; 0 = there is none.
func accessOf(routes []Route, of string) Access {
	of = strings.TrimPrefix(of, "/")
	best, length := Access(0), -1
	for _, r := range routes {
		prefix := strings.TrimSuffix(r.Path, "/")
		under := prefix == "" || of == prefix || strings.HasPrefix(of, prefix+"/")
		if under && len(prefix) > length {
			best, length = r.Access, len(prefix)
		}
	}
	return best
}

// peerListener lets only the trusted process connect.
type peerListener struct {
	net.Listener
	creds credentials.TransportCredentials
}

// Accept implements net.Listener; the connection of any other process is closed.
func (l *peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if _, _, err := l.creds.ServerHandshake(conn); err != nil {
			_ = conn.Close()
			continue
		}
		return conn, nil
	}
}
