package control

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
	"syscall"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/pluginhost"
)

// ErrNotRunning: no gateway is running on the data folder.
var ErrNotRunning = errors.New("no gateway is running on this data folder")

// Client sends requests to the gateway whose run folder is given. Each call opens its own
// connection; there is nothing to close.
type Client struct{ RunDir string }

// Plugins returns the status of each plugin that the gateway runs.
func (c Client) Plugins(ctx context.Context) (all []pluginhost.Status, err error) {
	err = c.call(ctx, http.MethodGet, "/plugins", nil, &all)
	return all, err
}

// Webhooks returns the webhooks of enabled accounts whose plugin takes webhooks.
func (c Client) Webhooks(ctx context.Context) (all []Webhook, err error) {
	err = c.call(ctx, http.MethodGet, "/webhooks", nil, &all)
	return all, err
}

// LoadPlugin has the gateway load the pinned plugin of a folder, or upgrade the
// one that runs from it. The folder's path is absolute.
func (c Client) LoadPlugin(ctx context.Context, dir string) error {
	_, err := c.change(ctx, "/plugins/load", dir)
	return err
}

// Do has the gateway carry the request out.
func (c Client) Do(ctx context.Context, req Request) ([]directory.Change, error) {
	return c.change(ctx, req.path(), req)
}

func (c Client) change(ctx context.Context, path string, in any) ([]directory.Change, error) {
	var a answer
	err := c.call(ctx, http.MethodPost, path, in, &a)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a.Changes, err
}

func (c Client) call(ctx context.Context, method, path string, in, out any) error {
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
		return d.DialContext(ctx, "unix", socket(c.RunDir))
	}}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	// EINVAL: the path is too long for a socket, so no gateway can have made one at it.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EINVAL) {
		return ErrNotRunning
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
