package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/config"
	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/clock"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/kv"
	"github.com/parley-gateway/parley/core/nodes"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/core/project"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/core/vault"
	"github.com/parley-gateway/parley/gateway"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/auth"
	"github.com/parley-gateway/parley/gateway/control"
	"github.com/parley-gateway/parley/gateway/desktop"
	"github.com/parley-gateway/parley/gateway/hook"
	"github.com/parley-gateway/parley/gateway/ops"
	"github.com/parley-gateway/parley/gateway/proxy"
	"github.com/parley-gateway/parley/gateway/stream"
	"github.com/parley-gateway/parley/internal/doctor"
	"github.com/parley-gateway/parley/internal/stores"
)

// node is a running gateway.
type node struct {
	cfg    config.Config
	logger *slog.Logger
	clock  *clock.Clock
	stores *stores.Stores
	blobs  *blob.Store
	bus    *bus.Local
	nodes  *nodes.Keeper // nil: the log has this process for itself
	leases *nodes.Leases // nil as nodes
	router *router.Router
	auth   *auth.Auth
	grants *auth.Grants
	host   *pluginhost.Host
	stream *stream.Stream
	views  *project.Follower
	proxy  *proxy.Proxy
	hooks  *hook.Handler
	health *ops.Health
	server *gateway.Server
	ctl    *control.Server

	background sync.WaitGroup
	stop       context.CancelFunc
}

// startNode builds a gateway from the inside out: what others use is built before them. If it fails
// it stops what it has started.
func startNode(ctx context.Context, cfg config.Config, logger *slog.Logger) (_ *node, err error) {
	n := &node{cfg: cfg, logger: logger}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = cancel
	defer func() {
		if err != nil {
			err = errors.Join(err, n.shutdown(cfg.Drain.Duration()))
		}
	}()
	v, _ := versionText()
	registry := ops.NewRegistry(v)
	n.clock = clock.New(clock.Options{System: systemTime(), Logger: logger})
	n.background.Go(func() { n.clock.Run(run) })
	if n.stores, err = stores.Open(ctx, cfg, n.clock.Now, logger); err != nil {
		return n, err
	}
	if err := n.join(ctx, run); err != nil {
		return n, err
	}
	n.health = ops.NewHealth(
		ops.Check{Name: "log", Run: n.checkLog, Fresh: time.Second},
		ops.Check{Name: "keys", Run: func(context.Context) error { return n.stores.Vault.Ready() }},
		ops.Check{Name: "plugins", Run: n.checkPlugins},
	)
	proxies, err := trusted(cfg.HTTP.TrustedProxies)
	if err != nil {
		return n, err
	}
	n.server, err = gateway.New(ctx, gateway.Options{
		Listen: cfg.Listen.Public, OpsListen: cfg.Listen.Ops, OpsHosts: cfg.Listen.OpsHosts, TLSCert: cfg.TLS.Cert, TLSKey: cfg.TLS.Key,
		Origins:        gateway.Origins{Desk: cfg.Origins.Desk, Chat: cfg.Origins.Chat, Files: cfg.Origins.Files, Hooks: cfg.Origins.Hooks, Plugins: cfg.Origins.Plugins, Aliases: cfg.Origins.Aliases},
		TrustedProxies: proxies, Limits: gateway.Limits{Conns: cfg.HTTP.MaxConns, ConnsPerIP: perIP(cfg)},
		Log: logger, Registry: registry, Health: n.health,
	})
	if err != nil {
		return n, err
	}
	origins := n.server.Origins()
	if n.grants, err = auth.NewGrants(n.stores.Vault.Subkey("grant"), n.clock.Now); err != nil {
		return n, err
	}
	n.blobs, err = blob.Open(blob.Options{
		UploaderFiles: int64(cfg.Uploads.AgentFilesPerHour), UploaderBytes: int64(cfg.Uploads.AgentMBPerHour) * 1_000_000,
		Dir: cfg.Blobs(), Rows: blob.NewTable(n.stores.Directory.Database()), Records: n.stores.Directory,
		Vault: n.stores.Vault, ConversationKey: n.stores.ConversationKey,
		Named: blob.Named(n.stores.Log, n.stores.Vault), Over: blob.Over(n.stores.Log), Now: n.clock.Now, Log: logger, Registry: registry,
	})
	if err != nil {
		return n, err
	}
	n.background.Go(func() { n.blobs.Run(run) })
	n.views, err = project.New(project.Options{
		Node: cfg.Node, Log: n.stores.Log, Database: n.stores.Directory.Database(), Projections: projectionCatalogue(), Logger: logger, Now: n.clock.Now,
	})
	if err != nil {
		return n, err
	}
	n.background.Go(func() { n.views.Run(run) })
	n.bus = bus.NewLocal()
	options := router.Options{
		Node: cfg.Node, Log: n.stores.Log, Vault: n.stores.Vault, Directory: n.stores.Directory, Blobs: n.blobs, Bus: n.bus, Now: n.clock.Now, Logger: logger,
	}
	if n.nodes != nil {
		options.Nodes, options.Leases = n.nodes, n.leases
	}
	n.router, err = router.New(options)
	if err != nil {
		return n, err
	}
	if err := n.router.Start(ctx); err != nil {
		return n, err
	}
	if err := n.startPlugins(run, origins); err != nil {
		return n, err
	}
	n.auth, err = auth.New(ctx, auth.Options{
		Directory: n.stores.Directory, Sessions: sessions.New(n.stores.Directory.Database(), n.clock.Now), Trail: n.stores.Directory.Trail(),
		SameOrigin: gateway.SameOrigin, PairBurst: cfg.Login.PerAccountBurst, IPBurst: cfg.Login.PerIPBurst,
		DeviceKey:   n.stores.Vault.Subkey("device"),
		IdleTimeout: cfg.Login.IdleTimeout.Duration(), AbsoluteTimeout: cfg.Login.AbsoluteTimeout.Duration(), Now: n.clock.Now, Log: logger, Registry: registry,
	})
	if err != nil {
		return n, err
	}
	return n, n.serve(ctx, registry, origins)
}

// perIP converts the configuration's 0, which means no limit, to the server's negative value.
func perIP(cfg config.Config) int {
	if cfg.HTTP.MaxConnsPerIP == 0 {
		return -1
	}
	return cfg.HTTP.MaxConnsPerIP
}

func trusted(networks []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range networks {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("http.trusted_proxies: %w", err)
		}
		out = append(out, p)
	}
	return out, nil
}

// pluginSpecs are the plugins that this node runs: the built-in ones of the
// configuration, then the pinned folders.
func pluginSpecs(cfg config.Config) ([]pluginhost.Spec, error) {
	var specs []pluginhost.Spec
	for _, name := range cfg.Plugins.Builtin {
		if _, ok := builtin()[name]; !ok {
			return nil, fmt.Errorf("plugins.builtin: there is no built-in plugin %q", name)
		}
		specs = append(specs, pluginhost.Spec{ID: name, Command: []string{"/proc/self/exe", "plugin", "serve", name}})
	}
	pins, err := pluginhost.OpenPins(pinFile(cfg)).List()
	if err != nil {
		return nil, err
	}
	for _, p := range pins {
		specs = append(specs, pluginhost.Spec{ID: p.ID, Dir: p.Dir})
	}
	return specs, nil
}

func pinFile(cfg config.Config) string { return filepath.Join(cfg.Data, "plugins.lock") }

func (n *node) startPlugins(ctx context.Context, origins gateway.Origins) error {
	var err error
	var leases pluginhost.Leases // nil: no other node serves accounts
	if n.leases != nil {
		leases = n.leases
	}
	n.host, err = pluginhost.New(pluginhost.Options{
		Leases: leases,
		RunDir: n.cfg.RunDir(), PinFile: pinFile(n.cfg), Core: n.router, Guard: []string{"/proc/self/exe", "plugin", "guard"},
		Blobs:  blob.Plugins{Store: n.blobs, Log: n.stores.Log, Vault: n.stores.Vault, Origin: origins.Files},
		Grants: n.grants, KV: kv.New(n.stores.Directory.Database(), n.stores.Vault), Logger: n.logger, Node: n.cfg.Node,
		PluginURL:      pluginURL(origins),
		HookURL:        func(id conversation.AccountID) string { return origins.Hooks + "/hooks/" + id.String() },
		FrameAncestors: []string{origins.Desk}, VisitorKey: n.stores.Vault.Subkey("visitor"), LogLevel: n.cfg.Log.Level,
		DrainLimit: n.cfg.Plugins.Drain.Duration(),
	})
	if err != nil {
		return err
	}
	n.router.UseTools(n.host)
	specs, err := pluginSpecs(n.cfg)
	if err != nil {
		return err
	}
	if err := n.host.Load(specs...); err != nil {
		return err
	}
	if err := n.giveAccounts(ctx); err != nil {
		return err
	}
	if err := n.host.Start(ctx); err != nil {
		return err
	}
	n.background.Go(func() { n.followAccounts(ctx) })
	return nil
}

// pluginURL returns a plugin's public URL: a third-party plugin has its own origin, if one is
// configured.
func pluginURL(origins gateway.Origins) func(plugin string, foreign bool) string {
	return func(plugin string, foreign bool) string {
		origin := origins.Chat
		if own := origins.Plugin(plugin); foreign && own != "" {
			origin = own
		}
		return origin + "/p/" + plugin
	}
}

// giveAccounts passes the accounts to the plugins.
func (n *node) giveAccounts(ctx context.Context) error {
	accounts, err := accountConfigs(ctx, n.stores.Directory, n.logger)
	if err != nil {
		return err
	}
	n.host.SetAccounts(accounts)
	return nil
}

func accountConfigs(ctx context.Context, dir *directory.Directory, logger *slog.Logger) (accounts []pluginhost.AccountConfig, _ error) {
	for _, a := range dir.Snapshot().Accounts() {
		secrets, err := dir.Secrets(ctx, a.ID)
		if vault.Lost(err) {
			// Only this account is switched off; the others work.
			logger.Error("an account is off: its secrets cannot be read; restore the key store, or make the account anew", "account_id", a.ID, "err", err)
			a.Enabled, err = false, nil
		}
		if err != nil {
			return nil, err
		}
		settings, err := withSecrets(a.Settings, secrets)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", a.ID, err)
		}
		accounts = append(accounts, pluginhost.AccountConfig{ID: a.ID, Plugin: a.Plugin, Name: a.Name, Settings: settings, Enabled: a.Enabled})
	}
	return accounts, nil
}

// recordsWithin is how long a webhook waits for the records: its answer must be with the carrier in time.
const recordsWithin = time.Second

// recorded reports whether the records have an account that is enabled, also one that another node added just
// now; true when they cannot be read in time.
func (n *node) recorded(ctx context.Context, id conversation.AccountID) bool {
	ctx, cancel := context.WithTimeout(ctx, recordsWithin)
	defer cancel()
	if err := n.stores.Directory.Refresh(ctx); err != nil {
		return true
	}
	a, ok := n.stores.Directory.Snapshot().Account(id)
	return ok && a.Enabled
}

// followAccounts passes changes of the accounts to the plugins.
func (n *node) followAccounts(ctx context.Context) {
	changed, cancel := n.stores.Directory.Changes()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		if err := n.giveAccounts(ctx); err != nil && ctx.Err() == nil {
			n.logger.Error("plugins not told of changed accounts", "err", err)
		}
	}
}

// serve starts to serve requests.
func (n *node) serve(ctx context.Context, registry *prometheus.Registry, origins gateway.Origins) error {
	v, _ := versionText()
	n.stream = stream.New(stream.Options{
		Router: stream.FromRouter(n.router), Sessions: n.auth, Records: n.stores.Directory, Trail: n.stores.Directory.Trail(),
		Version: v, Now: n.clock.Now, Registry: registry, Log: n.logger,
	})
	rest, err := api.New(api.Options{
		Router: n.router, Tools: n.router, Calls: n.router, Stream: n.stream, Log: n.stores.Log, Directory: n.stores.Directory, Auth: n.auth, Grants: n.grants, Blobs: n.blobs, Host: n.host,
		FilesOrigin: origins.Files, Doctor: n.doctor, Version: v, Now: n.clock.Now, Logger: n.logger, Registry: registry,
	})
	if err != nil {
		return err
	}
	n.proxy = proxy.New(proxy.Options{
		Host: proxy.Plugins(n.host), Auth: auth.Proxy{Auth: n.auth, Grants: n.grants}, Origin: origins.Plugin, FilesOrigin: origins.Files,
		Log: n.logger, Registry: registry,
	})
	n.hooks = hook.New(hook.Options{Host: n.host, Recorded: n.recorded, PublicURL: origins.Hooks, Log: n.logger, Registry: registry})
	collectors := []prometheus.Collector{n.router.Collector(), n.host.Collector(), n.views.Collector(), logCollector{n.stores.Log}, clockGauge(n.clock), vaultCollector{n.stores.Vault}}
	if n.nodes != nil {
		collectors = append(collectors, nodes.Collector(n.nodes, n.leases))
	}
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	files, built := desktop.FS()
	if !built {
		n.logger.Warn("this binary was built without the desktop's pages; `make build` makes them")
	}
	n.ctl, err = control.Start(ctx, control.Options{RunDir: n.cfg.RunDir(), Directory: n.stores.Directory, Host: n.host, Webhooks: n.webhooks, Projections: projections{n.views, n.stores.Directory.Database()}})
	if err != nil { // checked before anybody is told that the gateway is ready
		return err
	}
	n.server.Start(gateway.Handlers{
		API: rest, Hooks: n.hooks, Plugins: n.proxy, Files: n.blobs.Handler(), Desktop: files,
		Drain: []func(context.Context){n.stream.Drain, n.proxy.Drain},
	})
	ready, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := n.host.Ready(ready); err != nil {
		n.logger.Warn("not every plugin is ready yet", "err", err)
	}
	n.health.Started()
	n.logger.Info("ready", "public", n.server.Addr().String(), "desk", origins.Desk, "chat", origins.Chat)
	return nil
}

