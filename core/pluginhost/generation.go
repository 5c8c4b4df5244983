package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/contract/peercred"
)

// Deadlines of host calls (plugin-notes.md 4.9) and of stopping.
const (
	startTimeout     = 10 * time.Second
	describeTimeout  = 5 * time.Second
	configureTimeout = 15 * time.Second
	sessionTimeout   = 5 * time.Second
	drainTimeout     = 8 * time.Second // for a plugin that declares no other
	metricsTimeout   = 500 * time.Millisecond
	endTimeout       = time.Second
	shutdownTimeout  = 3 * time.Second // for go-plugin's Shutdown, and its own wait
	termTimeout      = 2 * time.Second
	resultTimeout    = 5 * time.Second // for storing the results after a generation's end
)

// Names of the sockets in a generation's directory.
const (
	gatewaySocket = "gw.sock"
	httpSocket    = "http.sock"
)

// generation is one process of a plugin (or one attachment to one) with its
// connection and session.
type generation struct {
	p        *hosted
	number   int
	instance string
	launch   launchSpec
	log      *slog.Logger
	dir      string

	proc    *process         // nil when the plugin is attached
	client  *goplugin.Client // nil when the plugin is attached
	exe     *verified        // the program of a folder plugin
	conn    *grpc.ClientConn
	service pluginv1.PluginServiceClient
	tool    pluginv1.ToolServiceClient // nil when the plugin is no tool
	gateway *gatewayServer

	describe  *pluginv1.DescribeResponse
	info      plugin.Info                              // used by the supervisor only; the session has what is in force
	budgets   map[conversation.AccountID]time.Duration // of webhooks, where an account has its own; replaced as a whole
	placed    map[conversation.AccountID]placement     // used by the supervisor only
	off       offs
	serving   map[conversation.AccountID]struct{} // accounts for one node that the process may be serving; guarded by p.mu
	lapsed    time.Time                           // since when it may be serving one that this node does not hold; zero = it is not; guarded by p.mu
	killed    bool                                // for that; guarded by p.mu
	schemas   schemas
	session   *session
	toolCalls atomic.Int64 // of ToolService, under way
	started   time.Time
	ready     time.Time
	gone      chan struct{} // closed once the process or the session has ended
}

// grpcPlugin makes go-plugin return the connection itself.
type grpcPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
}

// GRPCServer implements goplugin.GRPCPlugin; the host never serves a plugin, so it fails.
func (grpcPlugin) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("the host serves no plugin")
}

// GRPCClient implements goplugin.GRPCPlugin.
func (grpcPlugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// dialOptions are the options of a connection to a plugin; mended is called for each message in
// which the codec had to replace bytes (contract.NewCodec).
func dialOptions(check func(peercred.Peer) error, mended func()) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(peercred.New(check)),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(contract.MaxMessageSize),
			grpc.MaxCallSendMsgSize(contract.MaxMessageSize),
			grpc.ForceCodecV2(contract.NewCodec(mended)),
		),
		grpc.WithInitialWindowSize(1 << 20),
		grpc.WithInitialConnWindowSize(4 << 20),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
	}
}

// spawn starts the child and connects to it.
func (g *generation) spawn(ctx context.Context) error {
	h := g.p.host
	cmd, exe, err := g.launch.command()
	if err != nil {
		return err
	}
	if g.exe = exe; exe != nil {
		g.p.setStarting(StateVerified)
	}
	pump := newLogPump(g.log, &g.p.meters.droppedLines)
	g.proc = newProcess(g.p.id, cmd, h.spawner, pump)
	g.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion: contract.ProtocolVersion,
			MagicCookieKey:  contract.MagicCookieKey, MagicCookieValue: contract.MagicCookieValue,
		},
		VersionedPlugins: map[int]goplugin.PluginSet{
			contract.ProtocolVersion: {contract.PluginName: grpcPlugin{}},
		},
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, dir string) (runner.Runner, error) {
			cmd.Env = append(append(cmd.Env, spec.Env...), runMark(h.run))
			g.dir, g.proc.dir = dir, dir
			return g.proc, nil
		},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		StartTimeout:     startTimeout,
		SkipHostEnv:      true,
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       lineWriter{pump: pump, stream: "stdout"},
		SyncStderr:       lineWriter{pump: pump, stream: "stderr"},
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: h.runDir},
		GRPCDialOptions: dialOptions(func(peer peercred.Peer) error {
			return peercred.PID(g.proc.pid)(peer)
		}, g.p.meters.mended.Inc),
	})
	// go-plugin's waits have no context: killing the process group ends them.
	stop := context.AfterFunc(ctx, func() { g.kill() })
	defer stop()
	if _, err := g.client.Start(); err != nil {
		return g.startError(ctx, err)
	}
	timer := time.AfterFunc(startTimeout, func() { g.kill() })
	defer timer.Stop()
	protocol, err := g.client.Client()
	if err != nil {
		return g.startError(ctx, err)
	}
	raw, err := protocol.Dispense(contract.PluginName)
	if err != nil {
		return g.startError(ctx, err)
	}
	conn, ok := raw.(*grpc.ClientConn)
	if !ok {
		return fmt.Errorf("start %s: no connection", g.p.id)
	}
	g.conn = conn
	return nil
}

