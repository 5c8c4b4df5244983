// Command phone is a telephone without sound: it carries out call commands by saying how each leg is
// then, and lets a script ring, press keys and hang up over HTTP.
package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

type settings struct {
	// Manual: dialled and invited legs stay as they are until the script says otherwise.
	Manual bool `json:"manual"`
}

type phone struct {
	accounts sdk.Accounts[settings]
	mux      *http.ServeMux

	mu     sync.Mutex
	host   sdk.Host
	ctx    context.Context //nolint:containedctx // ends with the process; calls that ring outlive their command
	calls  map[sdk.SessionID]*call
	fewer  chan struct{} // closed when a call ends
	closed bool          // draining: no call comes in
}

func newPhone() *phone {
	p := &phone{calls: map[sdk.SessionID]*call{}, fewer: make(chan struct{})}
	p.mux = p.routes()
	return p
}

func main() { sdk.Serve(newPhone()) }

func (p *phone) Describe(context.Context) (sdk.Manifest, error) {
	return sdk.Manifest{
		ID: "phone", Name: "Phone", Version: "1.0.0", Delivery: sdk.StoreAndForward,
		Capabilities: sdk.Capabilities{Calls: true, OutboundFirst: true, AddressKind: "phone", Medium: "voice", OfferTitle: "Call", Icon: "phone"},
		Calls: &sdk.CallInfo{Commands: sdk.CallCommands(
			sdk.CallDial{}, sdk.CallInvite{}, sdk.CallRing{}, sdk.CallAnswer{}, sdk.CallHearing{}, sdk.CallHold{}, sdk.CallMute{},
			sdk.CallSendDigits{}, sdk.CallPlay{}, sdk.CallStop{}, sdk.CallHangUp{},
		)},
		Routes:        []sdk.Route{{Path: "", Access: sdk.Public}},
		AccountSchema: `{"type":"object","properties":{"manual":{"type":"boolean"}},"additionalProperties":false}`,
		Silence:       5 * time.Second, Drain: 30 * time.Minute,
	}, nil
}

func (p *phone) Configure(_ context.Context, cfg *sdk.Config) error { return p.accounts.Configure(cfg) }

func (p *phone) Attach(ctx context.Context, host sdk.Host) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.host, p.ctx = host, ctx
	return nil
}

// Drain lets calls come to their end.
func (p *phone) Drain(ctx context.Context) error {
	for {
		p.mu.Lock()
		p.closed = true
		n, fewer := len(p.calls), p.fewer
		p.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-fewer:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Send fails: a telephone carries no texts.
func (p *phone) Send(context.Context, *sdk.SendCommand) sdk.Result {
	return sdk.Failed(sdk.KindContent, "no_text", "A telephone carries no texts.")
}

// find returns a call; nil: this process holds none of that id.
func (p *phone) find(id sdk.SessionID) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[id]
}

// add makes a call, unless it is there; ok is false when the phone takes no more calls.
func (p *phone) add(id sdk.SessionID, account sdk.AccountID, thread sdk.ThreadID) (c *call, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.calls[id]; c != nil {
		return c, true
	}
	if p.closed {
		return nil, false
	}
	c = &call{phone: p, id: id, account: account, thread: thread, legs: map[sdk.LegID]*leg{}}
	p.calls[id] = c
	return c, true
}

func (p *phone) remove(c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls[c.id] == c {
		delete(p.calls, c.id)
		close(p.fewer)
		p.fewer = make(chan struct{})
	}
}

// ServeHTTP implements http.Handler.
func (p *phone) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }
