package pluginhost

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
)

// dirPrefix is the start of the name of every generation's directory; go-plugin chose it.
const dirPrefix = "plugin-dir"

// Options configure a Host. Core and RunDir are required.
type Options struct {
	// RunDir holds the lock file and the sockets; it is made with mode 0700 if missing. Unix socket
	// paths have at most 107 bytes, so the path of RunDir may have at most 69.
	RunDir string
	// PinFile stores the pins of third-party plugins; "" = third-party plugins cannot be used.
	PinFile string
	Core    plugin.Core
	// Blobs, Grants and KV serve GatewayService; nil = the calls answer
	// Unimplemented.
	Blobs  plugin.Blobs
	Grants plugin.Granter
	KV     plugin.KV
	Logger *slog.Logger // nil = slog.Default()
	Node   string       // name of this node
	// PluginURL returns the public URL of /p/<id>, without a trailing slash; nil = none. foreign:
	// the plugin is not part of the gateway's own program (Target.Foreign).
	PluginURL func(plugin string, foreign bool) string
	// HookURL returns the public URL of an account's webhook; nil = none.
	HookURL func(conversation.AccountID) string
	// FrameAncestors are the origins of the installation's own pages.
	FrameAncestors []string
	// VisitorKey is the HMAC-SHA-256 key of visitor addresses, the same on all nodes.
	VisitorKey []byte
	// Guard is the command, of the same executable, that calls the function Guard with one more
	// argument; nil = no guard. Linux only.
	Guard []string
	// Leases say which of the accounts that one node at a time may serve are this node's; nil = no
	// other node serves accounts, so all are.
	Leases Leases
	// DrainLimit is the longest time that a plugin may take to finish what it holds, such as calls,
	// when its process is replaced; plugins may declare up to an hour. 0 = 8 s.
	DrainLimit time.Duration
	// LogLevel is the lowest level that plugins log: debug, info, warn or error; "" = their
	// default.
	LogLevel string
}

// Host runs plugins. Its methods are safe for concurrent use.
type Host struct {
	opts    Options
	log     *slog.Logger
	runDir  string
	pins    *Pins
	meters  *meters
	spawner *spawner
	guard   *guard
	review  chan struct{} // a token: what leases are wanted or served may have changed
	run     string        // marks the processes of this host

	ctx    context.Context //nolint:containedctx // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	lock   *os.File

	mu        sync.Mutex
	endBy     time.Time // when plugins must have finished, once Drain is called; zero: nobody hurries
	started   bool
	closed    bool
	plugins   map[string]*hosted
	accounts  map[string][]AccountConfig
	settings  map[string][]byte
	byAccount map[conversation.AccountID]AccountConfig
}

// New checks the options. It starts no goroutine and touches no file; Start does.
func New(opts Options) (*Host, error) {
	if opts.Core == nil {
		return nil, errors.New("plugin host: no core")
	}
	dir, err := filepath.Abs(opts.RunDir)
	if err != nil || opts.RunDir == "" {
		return nil, fmt.Errorf("plugin host: run directory %q: want a path", opts.RunDir)
	}
	// The longest path in it: dir/plugin-dir<10 digits>/plugin<10 digits>.
	if n := len(dir) + len("/"+dirPrefix) + 10 + len("/plugin") + 10; n > maxSocketPath {
		return nil, fmt.Errorf("plugin host: run directory %s: sockets in it would have paths of %d bytes, the limit is %d: choose a shorter one", dir, n, maxSocketPath)
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	h := &Host{
		opts: opts, log: opts.Logger, runDir: dir, run: rand.Text(), meters: newMeters(), review: make(chan struct{}, 1),
		plugins: map[string]*hosted{}, settings: map[string][]byte{},
	}
	if opts.PinFile != "" {
		h.pins = OpenPins(opts.PinFile)
	}
	h.ctx, h.cancel = context.WithCancel(context.Background()) // cancelled by Close
	return h, nil
}

// Start locks the run directory, clears what an earlier gateway left there, and starts the loaded
// plugins. It does not wait until they are ready: see Ready. ErrLocked: another gateway uses the
// directory. ctx bounds the start only; Drain and Close end what it began.
func (h *Host) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("plugin host: start: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("plugin host: start: %w", ErrClosed)
	}
	if h.started {
		return errors.New("plugin host: started twice")
	}
	if err := os.MkdirAll(h.runDir, 0o700); err != nil {
		return fmt.Errorf("plugin host: %w", err)
	}
	if err := os.Chmod(h.runDir, 0o700); err != nil { //nolint:gosec // a directory
		return fmt.Errorf("plugin host: %w", err)
	}
	lock, err := lockRunDir(h.runDir)
	if err != nil {
		return err
	}
	if n := killOrphans(h.runDir); n > 0 {
		h.log.Warn("processes that an earlier gateway's plugins had started were still there and are killed", "count", n)
	}
	if err := clearLeftovers(h.runDir); err != nil {
		_ = lock.Close()
		return err
	}
	h.lock, h.spawner, h.started = lock, newSpawner(), true
	h.guard = startGuard(h.opts.Guard, h.run, h.spawner, h.log)
	for _, p := range h.list() {
		go p.supervise(h.ctx)
	}
	if h.opts.Leases != nil {
		h.wg.Go(h.followLeases)
	}
	return nil
}

func lockRunDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("plugin host: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("plugin host: %s: %w", dir, ErrLocked)
	}
	return f, nil
}

// clearLeftovers removes the sockets of a gateway that was killed. The plugins of that gateway are
// dead, or will be killed now (PR12).
func clearLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("plugin host: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), dirPrefix) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("plugin host: clear leftovers: %w", err)
			}
		}
	}
	return nil
}

// Load adds plugins, and starts them if the host is started.
func (h *Host) Load(specs ...Spec) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("load plugins: %w", ErrClosed)
	}
	for _, spec := range specs {
		if err := h.complete(&spec); err != nil {
			return fmt.Errorf("load plugins: %w", err)
		}
		if h.plugins[spec.ID] != nil {
			return fmt.Errorf("load plugins: %s is loaded already", spec.ID)
		}
		p := newHosted(h, spec)
		p.setConfiguration(func(c *configuration) {
			c.settings, c.accounts = h.settings[spec.ID], h.accounts[spec.ID]
		})
		<-p.reconfigure // the first start uses the new configuration anyway
		h.plugins[spec.ID] = p
		if h.started {
			go p.supervise(h.ctx)
		}
	}
	return nil
}

// complete checks a spec and makes the path of a folder absolute. The id of a folder plugin is read
// from its manifest only if it is not given: a missing folder must not keep the gateway from
// starting.
func (h *Host) complete(spec *Spec) error {
	if spec.Dir != "" {
		if h.pins == nil {
			return fmt.Errorf("%s: third-party plugins need a pin file", spec.Dir)
		}
		dir, err := filepath.Abs(spec.Dir)
		if err != nil {
			return err
		}
		spec.Dir = dir
		if spec.ID == "" {
			v, err := inspect(dir)
			if err != nil {
				return err
			}
			v.close()
			spec.ID = v.manifest.ID
		}
	}
	return spec.validate()
}

// LoadOrUpgrade adds a plugin that is not loaded yet, or replaces the program of a loaded one, as
// Upgrade does.
func (h *Host) LoadOrUpgrade(ctx context.Context, spec Spec) error {
	if err := h.complete(&spec); err != nil {
		return fmt.Errorf("load plugin: %w", err)
	}
	if h.plugin(spec.ID) == nil {
		return h.Load(spec)
	}
	return h.Upgrade(ctx, spec)
}

// Upgrade replaces a plugin's program without a gap: the new generation starts beside the old one,
// which is drained once the new one answers. A plugin that declares `exclusive` is stopped first.
// If the new program crashes within 30 s, the old program is started again.
func (h *Host) Upgrade(ctx context.Context, spec Spec) error {
	if err := h.complete(&spec); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	p := h.plugin(spec.ID)
	if p == nil {
		return fmt.Errorf("upgrade %s: %w", spec.ID, ErrUnknownPlugin)
	}
	return p.askUpgrade(ctx, &spec)
}

