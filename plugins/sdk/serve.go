package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/parley-gateway/parley/plugins/contract"
	"github.com/parley-gateway/parley/plugins/contract/peercred"
)

// stopGrace is how long a plugin may take to finish after SIGTERM; the supervisor kills it after 2
// s.
const stopGrace = 1500 * time.Millisecond

// Serve runs p as a plugin process and does not return: it exits with 0 after an orderly stop, with
// contract.ExitConfig or contract.ExitVersion where the process would fail again if it were started
// at once, and with 1 otherwise. A plugin may read flags and environment variables before the call;
// its settings come with Configure.
func Serve(p Plugin) { os.Exit(serve(p)) }

func serve(p Plugin) int {
	// go-plugin replaces os.Stdout and os.Stderr while it serves; the logger keeps the real
	// standard error.
	log := newLogger(os.Stderr, os.Getenv(contract.LogLevelEnv))
	if socket := os.Getenv(contract.AttachEnv); socket != "" {
		return serveAttached(p, log, socket)
	}
	parent := os.Getppid()
	if os.Getenv(contract.MagicCookieKey) != contract.MagicCookieValue {
		_, _ = fmt.Fprintln(os.Stderr, "This is a Parley plugin. The gateway starts it; see `parley plugin add`.")
		return 1
	}
	if !speaksOurVersion(os.Getenv("PLUGIN_PROTOCOL_VERSIONS")) {
		log.Error("the gateway does not speak this plugin's contract", "version", contract.ProtocolVersion,
			"gateway", os.Getenv("PLUGIN_PROTOCOL_VERSIONS"))
		return contract.ExitVersion
	}

	srv := newServer(p, log, peercred.New(peercred.PID(parent)))
	ended := make(chan int, 1)
	watchLife(parent, os.Stdin)
	go func() { ended <- awaitStop(srv) }()
	go func() {
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig: plugin.HandshakeConfig{
				MagicCookieKey: contract.MagicCookieKey, MagicCookieValue: contract.MagicCookieValue,
			},
			VersionedPlugins: map[int]plugin.PluginSet{
				contract.ProtocolVersion: {contract.PluginName: &grpcPlugin{srv: srv}},
			},
			GRPCServer: srv.grpcServer,
			Logger: hclog.New(&hclog.LoggerOptions{
				Level: hclog.Warn, Output: lineLogger{log}, DisableTime: true,
			}),
		})
		ended <- 0
	}()
	return <-ended
}

// grpcServer makes the gRPC server, for plugins that are started and for those that are attached.
func (s *Server) grpcServer(opts []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(opts,
		grpc.Creds(s.peer),
		grpc.MaxRecvMsgSize(contract.MaxMessageSize),
		grpc.MaxSendMsgSize(contract.MaxMessageSize),
		grpc.ForceServerCodecV2(contract.NewCodec(s.mended)),
	)...)
}

// serveAttached listens on a socket that the developer has chosen, for a gateway of the same user.
// Gateways may connect one after another; SIGTERM ends the process.
func serveAttached(p Plugin, log *slog.Logger, socket string) int {
	srv := newServer(p, log, peercred.New(peercred.UID(os.Getuid())))
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Error("socket is in the way", "err", err)
		return 1
	}
	ln, err := (&net.ListenConfig{}).Listen(srv.ctx, "unix", socket)
	if err != nil {
		log.Error("cannot listen", "err", err)
		return 1
	}
	rpc := srv.grpcServer(nil)
	srv.Register(rpc)
	go func() { _ = rpc.Serve(ln) }() // returns when the server is stopped
	log.Info("waiting for a gateway to attach", "socket", socket)
	code := awaitStop(srv)
	rpc.Stop()
	srv.Close()
	return code
}

// speaksOurVersion reads go-plugin's list of major versions; if the host gives none, the handshake
// line tells it the version.
func speaksOurVersion(list string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), fmt.Sprint(contract.ProtocolVersion))
}

// awaitStop waits for SIGTERM, or until the plugin cannot go on, and returns the exit code.
func awaitStop(srv *Server) int {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	select {
	case <-term:
		ctx, cancel := context.WithTimeout(srv.ctx, stopGrace)
		defer cancel()
		if err := srv.drain(ctx, 0); err != nil {
			srv.log.Warn("stopped with work left", "err", err)
		}
		return 0
	case err := <-srv.stop:
		srv.log.Error("plugin cannot start", "err", err)
		// Leave time to send Configure's answer, which reports the same.
		time.Sleep(100 * time.Millisecond)
		if errors.Is(err, ErrNeedsConfig) {
			return contract.ExitConfig
		}
		return 1
	}
}

// watchLife exits at once when the gateway is gone: standard input ends then, and if another
// process has inherited that pipe, the parent process changes.
func watchLife(parent int, stdin io.Reader) {
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		os.Exit(0)
	}()
	go func() {
		for range time.Tick(500 * time.Millisecond) {
			if os.Getppid() != parent {
				os.Exit(0)
			}
		}
	}()
}

// newLogger writes JSON lines with time, level and msg.
func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}))
}

// lineLogger turns lines that go-plugin logs into log records.
type lineLogger struct{ log *slog.Logger }

// Write implements io.Writer.
func (l lineLogger) Write(p []byte) (int, error) {
	l.log.Warn("plugin transport", "line", strings.TrimSpace(string(p)))
	return len(p), nil
}

// grpcPlugin is how go-plugin knows the plugin.
type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	srv *Server
}

// GRPCServer implements plugin.GRPCPlugin.
func (g *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	g.srv.Register(s)
	return nil
}

// GRPCClient implements plugin.GRPCPlugin; a plugin never calls it.
func (g *grpcPlugin) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin does not dispense itself")
}
