package sdk

import (
	"context"
	"io"
	"net/http"
)

// Plugin is what every plugin implements. All methods but Describe may be called concurrently, unless
// their comments say otherwise. A channel implements Channel; a tool implements ToolServer, a bot Bot
// or BotNoticeHandler.
type Plugin interface {
	Describer
	Configurer
}

// Channel is what every channel implements: a Plugin that can send. A plugin whose Delivery is
// StoreAndForward must be one; one that is Connected may leave Send out.
type Channel interface {
	Plugin
	Sender
}

// Describer says what the plugin is and can do. It has no side effects and answers within 5 s.
type Describer interface {
	Describe(ctx context.Context) (Manifest, error)
}

// Configurer takes the whole configuration, each time it changes. Return nil to accept it, Problems
// (possibly wrapped) to refuse it, and ErrRestart when the change needs a new process; any other
// error means that the call itself failed. With Config.ValidateOnly set nothing may change, but
// credentials may be tried with the vendor. Calls never overlap; answer within 15 s. cfg may be
// kept and is not changed afterwards.
type Configurer interface {
	Configure(ctx context.Context, cfg *Config) error
}

// Sender sends one message to the customer. ctx ends at the command's deadline. Calls for one
// (account, thread) come one after another, in order. The host repeats failed attempts, so make one
// attempt and return its Result. Unless Manifest.IdempotentSend is set, call cmd.Begin before the
// call to the provider. cmd may be kept.
type Sender interface {
	Send(ctx context.Context, cmd *SendCommand) Result
}

// Hooker turns a raw webhook into an answer and events. These may depend on the request and the
// configuration only: no sends, no state, no clock, because the host calls again with the same
// request after a crash.
type Hooker interface {
	Hook(ctx context.Context, req *HookRequest) HookResponse
}

// Lookuper asks the provider what became of a message whose outcome is unknown. Set
// Manifest.CanLookup as well.
type Lookuper interface {
	Lookup(ctx context.Context, cmd *LookupCommand) Result
}

// Processor interprets an inbound event for which it must call others: it gets the contents of a
// Deferred event and emits the events that result. Sent settles the command; after a retryable
// failure it comes again later.
type Processor interface {
	Process(ctx context.Context, cmd *ProcessCommand) Result
}

// Drainer finishes what was begun and starts nothing new. When it is called every command has
// settled. ctx ends at the drain's deadline, 8 s unless configured otherwise.
type Drainer interface {
	Drain(ctx context.Context) error
}

// MetricsWriter writes the plugin's own series in the Prometheus text format
// within 500 ms. The host prefixes names with parley_plugin_<id>_.
type MetricsWriter interface {
	WriteMetrics(ctx context.Context, w io.Writer) error
}

// SignalHandler takes signals, which matter only now: typing, presence, places in a queue. They
// come one after another; when the handler is slow the oldest are dropped.
type SignalHandler interface {
	Signal(ctx context.Context, s Signal)
}

// Attacher gets the Host, once, after the first accepted Configure and before any other work.
// Goroutines started here end when ctx does. An error ends the process; if it wraps ErrNeedsConfig
// the supervisor starts the plugin again only with a new configuration.
type Attacher interface {
	Attach(ctx context.Context, host Host) error
}

// DescribeFunc adapts a function to Describer.
type DescribeFunc func(ctx context.Context) (Manifest, error)

// Describe calls f.
func (f DescribeFunc) Describe(ctx context.Context) (Manifest, error) { return f(ctx) }

// ConfigureFunc adapts a function to Configurer.
type ConfigureFunc func(ctx context.Context, cfg *Config) error

// Configure calls f.
func (f ConfigureFunc) Configure(ctx context.Context, cfg *Config) error { return f(ctx, cfg) }

// SendFunc adapts a function to Sender.
type SendFunc func(ctx context.Context, cmd *SendCommand) Result

// Send calls f.
func (f SendFunc) Send(ctx context.Context, cmd *SendCommand) Result { return f(ctx, cmd) }

// HookFunc adapts a function to Hooker.
type HookFunc func(ctx context.Context, req *HookRequest) HookResponse

// Hook calls f.
func (f HookFunc) Hook(ctx context.Context, req *HookRequest) HookResponse { return f(ctx, req) }

