package sms

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// Plugin is the SMS channel. Make one with New.
type Plugin struct {
	count   *counters
	memory  *memory
	ours    tally
	health  health
	wake    chan struct{} // wakes watch when the accounts have changed
	host    atomic.Pointer[sdk.Host]
	current atomic.Pointer[accounts] // the accounts of the last accepted configuration
}

// accounts are a configuration's accounts and the clients that they share.
type accounts struct {
	byID    map[sdk.AccountID]*account
	clients map[clientKey]*client
}

// account is one number or messaging service.
type account struct {
	id       sdk.AccountID
	settings *settings
	carrier  carrier
	client   *client
	enabled  bool
}

// Serve runs the plugin as a process; it does not return.
func Serve() { sdk.Serve(New()) }

// New returns the plugin.
func New() *Plugin {
	return &Plugin{count: newCounters(), memory: newMemory(time.Now()), wake: make(chan struct{}, 1)}
}

// Describe implements sdk.Describer.
func (p *Plugin) Describe(context.Context) (sdk.Manifest, error) { return manifest(), nil }

// Configure implements sdk.Configurer. Accounts with the same credentials share a client, and a
// client is kept if the next configuration still needs it. With ValidateOnly the credentials are
// tried; they are not reported as wrong when the carrier cannot be reached.
func (p *Plugin) Configure(ctx context.Context, cfg *sdk.Config) error {
	var problems sdk.Problems
	old := p.current.Load()
	next := &accounts{byID: make(map[sdk.AccountID]*account, len(cfg.Accounts)), clients: map[clientKey]*client{}}
	for i := range cfg.Accounts {
		a := &cfg.Accounts[i]
		s, faults := readSettings(a)
		if len(faults) > 0 {
			problems = append(problems, faults...)
			continue
		}
		key := keyOf(s)
		c := next.clients[key]
		if c == nil && old != nil {
			c = old.clients[key]
		}
		if c == nil {
			c = newClient(key, s, p.count)
		}
		next.clients[key] = c
		next.byID[a.ID] = &account{id: a.ID, settings: s, client: c, carrier: newTwilio(s, c), enabled: a.Enabled}
	}
	if cfg.ValidateOnly {
		problems = append(problems, try(ctx, next)...)
	}
	if len(problems) > 0 || cfg.ValidateOnly {
		next.closeUnless(old)
		return problems.Err()
	}
	p.current.Store(next)
	if old != nil {
		old.closeUnless(next)
	}
	p.rouse()
	return nil
}

// closeUnless closes the idle connections of those clients that kept does not use.
func (a *accounts) closeUnless(kept *accounts) {
	for key, c := range a.clients {
		if kept == nil || kept.clients[key] != c {
			c.close()
		}
	}
}

// try checks each account's credentials with the carrier, all at the same time.
func try(ctx context.Context, all *accounts) sdk.Problems {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		problems sdk.Problems
	)
	for key, c := range all.clients {
		wg.Go(func() {
			if !errors.Is(c.check(ctx), errUnauthorized) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for id, a := range all.byID {
				if keyOf(a.settings) == key {
					path := "/auth_token"
					if !a.settings.keySid.IsZero() {
						path = "/api_key_secret"
					}
					problems = append(problems, sdk.Problem{Account: id, Path: path, Code: "unauthorized", Text: errUnauthorized.Error()})
				}
			}
		})
	}
	wg.Wait()
	return problems
}

// Attach implements sdk.Attacher.
func (p *Plugin) Attach(ctx context.Context, host sdk.Host) error {
	p.host.Store(&host)
	p.health.attach(host)
	go p.watch(ctx)
	return nil
}

// account returns a configured account; nil if there is none.
func (p *Plugin) account(id sdk.AccountID) *account {
	if all := p.current.Load(); all != nil {
		return all.byID[id]
	}
	return nil
}

// Hook implements sdk.Hooker.
func (p *Plugin) Hook(ctx context.Context, req *sdk.HookRequest) sdk.HookResponse {
	a := p.account(req.Account)
	if a == nil {
		r := sdk.RejectHook(404, "unknown_account")
		p.count.webhook(hookUnknown, r.Reason)
		return r
	}
	r := a.carrier.hook(req)
	if r.unsigned != "" {
		p.count.unsigned(a.settings.Signature, r.unsigned)
		if a.settings.Signature == observe {
			p.log().LogAttrs(ctx, slog.LevelWarn, "webhook taken though its signature is not right",
				slog.String("account", string(a.id)), slog.String("reason", r.unsigned))
		}
	}
	p.count.webhook(r.kind, r.response.Reason)
	p.count.received(r.segments)
	return r.response
}

// WriteMetrics implements sdk.MetricsWriter.
func (p *Plugin) WriteMetrics(_ context.Context, w io.Writer) error { return p.count.write(w) }

// log is the host's logger; before Attach it discards everything.
func (p *Plugin) log() *slog.Logger {
	if h := p.host.Load(); h != nil {
		return (*h).Logger()
	}
	return slog.New(slog.DiscardHandler)
}

var _ interface {
	sdk.Plugin
	sdk.Hooker
	sdk.Processor
	sdk.Lookuper
	sdk.Attacher
	sdk.MetricsWriter
} = (*Plugin)(nil)
