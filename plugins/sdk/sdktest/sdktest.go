// Package sdktest runs a plugin inside a test, against a fake gateway: without a process of its
// own, but over the real Session. The fake gateway has a ledger in place of the log, so that
// repeats are recognised as the log would.
//
//	h := sdktest.Start(t, new(myChannel), sdktest.Options{Config: cfg})
//	answer := h.Hook(sdk.HookRequest{Account: "a", Body: body})
//	result := h.Send(sdk.SendCommand{...})
package sdktest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

// patience is how long a Host waits for anything; in a synctest bubble this is fake time.
const patience = 10 * time.Second

// Options say how the fake gateway behaves. The zero value gives the plugin an empty configuration
// and commits every event.
type Options struct {
	// Config is the first configuration. The plugin must accept it.
	Config sdk.Config
	// Answer decides how an event that is not a Result is answered; nil commits it.
	Answer func(sdk.Event) Answer
	// Full reports whether attachments cannot be stored now, so that Blobs().Put returns
	// sdk.ErrNotDurable; nil: they can. Called from several goroutines.
	Full func() bool
	// RefuseBegin makes the gateway refuse every Begin.
	RefuseBegin bool
	// OldHost makes the gateway one of minor 0.
	OldHost bool
	// NoSockets leaves out everything that needs real sockets (key-value store, blobs, grants and
	// HTTP), so that the test can run in a synctest bubble.
	NoSockets bool
	// After is the gateway of an earlier process of the plugin, whose stores and events this one goes on
	// with, as after a crash; nil: a fresh gateway.
	After *Host
	// Log gets the plugin's log; nil discards it.
	Log *slog.Logger
}

// Answer is the answer to an event. The zero value commits it.
type Answer struct {
	Refuse string // not "": the event is refused with this code
	Retry  bool   // the event cannot be made durable now
	Silent bool   // the event gets no answer in this Session
}

// Host is the fake gateway. Its methods fail the test instead of returning errors.
type Host struct {
	tb      testing.TB
	opts    Options
	conn    *grpc.ClientConn
	client  pluginv1.PluginServiceClient
	tools   pluginv1.ToolServiceClient
	ledger  *memgateway.Ledger
	gateway *memgateway.Service
	key     []byte
	dir     string
	session *wirehost.Session

	mu      sync.Mutex
	serial  uint64
	traits  []sdk.AccountTraits
	records map[thread]uint64 // last seq that was published
}

type thread struct {
	account sdk.AccountID
	name    sdk.ThreadID
}

// Start starts p and calls Describe and Configure, and opens the Session. Everything ends with the
// test.
func Start(tb testing.TB, p sdk.Plugin, opts Options) *Host {
	tb.Helper()
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &Host{tb: tb, opts: opts, key: []byte("identity key of the test"), records: map[thread]uint64{}}
	if before := opts.After; before != nil {
		h.ledger, h.gateway = before.ledger, before.gateway
	} else {
		h.ledger, h.gateway = &memgateway.Ledger{}, &memgateway.Service{}
		h.gateway.Full, h.gateway.Owns = opts.Full, h.ledger.Owns
	}
	server := sdk.NewServer(p, log)
	listener := bufconn.Listen(1 << 20)
	rpc := grpc.NewServer(grpc.MaxRecvMsgSize(contract.MaxMessageSize), grpc.MaxSendMsgSize(contract.MaxMessageSize),
		grpc.ForceServerCodecV2(contract.NewCodec(nil)))
	server.Register(rpc)
	go func() { _ = rpc.Serve(listener) }()

	conn, err := grpc.NewClient("passthrough:///plugin",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(contract.MaxMessageSize), grpc.ForceCodecV2(contract.NewCodec(nil))))
	if err != nil {
		tb.Fatalf("sdktest: dial: %v", err)
	}
	h.conn, h.client, h.tools = conn, pluginv1.NewPluginServiceClient(conn), pluginv1.NewToolServiceClient(conn)
	tb.Cleanup(func() {
		if h.session != nil {
			h.session.Cut()
		}
		server.Close()
		_ = conn.Close()
		rpc.Stop()
	})
	if !opts.NoSockets {
		h.openSockets()
	}
	h.ledger.Connected = h.Manifest().Delivery == sdk.Connected
	if err := h.Configure(opts.Config); err != nil {
		tb.Fatalf("sdktest: configure: %v", err)
	}
	h.Connect()
	return h
}

