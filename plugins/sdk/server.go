package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

const (
	describeDeadline  = 5 * time.Second
	configureDeadline = 15 * time.Second
	drainDeadline     = 8 * time.Second
	metricsDeadline   = 500 * time.Millisecond
)

// Server serves a Plugin over gRPC. Serve makes one; test harnesses make their own, register it at
// their gRPC server and Close it.
type Server struct {
	pluginv1.UnimplementedPluginServiceServer

	abilities Abilities
	log       *slog.Logger
	peer      credentials.TransportCredentials // which peers to trust on the sockets
	ctx       context.Context                  //nolint:containedctx // ends with the plugin
	cancel    context.CancelFunc
	work      sync.WaitGroup // every goroutine that runs the plugin's code

	out     *outbox
	cmds    *commands
	subs    *subscriptions
	lanes   *threadLanes
	hooks   pool
	signals lane

	tools       *toolService
	toolNotices lane
	bots        *bots
	botNotices  lane

	hello     atomic.Pointer[pluginv1.HostHello]
	sessionMu sync.Mutex
	session   *session // the latest one

	configMu     sync.Mutex // lets only one Configure run at a time
	accepted     atomic.Bool
	needsBegin   atomic.Bool
	hostMinor    atomic.Uint32            // what the host said when it last asked for Describe
	callCommands atomic.Pointer[[]string] // what the manifest declares
	serving      serving
	gateway      gateway
	web          web
	stop         chan error // room for one; says that the process cannot go on

	drainOnce    sync.Once
	drainErr     error
	beginWarning sync.Once
	mendWarning  sync.Once
	oldWarning   sync.Once

	unknownFrames, panics, droppedSignals, mendedMessages atomic.Uint64
}

// NewServer returns a Server for p. It starts nothing before the first call arrives; Close ends
// what was started.
func NewServer(p Plugin, log *slog.Logger) *Server {
	return newServer(p, log, insecure.NewCredentials())
}

func newServer(p Plugin, log *slog.Logger, peer credentials.TransportCredentials) *Server {
	s := &Server{
		abilities: abilitiesOf(p), log: log, peer: peer,
		cmds: newCommands(), lanes: newThreadLanes(),
		hooks: pool{limit: hookWorkers, queue: hookQueue},
		stop:  make(chan error, 1),
	}
	s.out = newOutbox(func(f func()) { s.guard("acknowledgement", f) })
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.subs = &subscriptions{srv: s, open: map[uint64]*subscription{}}
	s.tools = newToolService(s)
	s.bots = &bots{srv: s, open: map[botKey]*botReader{}}
	return s
}

// Register adds the PluginService, and a tool's ToolService, to a gRPC server, which must allow
// messages of contract.MaxMessageSize.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	pluginv1.RegisterPluginServiceServer(r, s)
	if s.abilities.ToolServer != nil {
		pluginv1.RegisterToolServiceServer(r, s.tools)
	}
}

// Close ends the plugin's context, the Session and the HTTP listener, and waits for all goroutines.
// Events that are unacknowledged end with ErrStopped.
func (s *Server) Close() {
	s.cancel()
	s.sessionMu.Lock()
	if s.session != nil {
		s.session.cancel(status.Error(codes.Unavailable, "plugin stopped"))
		<-s.session.done
	}
	s.sessionMu.Unlock()
	s.closeServing()
	s.subs.closeAll()
	s.out.close()
	s.web.close()
	s.work.Wait()
	s.gateway.close()
}

// mended counts messages in which the codec had to replace bytes.
func (s *Server) mended() {
	s.mendedMessages.Add(1)
	s.mendWarning.Do(func() { s.log.Warn("a message had a string that is not UTF-8; its bad bytes were replaced") })
}

// tooOld says once that the host does not know something that a webhook reported.
func (s *Server) tooOld() {
	s.oldWarning.Do(func() { s.log.Warn("webhooks report events that this gateway does not know; they are left out") })
}

func (s *Server) configured() bool { return s.accepted.Load() }