// webhooks are those of enabled accounts whose plugin takes webhooks.
func (n *node) webhooks() []control.Webhook {
	out := []control.Webhook{}
	for _, a := range n.stores.Directory.Snapshot().Accounts() {
		if limits, known := n.host.HookLimits(a.ID); !a.Enabled || !known || len(limits.Methods) == 0 {
			continue
		}
		h := control.Webhook{Account: a.Name, Plugin: a.Plugin, URL: n.server.Origins().Hooks + "/hooks/" + a.ID.String()}
		var settings struct {
			WebhookURL string `json:"webhook_url"`
		}
		if err := json.Unmarshal(a.Settings, &settings); err == nil && settings.WebhookURL != "" {
			h.URL, h.Given = settings.WebhookURL, true
		}
		out = append(out, h)
	}
	return out
}

// doctor makes the checks of this node that administrators see.
func (n *node) doctor(context.Context) []api.DoctorCheck {
	var checks []api.DoctorCheck
	for _, f := range []doctor.Finding{doctor.Folder(n.cfg.Data), doctor.MasterKey(n.cfg), doctor.Clock(n.clock.Offset())} {
		checks = append(checks, api.DoctorCheck(f))
	}
	return checks
}

// checkLog writes to the log's store, because without traffic nothing else shows a full disk or a
// database that cannot be reached, and traffic comes back only when this check passes (PR16). It
// writes a row of this node's own, in the same way as every append.
func (n *node) checkLog(ctx context.Context) error {
	select {
	case <-n.stores.Log.Failed():
		return errors.New("the log has failed")
	default:
	}
	_, _, err := n.stores.Log.AcquireLease(ctx, "ready/"+n.cfg.Node, n.cfg.Node, time.Minute)
	switch {
	case errors.Is(err, eventlog.ErrFull):
		return fmt.Errorf("the disk is full: %w", err)
	case errors.Is(err, eventlog.ErrUnavailable):
		return fmt.Errorf("the database is not available: %w", err)
	}
	return err
}

func (n *node) checkPlugins(context.Context) error {
	var down []string
	for _, p := range n.host.Plugins() {
		if p.State != pluginhost.StateReady && p.State != pluginhost.StateDegraded {
			down = append(down, p.ID)
		}
	}
	if len(down) > 0 {
		return fmt.Errorf("not ready: %s", strings.Join(down, ", "))
	}
	return nil
}

// shutdown stops from the outside in, within a time: readiness fails, sockets are told to connect
// again later, plugins are drained, and commits are awaited (PR15). It may be called on a node that
// was only partly built.
func (n *node) shutdown(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within+2*time.Second) // the process is ending, so there is no caller's context
	defer cancel()
	var errs []error
	if n.health != nil {
		n.health.Drain()
	}
	if n.nodes != nil {
		n.nodes.Drain()
	}
	if n.ctl != nil {
		errs = append(errs, n.ctl.Close())
	}
	if n.host != nil {
		drain, cancel := context.WithTimeout(ctx, within)
		errs = append(errs, n.host.Drain(drain))
		cancel()
	}
	if n.server != nil {
		errs = append(errs, n.server.Shutdown(ctx))
	}
	n.stop()
	if n.stream != nil {
		n.stream.Close()
	}
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	if n.auth != nil {
		errs = append(errs, n.auth.Close())
	}
	if n.router != nil {
		errs = append(errs, n.router.Stop(ctx))
	}
	n.background.Wait()
	n.leave(ctx)
	if n.bus != nil {
		errs = append(errs, n.bus.Close())
	}
	if n.blobs != nil {
		errs = append(errs, n.blobs.Close())
	}
	if n.stores != nil {
		errs = append(errs, n.stores.Close())
	}
	return errors.Join(errs...)
}
