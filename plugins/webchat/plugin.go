package webchat

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"

	"github.com/lxzan/gws"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// Plugin is the web chat channel. Make one with New.
type Plugin struct {
	files    *assets
	upgrader *gws.Upgrader
	mux      *http.ServeMux
	memory   memory // zero: this package does not own the process

	sites atomic.Pointer[sites] // of the last accepted configuration
	hub   atomic.Pointer[hub]   // nil before Attach
}

// Serve runs the plugin as a process; it does not return.
func Serve() {
	p := New(Built())
	p.memory = memory{setGC: debug.SetGCPercent, free: debug.FreeOSMemory}
	sdk.Serve(p)
}

// New returns the plugin. built is the widget's build output (widget/dist); if it has no panel, the
// pages say that the widget was not built.
func New(built fs.FS) *Plugin {
	p := &Plugin{files: newAssets(built)}
	p.upgrader = newUpgrader(p)
	p.mux = p.routes()
	return p
}

// Describe implements sdk.Describer.
func (p *Plugin) Describe(context.Context) (sdk.Manifest, error) { return manifest(), nil }

// Configure implements sdk.Configurer. A change needs no restart: open sockets continue with the
// new settings, and those of accounts that are gone are closed.
func (p *Plugin) Configure(_ context.Context, cfg *sdk.Config) error {
	conf, err := newSites(cfg)
	if err != nil {
		return err
	}
	if cfg.ValidateOnly {
		return nil
	}
	p.sites.Store(conf)
	h := p.hub.Load()
	if h == nil {
		return nil
	}
	p.report(h.host, conf)
	for _, s := range h.all() {
		s.reconfigure(conf)
	}
	return nil
}

// Attach implements sdk.Attacher.
func (p *Plugin) Attach(ctx context.Context, host sdk.Host) error {
	h := newHub(ctx, host)
	h.memory = p.memory
	p.hub.Store(h)
	p.report(host, p.sites.Load())
	if !p.files.built() {
		h.host.Logger().Warn("the chat panel was not built into this program; its pages say so")
	}
	go h.run(ctx)
	return nil
}

// report reports that the accounts work, since there is no provider that could fail.
func (p *Plugin) report(host sdk.Host, conf *sites) {
	for id := range conf.byAccount {
		host.Status(sdk.AccountStatus{Account: id, OK: true})
	}
}

// Send implements sdk.Sender. It always fails: customers of a connected channel are reached by
// subscriptions, never by commands.
func (p *Plugin) Send(context.Context, *sdk.SendCommand) sdk.Result {
	return sdk.Failed(sdk.KindInternal, "connected", "web chat is delivered by subscription")
}

// Signal implements sdk.SignalHandler: it tells the customer that an agent types, or their place in
// the queue.
func (p *Plugin) Signal(_ context.Context, sig sdk.Signal) {
	h := p.hub.Load()
	if h == nil {
		return
	}
	v := h.find(sig.Account, sig.Thread)
	if v == nil {
		return
	}
	conversation := string(sig.Conversation)
	var f any
	switch sig.Kind {
	case sdk.SignalTyping:
		f = signalFrame{"typing", conversation, sig.On, sig.Name}
	case sdk.SignalPresence:
		f = signalFrame{"presence", conversation, sig.On, sig.Name}
	case sdk.SignalQueue:
		f = queueFrame{"queue", conversation, sig.Position, sig.Wait.Milliseconds()}
	default:
		return
	}
	data := encodeFrame(f)
	for _, s := range v.list() {
		s.hint(data)
	}
}

// Drain implements sdk.Drainer: all clients are told to connect again, to the next generation.
func (p *Plugin) Drain(ctx context.Context) error {
	if h := p.hub.Load(); h != nil {
		h.drain(ctx)
	}
	return nil
}

// WriteMetrics implements sdk.MetricsWriter.
func (p *Plugin) WriteMetrics(_ context.Context, w io.Writer) error {
	h := p.hub.Load()
	if h == nil {
		return nil
	}
	h.mu.Lock()
	n := len(h.visitors)
	h.mu.Unlock()
	return h.count.write(w, n)
}

// ServeHTTP implements http.Handler: it serves what browsers request below /p/webchat/.
func (p *Plugin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.sites.Load() == nil {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	p.mux.ServeHTTP(w, r)
}

func (p *Plugin) log() *slog.Logger { return p.hub.Load().host.Logger() }

var _ interface {
	sdk.Plugin
	sdk.Attacher
	sdk.SignalHandler
	sdk.Drainer
	sdk.MetricsWriter
	http.Handler
} = (*Plugin)(nil)

// messageOf explains a published code to a developer; customers see the widget's own texts.
func messageOf(code string) string {
	switch code {
	case "invalid":
		return "a field is missing or has a wrong value"
	case "too_long":
		return fmt.Sprintf("texts have at most %d UTF-16 units, form answers %d, names %d; a frame has at most %d bytes", maxText, maxAnswer, maxName, maxFrame)
	case "empty":
		return "the message has no parts, or a part without text"
	case "too_many_parts":
		return fmt.Sprintf("a message has at most %d parts", maxParts)
	case "file_key":
		return "the file's key is not this visitor's"
	case "client_id":
		return "client_id has 1 to 64 letters, digits, dashes or underscores"
	case "form_required":
		return "a required field of the request form is empty"
	case "no_visitor":
		return "send register first"
	case "no_files":
		return "this site takes no files"
	case "rate":
		return "too fast; try again later"
	case "quota":
		return "the limit of uploads is used up; try again after retry_ms"
	case "unavailable":
		return "not durable now; send it again under the same client_id"
	case "unknown_frame":
		return "no such frame"
	case "ended":
		return "there is no open conversation; send start"
	default:
		return ""
	}
}