// LookupFunc adapts a function to Lookuper.
type LookupFunc func(ctx context.Context, cmd *LookupCommand) Result

// Lookup calls f.
func (f LookupFunc) Lookup(ctx context.Context, cmd *LookupCommand) Result { return f(ctx, cmd) }

// ProcessFunc adapts a function to Processor.
type ProcessFunc func(ctx context.Context, cmd *ProcessCommand) Result

// Process calls f.
func (f ProcessFunc) Process(ctx context.Context, cmd *ProcessCommand) Result { return f(ctx, cmd) }

// DrainFunc adapts a function to Drainer.
type DrainFunc func(ctx context.Context) error

// Drain calls f.
func (f DrainFunc) Drain(ctx context.Context) error { return f(ctx) }

// MetricsFunc adapts a function to MetricsWriter.
type MetricsFunc func(ctx context.Context, w io.Writer) error

// WriteMetrics calls f.
func (f MetricsFunc) WriteMetrics(ctx context.Context, w io.Writer) error { return f(ctx, w) }

// SignalFunc adapts a function to SignalHandler.
type SignalFunc func(ctx context.Context, s Signal)

// Signal calls f.
func (f SignalFunc) Signal(ctx context.Context, s Signal) { f(ctx, s) }

// AttachFunc adapts a function to Attacher.
type AttachFunc func(ctx context.Context, host Host) error

// Attach calls f.
func (f AttachFunc) Attach(ctx context.Context, host Host) error { return f(ctx, host) }

// Abilities is a Plugin made of separate parts. Describer and Configurer are required; any other field
// that is nil means that the plugin lacks the ability.
type Abilities struct {
	Describer     Describer
	Configurer    Configurer
	Sender        Sender
	Hooker        Hooker
	Handler       http.Handler // serves the manifest's Routes on http.sock
	Lookuper      Lookuper
	Processor     Processor
	Drainer       Drainer
	MetricsWriter MetricsWriter
	SignalHandler SignalHandler
	Attacher      Attacher

	// Minor 1.
	ReadMarker        ReadMarker
	Typist            Typist
	AccountDescriber  AccountDescriber
	CallCommander     CallCommander
	ToolServer        ToolServer
	ToolNoticeHandler ToolNoticeHandler
	Bot               Bot
	BotNoticeHandler  BotNoticeHandler
}

// Describe calls the Describer.
func (a Abilities) Describe(ctx context.Context) (Manifest, error) { return a.Describer.Describe(ctx) }

// Configure calls the Configurer.
func (a Abilities) Configure(ctx context.Context, cfg *Config) error {
	return a.Configurer.Configure(ctx, cfg)
}

// Send calls the Sender. Without one it fails.
func (a Abilities) Send(ctx context.Context, cmd *SendCommand) Result {
	if a.Sender == nil {
		return unsupported()
	}
	return a.Sender.Send(ctx, cmd)
}

// abilitiesOf finds out which interfaces p implements.
func abilitiesOf(p Plugin) Abilities {
	switch a := p.(type) {
	case Abilities:
		return a
	case *Abilities:
		return *a
	}
	a := Abilities{Describer: p, Configurer: p}
	a.Sender, _ = p.(Sender)
	a.Hooker, _ = p.(Hooker)
	a.Handler, _ = p.(http.Handler)
	a.Lookuper, _ = p.(Lookuper)
	a.Processor, _ = p.(Processor)
	a.Drainer, _ = p.(Drainer)
	a.MetricsWriter, _ = p.(MetricsWriter)
	a.SignalHandler, _ = p.(SignalHandler)
	a.Attacher, _ = p.(Attacher)
	a.ReadMarker, _ = p.(ReadMarker)
	a.Typist, _ = p.(Typist)
	a.AccountDescriber, _ = p.(AccountDescriber)
	a.CallCommander, _ = p.(CallCommander)
	a.ToolServer, _ = p.(ToolServer)
	a.ToolNoticeHandler, _ = p.(ToolNoticeHandler)
	a.Bot, _ = p.(Bot)
	a.BotNoticeHandler, _ = p.(BotNoticeHandler)
	return a
}