// Describe implements PluginService.
func (s *Server) Describe(ctx context.Context, req *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, describeDeadline)
	defer cancel()
	m, err := s.manifest(ctx)
	if err != nil {
		return nil, err
	}
	if m.Delivery == NoChannel {
		m.MinHostMinor = max(m.MinHostMinor, 1)
	}
	if m.MinHostMinor > req.GetHostMinor() {
		return nil, contract.Error(codes.FailedPrecondition, contract.ReasonVersion, fmt.Sprintf(
			"%s %s needs contract %d.%d or newer, this gateway has %d.%d",
			m.ID, m.Version, contract.ProtocolVersion, m.MinHostMinor, contract.ProtocolVersion, req.GetHostMinor()))
	}
	out := manifestToWire(&m)
	s.hostMinor.Store(req.GetHostMinor())
	out.Minor = contract.Minor
	out.Abilities = s.abilities.names(&m, req.GetHostMinor())
	contract.Strip(out, req.GetHostMinor())
	return out, nil
}

// manifest calls Describe and checks that the plugin implements what its answer declares.
func (s *Server) manifest(ctx context.Context) (Manifest, error) {
	var m Manifest
	var err error
	if !s.guard("describe", func() { m, err = s.abilities.Describer.Describe(ctx) }) {
		return m, status.Error(codes.Internal, "describe: the plugin panicked")
	}
	if err != nil {
		return m, status.Error(codes.Internal, "describe: "+err.Error())
	}
	if err := s.abilities.check(&m); err != nil {
		return m, status.Error(codes.FailedPrecondition, "describe: "+err.Error())
	}
	s.needsBegin.Store(!m.IdempotentSend && m.Delivery == StoreAndForward)
	if m.Calls != nil {
		s.callCommands.Store(&m.Calls.Commands)
	}
	return m, nil
}

// names lists the optional abilities for Describe to a host of that minor version.
func (a *Abilities) names(m *Manifest, minor uint32) []string {
	var names []string
	if a.Processor != nil {
		names = append(names, contract.AbilityProcess)
	}
	if a.Drainer != nil {
		names = append(names, contract.AbilityDrain)
	}
	if a.MetricsWriter != nil {
		names = append(names, contract.AbilityMetrics)
	}
	if a.SignalHandler != nil {
		names = append(names, contract.AbilitySignals)
	}
	if minor < 1 {
		return names
	}
	if a.ReadMarker != nil {
		names = append(names, contract.AbilityMarkRead)
	}
	if a.Typist != nil {
		names = append(names, contract.AbilityTyping)
	}
	if m.Templates {
		names = append(names, contract.AbilityTemplates)
	}
	return names
}

// check refuses a manifest that declares what the plugin does not implement.
func (a *Abilities) check(m *Manifest) error {
	switch {
	case m.ID == "":
		return errors.New("manifest without an ID")
	case m.Delivery != StoreAndForward && m.Delivery != Connected && m.Delivery != NoChannel:
		return errors.New("manifest without a Delivery")
	case m.Delivery == StoreAndForward && a.Sender == nil:
		return errors.New("manifest says StoreAndForward, but the plugin is no Sender")
	case m.Delivery == NoChannel && m.Tool == nil && m.Bot == nil:
		return errors.New("manifest says NoChannel, but has neither a Tool nor a Bot")
	case m.Hook != nil && a.Hooker == nil:
		return errors.New("manifest has a Hook, but the plugin is no Hooker")
	case len(m.Routes) > 0 && a.Handler == nil:
		return errors.New("manifest has Routes, but the plugin is no http.Handler")
	case m.CanLookup && a.Lookuper == nil:
		return errors.New("manifest says CanLookup, but the plugin is no Lookuper")
	}
	return a.checkNewer(m)
}

