// Command quoter is a messenger channel: its messages quote, react to, edit and revoke others by the
// provider's ids. Its provider is the sandbox in this folder.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/examples/quoter/sandbox"
)

type settings struct {
	BaseURL string `json:"base_url"` // of the provider; "" = the sandbox inside this process
	OneNode bool   `json:"one_node"` // one node at a time serves the account
	// State is the file in which the sandbox inside this process keeps what it has; "" = in memory.
	State string `json:"state"`
	// Register: the provider is told where webhooks go.
	Register bool `json:"register"`
}

// window is how long after a message a customer may be written to freely.
const window = 24 * time.Hour

type quoter struct {
	accounts sdk.Accounts[account]
	changed  chan struct{} // room for one: the configuration has changed
	ids      atomic.Pointer[[]sdk.AccountID]
	inside   atomic.Pointer[inside]
}

// account is an account's settings and what else is needed of it.
type account struct {
	settings
	id   sdk.AccountID
	hook string
}

func newQuoter() *quoter { return &quoter{changed: make(chan struct{}, 1)} }

func main() {
	if len(os.Args) == 4 && os.Args[1] == "sandbox" {
		serveSandbox(os.Args[2], os.Args[3])
	}
	sdk.Serve(newQuoter())
}

// serveSandbox runs the provider alone, as a process that a test does not kill: quoter sandbox
// ADDRESS FILE.
func serveSandbox(address, file string) {
	s, err := sandbox.New(file)
	if err == nil {
		server := &http.Server{Addr: address, Handler: s, ReadHeaderTimeout: 5 * time.Second}
		err = server.ListenAndServe()
	}
	_, _ = fmt.Fprintln(os.Stderr, "sandbox:", err)
	os.Exit(1)
}

func (q *quoter) Describe(context.Context) (sdk.Manifest, error) {
	return sdk.Manifest{
		ID: "quoter", Name: "Quoter", Version: "1.0.0", Delivery: sdk.StoreAndForward, Hook: &sdk.HookInfo{}, CanLookup: true, Templates: true,
		Capabilities: sdk.Capabilities{
			Text: true, Template: true, Reaction: true, Edit: true, Revoke: true, Typing: true, Read: true, Receipts: true, Quotes: true,
			OutboundFirst: true, AddressKind: "phone", Medium: "messaging", ReplyWindowHours: uint32(window / time.Hour),
			OfferTitle: "Quoter", Icon: "message-circle", PartLimits: []sdk.PartLimit{{Kind: "text", MaxLength: 1000}},
		},
		Routes: []sdk.Route{{Path: "", Access: sdk.Public}},
		AccountSchema: `{"type":"object","properties":{"base_url":{"type":"string"},"one_node":{"type":"boolean"},` +
			`"state":{"type":"string"},"register":{"type":"boolean"}},"additionalProperties":false}`,
	}, nil
}

func (q *quoter) Configure(_ context.Context, cfg *sdk.Config) error {
	err := q.accounts.Configure(cfg, func(a *sdk.Account, s *account) sdk.Problems {
		s.id, s.hook = a.ID, a.HookURL
		if s.BaseURL != "" && !strings.HasPrefix(s.BaseURL, "http") {
			return sdk.Problems{{Account: a.ID, Path: "/base_url", Code: "invalid", Text: "want a URL"}}
		}
		return nil
	})
	if err != nil || cfg.ValidateOnly {
		return err
	}
	for i := range cfg.Accounts {
		if a, _ := q.accounts.Get(cfg.Accounts[i].ID); a.BaseURL == "" && q.inside.Load() == nil {
			if err := q.open(a.State); err != nil {
				return err
			}
		}
	}
	// On standby another node may be serving the account: Hook answers, and the provider is asked nothing.
	var ids []sdk.AccountID
	for i := range cfg.Accounts {
		if a := &cfg.Accounts[i]; a.Enabled && !a.Standby {
			ids = append(ids, a.ID)
		}
	}
	q.ids.Store(&ids)
	select {
	case q.changed <- struct{}{}:
	default: // the change before is not looked at yet
	}
	return nil
}

// inside is the sandbox in this process.
type inside struct {
	handler *sandbox.Server
	server  *http.Server
	url     string
}

// open opens the sandbox in this process. It stays until the process ends.
func (q *quoter) open(file string) error {
	s, err := sandbox.New(file)
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	in := &inside{handler: s, server: &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}, url: "http://" + ln.Addr().String()}
	go func() { _ = in.server.Serve(ln) }() // returns when the server is closed
	q.inside.Store(in)
	return nil
}

// Attach reports the templates of all accounts, and tells their providers where webhooks go.
func (q *quoter) Attach(ctx context.Context, host sdk.Host) error {
	context.AfterFunc(ctx, func() {
		if in := q.inside.Load(); in != nil {
			_ = in.server.Close()
		}
	})
	go q.follow(ctx, host)
	return nil
}

// DescribeAccounts says which accounts one node at a time must serve.
func (q *quoter) DescribeAccounts(_ context.Context, cfg *sdk.Config) ([]sdk.AccountTraits, error) {
	var out []sdk.AccountTraits
	for i := range cfg.Accounts {
		var s settings
		if err := cfg.Accounts[i].Decode(&s); err != nil {
			return nil, err
		}
		if s.OneNode {
			out = append(out, sdk.AccountTraits{Account: cfg.Accounts[i].ID, Placement: sdk.OneNode})
		}
	}
	return out, nil
}

// ServeHTTP implements http.Handler: scripts reach the sandbox inside this process.
func (q *quoter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if in := q.inside.Load(); in != nil {
		in.handler.ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}
