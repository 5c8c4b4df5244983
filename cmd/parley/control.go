package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/internal/stores"
)

// control is how commands on the same machine reach a running gateway: a unix
// socket in a 0700 folder, so that whoever can use it owns the data anyway.
type control struct {
	path   string
	server *http.Server
	done   chan struct{}
}

func controlPath(cfg config.Config) string { return filepath.Join(cfg.RunDir(), "control.sock") }

func startControl(ctx context.Context, n *node) (*control, error) {
	c := &control{path: controlPath(n.cfg), done: make(chan struct{})}
	if err := os.Remove(c.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", c.path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /plugins", func(w http.ResponseWriter, _ *http.Request) { reply(w, n.host.Plugins()) })
	mux.HandleFunc("GET /webhooks", func(w http.ResponseWriter, _ *http.Request) { reply(w, n.webhooks()) })
	mux.HandleFunc("POST /plugins/{id}/restart", func(w http.ResponseWriter, r *http.Request) {
		respond(w, n.host.Restart(r.Context(), r.PathValue("id")), nil)
	})
	mux.HandleFunc("POST /plugins/load", func(w http.ResponseWriter, r *http.Request) {
		var dir string
		if err := json.NewDecoder(io.LimitReader(r.Body, 64<<10)).Decode(&dir); err != nil {
			respond(w, err, nil)
			return
		}
		respond(w, n.host.LoadOrUpgrade(r.Context(), pluginhost.Spec{Dir: dir}), nil)
	})
	mux.HandleFunc("POST /apply", func(w http.ResponseWriter, r *http.Request) {
		var req applyRequest
		if err := json.NewDecoder(io.LimitReader(r.Body, 32<<20)).Decode(&req); err != nil {
			respond(w, err, nil)
			return
		}
		changes, err := applyRecords(r.Context(), n.stores.Directory, req)
		respond(w, err, changes)
	})
	mux.HandleFunc("POST /user", func(w http.ResponseWriter, r *http.Request) {
		var req userRequest
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&req); err != nil {
			respond(w, err, nil)
			return
		}
		changes, err := putUser(r.Context(), n.stores.Directory, req)
		respond(w, err, changes)
	})
	mux.HandleFunc("POST /log-read", func(w http.ResponseWriter, r *http.Request) {
		var id string
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<10)).Decode(&id); err != nil {
			respond(w, err, nil)
			return
		}
		respond(w, n.stores.Directory.Audit(r.Context(), logRead(id)), nil)
	})
	c.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(c.done)
		_ = c.server.Serve(ln) // ends with close
	}()
	return c, nil
}

func (c *control) close() error {
	err := c.server.Close()
	<-c.done
	return err
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a caller that went away needs no answer
}

// controlAnswer is what every change answers.
type controlAnswer struct {
	Changes []directory.Change `json:"changes,omitempty"`
	Error   string             `json:"error,omitempty"`
}

func respond(w http.ResponseWriter, err error, changes []directory.Change) {
	a := controlAnswer{Changes: changes}
	if err != nil {
		a.Error = err.Error()
	}
	reply(w, a)
}

// errNotRunning: no gateway uses the data folder.
var errNotRunning = errors.New("no gateway is running on this data folder")

// call asks the running gateway; errNotRunning when there is none. A gateway
// that is there and does not answer is another error: nobody may then take the
// data folder for his own.
func call(ctx context.Context, cfg config.Config, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, body)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", controlPath(cfg))
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	// EINVAL: a path too long for any socket.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EINVAL) {
		return errNotRunning
	}
	if err != nil {
		return fmt.Errorf("the gateway's control socket: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("answer of the gateway: %w", err)
	}
	return nil
}

// change asks the running gateway for a change, or makes it in the data folder.
func change(ctx context.Context, cfg config.Config, path string, in any, offline func(*directory.Directory) ([]directory.Change, error)) ([]directory.Change, error) {
	var a controlAnswer
	err := call(ctx, cfg, http.MethodPost, path, in, &a)
	if errors.Is(err, errNotRunning) {
		s, err := stores.Open(ctx, cfg, nil, discard())
		if err != nil {
			return nil, err
		}
		changes, err := offline(s.Directory)
		return changes, errors.Join(err, s.Close())
	}
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a.Changes, err
}