// checkNewer checks what minor 1 added to the manifest.
func (a *Abilities) checkNewer(m *Manifest) error {
	switch {
	case m.Tool != nil && a.ToolServer == nil:
		return errors.New("manifest has a Tool, but the plugin is no ToolServer")
	case m.Tool != nil && m.Tool.Title == "":
		return errors.New("manifest has a Tool without a Title")
	case m.Bot != nil && a.Bot == nil && a.BotNoticeHandler == nil:
		return errors.New("manifest has a Bot, but the plugin is neither a Bot nor a BotNoticeHandler")
	case m.Calls != nil && a.CallCommander == nil:
		return errors.New("manifest has Calls, but the plugin is no CallCommander")
	case m.Silence < 0 || m.Silence > contract.MaxSilence*time.Millisecond:
		return fmt.Errorf("manifest's Silence is %v, at most 30s", m.Silence)
	case m.Drain < 0 || m.Drain > contract.MaxDrain*time.Millisecond:
		return fmt.Errorf("manifest's Drain is %v, at most 1h", m.Drain)
	}
	if m.Calls == nil {
		return nil
	}
	for i, name := range m.Calls.Commands {
		if !slices.Contains(callNames, name) || slices.Contains(m.Calls.Commands[:i], name) {
			return fmt.Errorf("manifest's Calls name %q, which is unknown or named twice", name)
		}
	}
	return nil
}

// callNames are the names of all call commands.
var callNames = CallCommands(
	CallDial{}, CallInvite{}, CallRing{}, CallAnswer{}, CallHearing{}, CallHold{}, CallMute{}, CallVideo{}, CallSendDigits{},
	CallTransfer{}, CallPlay{}, CallStop{}, CallRecord{}, CallHangUp{},
)

