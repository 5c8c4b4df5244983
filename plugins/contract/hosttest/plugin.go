package hosttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// patience bounds every wait of the suite.
const patience = 10 * time.Second

// Plugin is the suite's plugin. It speaks the wire protocol and sends only what the suite tells it
// to. A host finds it at Socket.
type Plugin struct {
	pluginv1.UnimplementedPluginServiceServer

	// Socket is the unix socket at which PluginService is served.
	Socket string
	// Delivery is the way of delivery that Describe answers with.
	Delivery pluginv1.Delivery

	mu      sync.Mutex
	config  *pluginv1.ConfigureRequest
	stream  grpc.BidiStreamingServer[pluginv1.HostFrame, pluginv1.PluginFrame] // nil: no session
	seq     uint64                                                             // seq of the last event in this session
	frames  []*pluginv1.HostFrame                                              // frames of the host in this session
	ended   int                                                                // number of sessions that are over
	changed chan struct{}                                                      // closed and replaced at every change
}

// newPlugin serves a plugin until the test ends.
func newPlugin(tb testing.TB, delivery pluginv1.Delivery) *Plugin {
	tb.Helper()
	dir, err := os.MkdirTemp("", "ht") // a short name, because the path of a socket has at most 107 bytes
	if err != nil {
		tb.Fatal(err)
	}
	p := &Plugin{Socket: filepath.Join(dir, "p.sock"), Delivery: delivery, changed: make(chan struct{})}
	ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "unix", p.Socket)
	if err != nil {
		tb.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(contract.MaxMessageSize)) // a host may be sent more than it takes, so the plugin's own limit is higher
	pluginv1.RegisterPluginServiceServer(server, p)
	pluginv1.RegisterToolServiceServer(server, tool{})
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(ln) }) // ends with Stop
	tb.Cleanup(func() {
		server.Stop()
		served.Wait()
		_ = os.RemoveAll(dir)
	})
	return p
}

// Describe implements PluginService.
func (p *Plugin) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	return &pluginv1.DescribeResponse{
		Id: PluginID, Name: "Suite", Version: "1", Minor: contract.Minor, Delivery: p.Delivery,
		Capabilities: &pluginv1.Capabilities{Text: true, Files: true, Read: true, Receipts: true},
		Abilities:    []string{contract.AbilityProcess},
		Tool:         &pluginv1.ToolInfo{Title: "Suite", AgentStarts: true}, Bot: &pluginv1.BotInfo{}, Calls: &pluginv1.CallInfo{},
	}, nil
}

// Configure implements PluginService.
func (p *Plugin) Configure(_ context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	if !r.GetValidateOnly() {
		p.change(func() { p.config = proto.CloneOf(r) })
	}
	return &pluginv1.ConfigureResponse{}, nil
}

// Session implements PluginService.
func (p *Plugin) Session(stream grpc.BidiStreamingServer[pluginv1.HostFrame, pluginv1.PluginFrame]) error {
	hello := &pluginv1.PluginHello{Minor: contract.Minor}
	if err := stream.Send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Hello{Hello: hello}}); err != nil {
		return err
	}
	p.change(func() { p.stream, p.seq, p.frames = stream, 0, nil })
	defer p.change(func() { p.stream = nil; p.ended++ })
	for {
		f, err := stream.Recv()
		if err != nil {
			return nil // the host has ended the session
		}
		if ping := f.GetPing(); ping != nil {
			p.mu.Lock()
			err = stream.Send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Pong{Pong: &pluginv1.Pong{Id: ping.GetId()}}})
			p.mu.Unlock()
			if err != nil {
				return err
			}
			continue
		}
		p.change(func() { p.frames = append(p.frames, f) })
	}
}

// Drain implements PluginService. It sends a result for every command that has come, whether the
// suite has sent one before or not.
func (p *Plugin) Drain(context.Context, *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.frames {
		for _, c := range f.GetCommands().GetCommands() {
			p.seq++
			ev := result(&pluginv1.Result{CommandId: c.GetCommandId(), Outcome: pluginv1.Outcome_OUTCOME_SENT})
			ev.Seq, ev.Account, ev.Thread = p.seq, c.GetAccount(), c.GetThread()
			if p.stream == nil || p.stream.Send(eventFrame(ev)) != nil {
				return &pluginv1.DrainResponse{}, nil // the session is over already
			}
		}
	}
	return &pluginv1.DrainResponse{}, nil
}

