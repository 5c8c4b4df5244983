package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// Host is what the control socket needs of the gateway's plugin host.
type Host interface {
	Plugins() []pluginhost.Status
	Restart(ctx context.Context, id string) error
	LoadOrUpgrade(ctx context.Context, spec pluginhost.Spec) error
}

// Webhook is the address to which a carrier delivers for an account.
type Webhook struct {
	Account string `json:"account"` // the account's name
	Plugin  string `json:"plugin"`
	URL     string `json:"url"`
	Given   bool   `json:"given"` // the account's settings name the URL, overrides included
}

// Options name what the control socket gives access to.
type Options struct {
	RunDir      string // where the socket is made; must exist
	Directory   *directory.Directory
	Host        Host
	Webhooks    func() []Webhook // of enabled accounts whose plugin takes webhooks
	Projections Projections
}

// Server answers requests on the control socket until Close.
type Server struct {
	server *http.Server
	done   chan struct{}
}

func socket(runDir string) string { return filepath.Join(runDir, "control.sock") }

// Start makes the socket and answers on it. It replaces a socket that a killed gateway left behind:
// no other gateway can be using it, since the data folder is locked.
func Start(ctx context.Context, o Options) (*Server, error) {
	path := socket(o.RunDir)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s := &Server{server: &http.Server{Handler: o.handler(), ReadHeaderTimeout: 5 * time.Second}, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(ln) // returns when Close is called
	}()
	return s, nil
}

// Close closes the socket and waits until the server has stopped accepting.
func (s *Server) Close() error {
	err := s.server.Close()
	<-s.done
	return err
}

func (o Options) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /plugins", func(w http.ResponseWriter, _ *http.Request) { reply(w, o.Host.Plugins()) })
	mux.HandleFunc("GET /webhooks", func(w http.ResponseWriter, _ *http.Request) { reply(w, o.Webhooks()) })
	mux.HandleFunc("POST /plugins/{id}/restart", func(w http.ResponseWriter, r *http.Request) {
		respond(w, o.Host.Restart(r.Context(), r.PathValue("id")), nil)
	})
	mux.HandleFunc("POST /plugins/load", func(w http.ResponseWriter, r *http.Request) {
		var dir string
		if err := decode(r, 64<<10, &dir); err != nil {
			respond(w, err, nil)
			return
		}
		respond(w, o.Host.LoadOrUpgrade(r.Context(), pluginhost.Spec{Dir: dir}), nil)
	})
	o.projections(mux)
	mux.HandleFunc("POST /apply", carryOut[Apply](o.Directory, 32<<20))
	mux.HandleFunc("POST /user", carryOut[User](o.Directory, 1<<20))
	mux.HandleFunc("POST /log-read", carryOut[LogRead](o.Directory, 1<<10))
	return mux
}

// carryOut handles requests of type R of at most limit bytes.
func carryOut[R Request](d *directory.Directory, limit int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req R
		if err := decode(r, limit, &req); err != nil {
			respond(w, err, nil)
			return
		}
		changes, err := req.CarryOut(r.Context(), d)
		respond(w, err, changes)
	}
}

func decode(r *http.Request, limit int64, to any) error {
	return json.NewDecoder(io.LimitReader(r.Body, limit)).Decode(to)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller may have gone, and then needs no answer
}

// answer is the body of the answer to every change.
type answer struct {
	Changes []directory.Change `json:"changes,omitempty"`
	Error   string             `json:"error,omitempty"`
}

func respond(w http.ResponseWriter, err error, changes []directory.Change) {
	a := answer{Changes: changes}
	if err != nil {
		a.Error = err.Error()
	}
	reply(w, a)
}
