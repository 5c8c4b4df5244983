package streamtest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-gateway/parley/core/conversation"
)

// Client is a browser's side of a socket.
type Client struct {
	*websocket.Conn
	t testing.TB
}

// NewClient is the client of a socket that is open.
func NewClient(t testing.TB, c *websocket.Conn) *Client { return &Client{c, t} }

// Say writes a frame: v as text, or as JSON.
func (c *Client) Say(v any) {
	c.t.Helper()
	b, ok := v.(string)
	if !ok {
		j, err := json.Marshal(v)
		if err != nil {
			c.t.Fatal(err)
		}
		b = string(j)
	}
	if err := c.Write(c.t.Context(), websocket.MessageText, []byte(b)); err != nil {
		c.t.Fatalf("write %s: %v", b, err)
	}
}

// Frame is a frame from the server.
type Frame map[string]any

// Str is the text of the field at a path, or "".
func (f Frame) Str(path ...string) string {
	var v any = map[string]any(f)
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[p]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// Next reads the next frame.
func (c *Client) Next() (Frame, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	_, b, err := c.Read(ctx)
	if err != nil {
		return nil, err
	}
	var f Frame
	if err := json.Unmarshal(b, &f); err != nil {
		c.t.Fatalf("frame %q is not JSON: %v", b, err)
	}
	return f, nil
}

// Until reads frames up to the first of a kind.
func (c *Client) Until(kind string) Frame {
	c.t.Helper()
	for {
		f, err := c.Next()
		if err != nil {
			c.t.Fatalf("while waiting for %q: %v", kind, err)
		}
		if f["t"] == kind {
			return f
		}
	}
}

// Ends reads until the socket closes and returns the reason in the bye frame and the close code.
func (c *Client) Ends() (bye string, code websocket.StatusCode) {
	c.t.Helper()
	for {
		f, err := c.Next()
		if err != nil {
			return bye, websocket.CloseStatus(err)
		}
		if f["t"] == "bye" {
			bye = f.Str("reason")
		}
	}
}

// Service is a new service id.
func Service() conversation.ServiceID { return conversation.NewID[conversation.ServiceID]() }

// Account is a new account id.
func Account() conversation.AccountID { return conversation.NewID[conversation.AccountID]() }

// Both reads up to one Frame of each kind, in whatever order they come.
func (c *Client) Both(a, b string) (first, second Frame) {
	c.t.Helper()
	for first == nil || second == nil {
		f, err := c.Next()
		if err != nil {
			c.t.Fatalf("while waiting for %q and %q: %v", a, b, err)
		}
		switch f["t"] {
		case a:
			first = f
		case b:
			second = f
		}
	}
	return first, second
}

// Eventually waits until something holds.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
