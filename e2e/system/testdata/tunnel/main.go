// Command tunnel is a plugin for tests at which agents hold something open: a
// WebSocket below /agent and /grant, and a plain answer that goes on at /agent/long.
package main

import (
	"context"
	"net/http"

	"github.com/coder/websocket"

	"github.com/parley-gateway/parley/plugins/sdk"
)

type tunnel struct{}

func main() { sdk.Serve(tunnel{}) }

func (tunnel) Describe(context.Context) (sdk.Manifest, error) {
	return sdk.Manifest{
		ID: "tunnel", Name: "Tunnel", Version: "1.0.0", Delivery: sdk.StoreAndForward,
		Routes: []sdk.Route{{Path: "agent", Access: sdk.AgentOnly, Upgrade: true}, {Path: "grant", Access: sdk.GrantOnly, Upgrade: true}},
	}, nil
}

func (tunnel) Configure(context.Context, *sdk.Config) error { return nil }

func (tunnel) Send(context.Context, *sdk.SendCommand) sdk.Result { return sdk.Sent("") }

// ServeHTTP implements http.Handler. Everything stays open until the other side ends it.
func (tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/agent/long" {
		_, _ = w.Write([]byte("begun\n"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the gateway has checked the origin
	if err != nil {
		return
	}
	<-c.CloseRead(r.Context()).Done()
	_ = c.CloseNow()
}