// Metrics implements PluginService.
func (p *Plugin) Metrics(context.Context, *pluginv1.MetricsRequest) (*pluginv1.MetricsResponse, error) {
	return &pluginv1.MetricsResponse{}, nil
}

// tool is the suite's tool. It begins and ends what it is asked to; the suite reports what becomes of a
// session.
type tool struct {
	pluginv1.UnimplementedToolServiceServer
}

// Start implements ToolService.
func (tool) Start(_ context.Context, r *pluginv1.ToolStartRequest) (*pluginv1.ToolStartResponse, error) {
	return &pluginv1.ToolStartResponse{Session: &pluginv1.ToolSession{Session: r.GetSession(), State: pluginv1.SessionState_SESSION_STATE_WAITING}}, nil
}

// End implements ToolService.
func (tool) End(_ context.Context, r *pluginv1.ToolEndRequest) (*pluginv1.ToolEndResponse, error) {
	return &pluginv1.ToolEndResponse{Session: &pluginv1.ToolSession{
		Session: r.GetSession(), State: pluginv1.SessionState_SESSION_STATE_ENDED, Cause: r.GetCause(),
	}}, nil
}

func (p *Plugin) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits until cond holds. cond is called with the mutex held.
func (p *Plugin) until(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		p.mu.Lock()
		ok, changed := cond(), p.changed
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			tb.Fatalf("after %v: no %s", patience, what)
		}
	}
}

// AwaitSession waits until a host has opened a session.
func (p *Plugin) AwaitSession(tb testing.TB) {
	tb.Helper()
	p.until(tb, "session", func() bool { return p.stream != nil })
}

// AwaitAccounts waits until a host has sent a configuration with n accounts.
func (p *Plugin) AwaitAccounts(tb testing.TB, n int) {
	tb.Helper()
	p.until(tb, "configuration with all accounts", func() bool { return len(p.config.GetAccounts()) == n })
}

// find waits until look finds what it looks for in a frame of this session.
func find[T any](tb testing.TB, p *Plugin, what string, look func(*pluginv1.HostFrame) (T, bool)) (found T) {
	tb.Helper()
	p.until(tb, what, func() bool {
		for _, f := range p.frames {
			if v, ok := look(f); ok {
				found = v
				return true
			}
		}
		return false
	})
	return found
}

// send sends a frame of the plugin to the host.
func (p *Plugin) send(f *pluginv1.PluginFrame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream == nil {
		return errors.New("no session")
	}
	if err := p.stream.Send(f); err != nil {
		return fmt.Errorf("send a frame: %w", err)
	}
	return nil
}

func eventFrame(events ...*pluginv1.Event) *pluginv1.PluginFrame {
	return &pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Events{Events: &pluginv1.Events{Events: events}}}
}

// Emit sends an event in the session and waits for its acknowledgement. A host that speaks the wire
// protocol uses it as Host.Emit.
func (p *Plugin) Emit(tb testing.TB, ev *pluginv1.Event) *pluginv1.EventAck {
	tb.Helper()
	ev = proto.CloneOf(ev)
	p.mu.Lock()
	p.seq++
	ev.Seq = p.seq
	p.mu.Unlock()
	if err := p.send(eventFrame(ev)); err != nil {
		tb.Fatal(err)
	}
	return p.ack(tb, ev.GetSeq())
}

func (p *Plugin) ack(tb testing.TB, seq uint64) *pluginv1.EventAck {
	tb.Helper()
	return find(tb, p, "acknowledgement", func(f *pluginv1.HostFrame) (*pluginv1.EventAck, bool) {
		for _, a := range f.GetEventAcks().GetAcks() {
			if a.GetSeq() == seq {
				return a, true
			}
		}
		return nil, false
	})
}

// Gateway is a client of the GatewayService at the socket that Configure named.
func (p *Plugin) Gateway(tb testing.TB) pluginv1.GatewayServiceClient {
	tb.Helper()
	p.mu.Lock()
	socket := p.config.GetGatewaySocket()
	p.mu.Unlock()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(contract.MaxMessageSize), grpc.MaxCallSendMsgSize(contract.MaxMessageSize)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return pluginv1.NewGatewayServiceClient(conn)
}