// exitError says how a child process ended before it was ready.
type exitError struct {
	plugin string
	code   int
	signal string
	err    error
}

func (e *exitError) Error() string {
	how := fmt.Sprintf("exit code %d", e.code)
	if e.signal != "" {
		how = "signal " + e.signal
	}
	return fmt.Sprintf("plugin %s ended while it started: %s", e.plugin, how)
}

func (e *exitError) Unwrap() error { return e.err }

// startError reports the child's own end, if it has ended, rather than go-plugin's error.
func (g *generation) startError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("start %s: %w", g.p.id, context.Cause(ctx))
	}
	if g.proc == nil || g.proc.pid == 0 {
		return err
	}
	select {
	case <-g.proc.exited:
	case <-time.After(pipeGrace):
		return fmt.Errorf("start %s: %w", g.p.id, err)
	}
	if g.proc.killedByStart() {
		return fmt.Errorf("start %s: %w", g.p.id, err)
	}
	code, signal := g.proc.exit()
	return &exitError{plugin: g.p.id, code: code, signal: signal, err: err}
}

// attach connects to a plugin that was started by somebody else. The host never sends signals to
// its process.
func (g *generation) attach() error {
	dir, err := os.MkdirTemp(g.p.host.runDir, dirPrefix)
	if err != nil {
		return fmt.Errorf("attach %s: %w", g.p.id, err)
	}
	g.dir = dir
	g.conn, err = grpc.NewClient("unix:"+g.launch.spec.Attach, dialOptions(peercred.UID(os.Getuid()), g.p.meters.mended.Inc)...)
	if err != nil {
		return fmt.Errorf("attach %s: %w", g.p.id, err)
	}
	return nil
}

// connect takes the generation to the point where Describe is answered.
func (g *generation) connect(ctx context.Context) error {
	var err error
	if g.launch.spec.Attach != "" {
		err = g.attach()
	} else {
		err = g.spawn(ctx)
	}
	if err != nil {
		return err
	}
	g.service = pluginv1.NewPluginServiceClient(g.conn)
	if g.proc != nil {
		go func() {
			<-g.proc.exited
			g.markGone()
		}()
	}
	if err := g.askDescribe(ctx); err != nil {
		return err
	}
	return g.serveGateway()
}

func (g *generation) markGone() {
	g.p.mu.Lock()
	defer g.p.mu.Unlock()
	select {
	case <-g.gone:
	default:
		close(g.gone)
	}
}

// over reports whether the process or the session has ended.
func (g *generation) over() bool {
	select {
	case <-g.gone:
		return true
	default:
		return false
	}
}

// exited reports whether the process has ended.
func (g *generation) exited() bool {
	if g.proc == nil {
		return false
	}
	select {
	case <-g.proc.exited:
		return true
	default:
		return false
	}
}

func (g *generation) askDescribe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	d, err := g.service.Describe(ctx, &pluginv1.DescribeRequest{HostMinor: contract.Minor})
	if err != nil {
		return g.callFailed(ctx, "describe", err)
	}
	if d.GetId() != g.p.id {
		return fmt.Errorf("%w: started as %s, the plugin calls itself %q", errProtocol, g.p.id, d.GetId())
	}
	schemas, err := compileSchemas(d)
	if err != nil {
		return fmt.Errorf("describe: plugin %s: %w", g.p.id, err)
	}
	if g.info, err = wire.Info(d); err != nil {
		return fmt.Errorf("%w: describe: plugin %s: %w", errProtocol, g.p.id, err)
	}
	if g.info.Tool != nil {
		g.tool = pluginv1.NewToolServiceClient(g.conn)
	}
	g.describe, g.schemas = d, schemas
	return nil
}

// callFailed returns the error of a call. A child that is ending gets a moment to end, since its
// connection breaks before the process is gone.
func (g *generation) callFailed(ctx context.Context, op string, err error) error {
	if g.proc != nil && ctx.Err() == nil && status.Code(err) == codes.Unavailable {
		select {
		case <-g.proc.exited:
		case <-time.After(pipeGrace):
		}
		select {
		case <-g.proc.exited:
			code, signal := g.proc.exit()
			return &exitError{plugin: g.p.id, code: code, signal: signal, err: fmt.Errorf("%s: %w", op, ErrGone)}
		default:
		}
	}
	return callError(ctx, g.gone, g.p.id, op, err)
}