// Configure implements PluginService. At the first accepted configuration it also attaches the
// plugin and opens its HTTP socket.
func (s *Server) Configure(ctx context.Context, req *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, configureDeadline)
	defer cancel()

	cfg := configFromWire(req)
	var err error
	if !s.guard("configure", func() { err = s.abilities.Configurer.Configure(ctx, cfg) }) {
		return nil, status.Error(codes.Internal, "configure: the plugin panicked")
	}
	var problems Problems
	switch {
	case err == nil:
	case errors.As(err, &problems):
		return &pluginv1.ConfigureResponse{Problems: problemsToWire(problems), Restart: errors.Is(err, ErrRestart)}, nil
	case errors.Is(err, ErrRestart):
		return &pluginv1.ConfigureResponse{Restart: true}, nil
	default:
		return nil, status.Error(codes.Internal, "configure: "+err.Error())
	}
	traits, err := s.traits(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if req.GetValidateOnly() {
		return &pluginv1.ConfigureResponse{Accounts: traits}, nil
	}
	if err = s.apply(ctx, req); err == nil {
		err = s.noteServing(ctx, req, traits)
	}
	if err != nil {
		select {
		case s.stop <- err:
		default:
		}
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return &pluginv1.ConfigureResponse{Accounts: traits}, nil
}

// traits asks the plugin in what single accounts differ. A host of minor 0 is told nothing.
func (s *Server) traits(ctx context.Context, cfg *Config) ([]*pluginv1.AccountTraits, error) {
	a := s.abilities.AccountDescriber
	if a == nil || s.hostMinor.Load() < 1 {
		return nil, nil
	}
	var list []AccountTraits
	var err error
	if !s.guard("describe accounts", func() { list, err = a.DescribeAccounts(ctx, cfg) }) {
		return nil, status.Error(codes.Internal, "configure: the plugin panicked")
	}
	if err != nil {
		return nil, status.Error(codes.Internal, "configure: describe accounts: "+err.Error())
	}
	seen := map[AccountID]bool{}
	for _, t := range list {
		if seen[t.Account] || !slices.ContainsFunc(cfg.Accounts, func(one Account) bool { return one.ID == t.Account }) {
			return nil, status.Error(codes.Internal, "configure: traits of an account that is not configured, or twice of one")
		}
		seen[t.Account] = true
	}
	return traitsToWire(list), nil
}

func (s *Server) apply(ctx context.Context, req *pluginv1.ConfigureRequest) error {
	s.web.key.Store(new(req.GetIdentityKey()))
	s.out.forgetStatuses(func(id AccountID) bool {
		for _, a := range req.GetAccounts() {
			if AccountID(a.GetId()) == id {
				return true
			}
		}
		return false
	})
	s.gateway.use(req.GetGatewaySocket(), s.peer, s.mended)
	m, err := s.manifest(ctx)
	if err != nil {
		return err
	}
	if err := s.attachPlugin(); err != nil {
		return err
	}
	if len(m.Routes) > 0 && req.GetHttpSocket() != "" {
		if err := s.web.serve(s, req.GetHttpSocket(), m.Routes); err != nil {
			return err
		}
	}
	s.accepted.Store(true)
	return nil
}

// attachPlugin gives the plugin its Host, once.
func (s *Server) attachPlugin() error {
	a := s.abilities.Attacher
	if a == nil || s.accepted.Load() {
		return nil
	}
	var err error
	if !s.guard("attach", func() { err = a.Attach(s.ctx, &host{srv: s}) }) {
		return errors.New("attach: the plugin panicked")
	}
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	return nil
}

// Drain implements PluginService.
func (s *Server) Drain(ctx context.Context, req *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	limit := durationOf(req.GetDeadlineMs())
	if limit == 0 {
		limit = drainDeadline
	}
	// End early enough for the answer to arrive before the host stops waiting.
	ctx, cancel := context.WithTimeout(ctx, limit-limit/20)
	defer cancel()
	if err := s.drain(ctx, req.GetLastCommandSeq()); err != nil {
		s.log.Warn("drain incomplete", "err", err)
	}
	return &pluginv1.DrainResponse{}, nil
}

// drain waits until commands and hooks have settled, then lets the plugin finish its own work, and
// then waits until the host has acknowledged everything.
func (s *Server) drain(ctx context.Context, lastCommand uint64) error {
	if err := s.cmds.wait(ctx, lastCommand); err != nil {
		return fmt.Errorf("commands: %w", err)
	}
	if err := await(ctx, s.hooks.done()); err != nil {
		return fmt.Errorf("hooks: %w", err)
	}
	if d := s.abilities.Drainer; d != nil {
		s.drainOnce.Do(func() {
			if !s.guard("drain", func() { s.drainErr = d.Drain(ctx) }) {
				s.drainErr = errors.New("the plugin panicked")
			}
		})
		if s.drainErr != nil {
			return s.drainErr
		}
	}
	if err := await(ctx, s.out.drained()); err != nil {
		return fmt.Errorf("acknowledgements: %w", err)
	}
	return nil
}

func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Metrics implements PluginService: the plugin's own series and the SDK's.
func (s *Server) Metrics(ctx context.Context, _ *pluginv1.MetricsRequest) (*pluginv1.MetricsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, metricsDeadline)
	defer cancel()
	var text bytes.Buffer
	if m := s.abilities.MetricsWriter; m != nil {
		var err error
		if !s.guard("metrics", func() { err = m.WriteMetrics(ctx, &text) }) {
			return nil, status.Error(codes.Internal, "metrics: the plugin panicked")
		}
		if err != nil {
			return nil, status.Error(codes.Internal, "metrics: "+err.Error())
		}
		if n := text.Len(); n > 0 && text.Bytes()[n-1] != '\n' {
			text.WriteByte('\n')
		}
	}
	unacked, dropped := s.out.counts()
	for _, one := range []struct {
		name, kind, help string
		value            uint64
	}{
		{"sdk_events_unacknowledged", "gauge", "Events emitted and not yet acknowledged.", uint64(unacked)},
		{"sdk_signals_dropped_total", "counter", "Signals shed in either direction.", dropped + s.droppedSignals.Load()},
		{"sdk_mended_messages_total", "counter", "Messages in either direction with strings that were not UTF-8.", s.mendedMessages.Load()},
		{"sdk_unknown_frames_total", "counter", "Session frames of a kind that this SDK does not know.", s.unknownFrames.Load()},
		{"sdk_panics_total", "counter", "Contained panics.", s.panics.Load()},
	} {
		fmt.Fprintf(&text, "# HELP %[1]s %[2]s\n# TYPE %[1]s %[3]s\n%[1]s %[4]d\n", one.name, one.help, one.kind, one.value)
	}
	return &pluginv1.MetricsResponse{Text: text.Bytes()}, nil
}