// Restart replaces a plugin's process by a new one of the same program, as Upgrade does.
func (h *Host) Restart(ctx context.Context, plugin string) error {
	p := h.plugin(plugin)
	if p == nil {
		return fmt.Errorf("restart %s: %w", plugin, ErrUnknownPlugin)
	}
	return p.askUpgrade(ctx, nil)
}

// Drain stops every plugin gently: no new commands or hooks are sent, what is under way is
// finished, then the processes end. Within ctx's deadline a plugin may take as long as it declares.
// Drain returns when all have ended, also the generations that were replaced before, or with ctx's
// error; Close kills those that are left.
func (h *Host) Drain(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	if by, ok := ctx.Deadline(); ok {
		left := time.Until(by)
		h.endBy = by.Add(-min(2*endTimeout, left/2)) // the rest is for the end of the processes
	}
	started, plugins := h.started, h.list()
	h.mu.Unlock()
	if !started {
		return nil
	}
	for _, p := range plugins {
		p.quitOnce.Do(func() { close(p.quit) })
	}
	for _, p := range plugins {
		select {
		case <-p.done:
		case <-ctx.Done():
			return fmt.Errorf("drain plugin %s: %w", p.id, ctx.Err())
		}
	}
	return nil
}

// Close kills all processes that still run, and unlocks the run directory.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	started, plugins := h.started, h.list()
	h.started = false
	h.mu.Unlock()
	h.cancel()
	if !started {
		return nil
	}
	for _, p := range plugins {
		<-p.done
	}
	h.wg.Wait()
	for _, p := range plugins {
		p.forgetPrograms()
	}
	h.guard.close()
	h.spawner.close()
	return h.lock.Close()
}

// forgetPrograms closes the program files kept for going back to an older program.
func (p *hosted) forgetPrograms() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fallback != nil && p.fallback.kept != nil {
		p.fallback.kept.close()
	}
	if p.launch.kept != nil {
		p.launch.kept.close()
	}
	p.fallback, p.launch.kept = nil, nil
}

// Plugins describes all loaded plugins, ordered by id.
func (h *Host) Plugins() []Status {
	h.mu.Lock()
	plugins := h.list()
	h.mu.Unlock()
	out := make([]Status, 0, len(plugins))
	for _, p := range plugins {
		out = append(out, p.status())
	}
	return out
}

func (p *hosted) status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{
		ID: p.id, Name: p.desc.GetName(), Version: p.desc.GetVersion(), State: p.state, Since: p.since, Reason: p.reason,
		Kind: "built-in", Dir: p.launch.spec.Dir, Generation: p.number, Restarts: p.restarts,
		Problems: slices.Clone(p.problems), LastCrash: p.crash,
	}
	switch {
	case s.Dir != "":
		s.Kind = "folder"
	case p.launch.spec.Attach != "":
		s.Kind = "attached"
	}
	if g := p.cur; g != nil {
		s.Instance = g.instance
		if g.proc != nil {
			s.PID = g.proc.pid
		}
		s.Ping = g.session.pingTime()
	}
	s.OneNode = p.oneNodeAccounts()
	for _, a := range p.accounts {
		s.Accounts = append(s.Accounts, a)
	}
	slices.SortFunc(s.Accounts, func(a, b AccountState) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return s
}

// Schemas are the JSON Schemas for the configuration of a plugin; ok is false before its first
// ready generation.
func (h *Host) Schemas(plugin string) (settings, account string, ok bool) {
	p := h.plugin(plugin)
	if p == nil {
		return "", "", false
	}
	d := p.described()
	return d.GetSettingsSchema(), d.GetAccountSchema(), d != nil
}

func (h *Host) plugin(id string) *hosted {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.plugins[id]
}

// pluginOf returns the plugin that serves an enabled account.
func (h *Host) pluginOf(id conversation.AccountID) *hosted {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, ok := h.byAccount[id]
	if !ok || !a.Enabled {
		return nil
	}
	return h.plugins[a.Plugin]
}

// list returns the plugins, sorted by id. The caller holds the mutex.
func (h *Host) list() []*hosted {
	out := make([]*hosted, 0, len(h.plugins))
	for _, p := range h.plugins {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *hosted) int { return strings.Compare(a.id, b.id) })
	return out
}

func newKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (Go 1.24)
	return key
}