func (g *generation) serveGateway() error {
	h := g.p.host
	check := peercred.UID(os.Getuid())
	if g.proc != nil {
		check = peercred.PID(g.proc.pid)
	}
	gw, err := newGatewayServer(filepath.Join(g.dir, gatewaySocket), check, &gatewayService{
		plugin: g.p.id, instance: g.instance, owned: g.p.ownedAccounts, owns: g.p.owns,
		blobs: h.opts.Blobs, grants: h.opts.Grants, kv: h.opts.KV,
	}, g.p.meters.mended.Inc)
	if err != nil {
		return fmt.Errorf("start %s: %w", g.p.id, err)
	}
	g.gateway = gw
	return nil
}

// openSession opens the session with a configured plugin.
func (g *generation) openSession(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	s := newSession(sessionConfig{
		plugin: g.p.id, instance: g.instance, core: g.p.host.opts.Core, owns: g.p.owns, status: g.p.accountStatus,
		log: g.log, meters: g.p.meters, poison: g.p.poison, describe: g.describe, info: g.info, off: g.offNow(), serveFor: g.serveFor, storing: g.p.host.ctx,
	})
	hello := &pluginv1.HostHello{
		Minor: wire.Minor(g.describe), Instance: g.instance, Node: g.p.host.opts.Node,
		EventWindow: contract.EventWindow, EventWindowBytes: contract.EventWindowBytes,
		CommandWindow: contract.CommandWindow, AccountWindow: contract.AccountWindow,
	}
	err := s.open(ctx, hello, func(ctx context.Context) (frameStream, error) { return g.service.Session(ctx) })
	if err != nil {
		return g.callFailed(ctx, "session", err)
	}
	g.session = s
	go func() {
		<-s.done
		g.markGone()
	}()
	return nil
}

// kill ends the child's whole process group at once.
func (g *generation) kill() {
	if g.proc != nil {
		g.proc.abort()
	}
}

// maxDrain is the longest time for which a plugin may ask.
const maxDrain = time.Hour

// drainTime returns how long the plugin may take to finish: what it declares, as far as the operator
// allows it.
func (g *generation) drainTime() time.Duration {
	declared := time.Duration(g.describe.GetDrainMs()) * time.Millisecond
	if declared == 0 {
		declared = drainTimeout
	}
	return min(declared, maxDrain, max(g.p.host.opts.DrainLimit, drainTimeout))
}

// hurry ends a drain in time for the end of the host, which may have begun meanwhile.
func (g *generation) hurry(ctx context.Context, cancel func()) {
	by := g.p.host.endingBy()
	if by.IsZero() {
		return
	}
	if sleep(ctx, time.Until(by)) {
		cancel()
	}
}

// endingBy returns when plugins must have finished because the host ends; zero: nobody hurries.
func (h *Host) endingBy() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.endBy
}

// drain lets the plugin finish: it sends no new commands, calls Drain and ends the session.
func (g *generation) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.drainTime())
	defer cancel()
	defer afterClosed(g.p.quit, func() { g.hurry(ctx, cancel) })()
	defer afterClosed(g.gone, cancel)() // if the plugin freezes now, the pings find it
	last := g.session.stopCommands()
	deadline, _ := ctx.Deadline()
	if by := g.p.host.endingBy(); !by.IsZero() && by.Before(deadline) {
		deadline = by
	}
	req := &pluginv1.DrainRequest{LastCommandSeq: last, DeadlineMs: uint32(max(1, time.Until(deadline).Milliseconds()))}
	if _, err := g.service.Drain(ctx, req); err == nil {
		_ = g.session.settled(ctx) // commands that are left stay with the core
	}
	end, stop := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer stop()
	g.session.end(end)
}

// stop ends the process and frees everything, gently if possible and wanted. It is called once for
// every generation, however the generation ended.
func (g *generation) stop(gentle bool) {
	if g.session != nil {
		g.session.fail(errFinished)
		<-g.session.done
	}
	if g.gateway != nil {
		g.gateway.close()
	}
	if g.client != nil {
		g.stopChild(gentle)
	}
	if g.conn != nil {
		_ = g.conn.Close()
	}
	g.servesNothing()
	g.markGone()
	if g.exe != nil && g.exe != g.launch.kept {
		g.exe.close()
	}
	if g.dir != "" {
		_ = os.RemoveAll(g.dir)
	}
}

func (g *generation) stopChild(gentle bool) {
	if !gentle {
		g.kill()
	}
	killed := make(chan struct{})
	// Kill has no deadline of its own, but it returns when the process group has ended.
	go func() {
		g.client.Kill()
		close(killed)
	}()
	if g.proc == nil || g.proc.pid == 0 {
		<-killed
		return
	}
	if gentle {
		g.proc.release()
		if !g.exitsWithin(shutdownTimeout) {
			g.proc.signal(syscall.SIGTERM)
			if !g.exitsWithin(termTimeout) {
				g.kill()
			}
		}
	}
	<-g.proc.done
	<-killed
}

func (g *generation) exitsWithin(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-g.proc.exited:
		return true
	case <-t.C:
		return false
	case <-g.p.host.ctx.Done(): // Close does not wait for this
		g.kill()
		return true
	}
}