// openSockets serves the GatewayService, in the folder where the plugin makes http.sock.
func (h *Host) openSockets() {
	h.tb.Helper()
	dir, err := os.MkdirTemp("", "sdk") // a short name, because the path of a socket has at most 107 bytes
	if err != nil {
		h.tb.Fatalf("sdktest: %v", err)
	}
	h.dir = dir
	ln, err := (&net.ListenConfig{}).Listen(h.tb.Context(), "unix", filepath.Join(dir, "gateway.sock"))
	if err != nil {
		h.tb.Fatalf("sdktest: %v", err)
	}
	rpc := grpc.NewServer(grpc.MaxRecvMsgSize(contract.MaxMessageSize), grpc.ForceServerCodecV2(contract.NewCodec(nil)))
	pluginv1.RegisterGatewayServiceServer(rpc, h.gateway)
	go func() { _ = rpc.Serve(ln) }()
	h.tb.Cleanup(func() {
		rpc.Stop()
		_ = os.RemoveAll(dir)
	})
}

func (h *Host) minor() uint32 {
	if h.opts.OldHost {
		return 0
	}
	return contract.Minor
}

func (h *Host) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(h.tb.Context(), patience)
}

// Manifest calls Describe.
func (h *Host) Manifest() sdk.Manifest {
	h.tb.Helper()
	ctx, cancel := h.context()
	defer cancel()
	d, err := h.client.Describe(ctx, &pluginv1.DescribeRequest{HostMinor: h.minor()})
	if err != nil {
		h.tb.Fatalf("sdktest: describe: %v", err)
	}
	return sdk.Wire{}.Manifest(d)
}

// Configure sends a configuration and returns the plugin's answer: nil, sdk.Problems,
// sdk.ErrRestart or a failed call.
func (h *Host) Configure(cfg sdk.Config) error {
	h.tb.Helper()
	ctx, cancel := h.context()
	defer cancel()
	req := sdk.Wire{}.Configure(&cfg)
	req.IdentityKey = h.key
	if h.dir != "" {
		req.GatewaySocket, req.HttpSocket = filepath.Join(h.dir, "gateway.sock"), filepath.Join(h.dir, "http.sock")
	}
	resp, err := h.client.Configure(ctx, req)
	switch {
	case err != nil:
		return fmt.Errorf("configure: %w", err)
	case len(resp.GetProblems()) > 0:
		return sdk.Wire{}.Problems(resp.GetProblems())
	case resp.GetRestart():
		return sdk.ErrRestart
	}
	h.mu.Lock()
	h.traits = sdk.Wire{}.Traits(resp.GetAccounts())
	h.mu.Unlock()
	if !cfg.ValidateOnly {
		h.ledger.Configure(req.GetAccounts())
	}
	return nil
}

// Traits returns what the last accepted configuration was answered with: in what single accounts
// differ from the Manifest.
func (h *Host) Traits() []sdk.AccountTraits {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.traits
}

// Connect opens a Session; a former one is cut off as by a lost connection.
func (h *Host) Connect() {
	h.tb.Helper()
	if h.session != nil {
		h.session.Cut()
	}
	hello := wirehost.Hello()
	hello.Minor = h.minor()
	s, err := wirehost.Open(h.tb.Context(), h.conn, hello, wirehost.Policy{
		Ledger: h.ledger,
		Ack:    h.answer,
		Begin: func(b *pluginv1.Begin) *pluginv1.BeginAck {
			return &pluginv1.BeginAck{Seq: b.GetSeq(), CommandId: b.GetCommandId(), Refused: h.opts.RefuseBegin || !h.ledger.Begins(b.GetCommandId())}
		},
	})
	if err != nil {
		h.tb.Fatalf("sdktest: %v", err)
	}
	h.session = s
	h.wait("hello", func(it wirehost.Item) bool { return it.Hello != nil })
}

func (h *Host) answer(wire *pluginv1.Event) *pluginv1.EventAck {
	if h.opts.Answer == nil || wire.GetResult() != nil {
		return h.ledger.Commit(wire)
	}
	ev, err := sdk.Wire{}.Event(wire)
	if err != nil {
		return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_REFUSED, Code: "invalid"}
	}
	switch a := h.opts.Answer(ev); {
	case a.Refuse != "":
		return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_REFUSED, Code: a.Refuse}
	case a.Silent:
		return nil
	case a.Retry:
		return &pluginv1.EventAck{Status: pluginv1.AckStatus_ACK_STATUS_RETRY}
	}
	return h.ledger.Commit(wire)
}

func (h *Host) wait(what string, match func(wirehost.Item) bool) wirehost.Item {
	h.tb.Helper()
	ctx, cancel := h.context()
	defer cancel()
	it, err := h.session.Wait(ctx, match)
	if err != nil {
		h.tb.Fatalf("sdktest: wait for %s: %v", what, err)
	}
	return it
}

func (h *Host) next() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serial++
	return h.serial
}
