package kit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

const (
	startLimit = 10 * time.Second
	logKept    = 64 << 10 // bytes of standard error that are kept
)

// process is one run of the plugin under test.
type process struct {
	cmd   *exec.Cmd
	dir   string
	stdin io.WriteCloser
	conn  *grpc.ClientConn
	pluginv1.PluginServiceClient

	gateway *grpc.Server
	ledger  memgateway.Ledger // used by sessions whose policy has no ledger

	exited chan struct{}
	code   int // valid once exited is closed; -1 = killed by a signal

	mu     sync.Mutex
	stderr []byte   // the end of standard error
	lines  int      // lines of standard error
	long   int      // length of the longest line of standard error, in bytes
	stdout []string // lines of standard output, in order
	line   chan string
}

// launch starts the executable. Its environment contains what the contract names, and then extra.
func launch(opts *Options, extra ...string) (*process, error) {
	dir, err := os.MkdirTemp("", "kit")
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	p := &process{dir: dir, exited: make(chan struct{}), line: make(chan string, 1)}
	// The process must not be killed when a context ends, because the checks judge how it exits.
	p.cmd = exec.Command(opts.Exec, opts.Args...) //nolint:noctx // ended by stop
	p.cmd.Env = append([]string{
		contract.MagicCookieKey + "=" + contract.MagicCookieValue,
		"PLUGIN_PROTOCOL_VERSIONS=" + strconv.Itoa(contract.ProtocolVersion),
		"PLUGIN_UNIX_SOCKET_DIR=" + dir,
		"TMPDIR=" + dir,
	}, opts.Env...)
	p.cmd.Env = append(p.cmd.Env, extra...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err1 := p.cmd.StdinPipe()
	stdout, err2 := p.cmd.StdoutPipe()
	stderr, err3 := p.cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start: %w", err)
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start: %w", err)
	}
	var pumps sync.WaitGroup
	pumps.Go(func() { p.readStdout(stdout) })
	pumps.Go(func() { p.readStderr(stderr) })
	go func() {
		// Wait for the process before the pipes are closed: a grandchild may hold them open.
		state, _ := p.cmd.Process.Wait()
		p.code = state.ExitCode()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) readStdout(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		text, err := in.ReadString('\n')
		if text != "" {
			p.mu.Lock()
			first := len(p.stdout) == 0
			if len(p.stdout) < 100 {
				p.stdout = append(p.stdout, strings.TrimRight(text, "\n"))
			}
			p.mu.Unlock()
			if first {
				p.line <- strings.TrimSpace(text)
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *process) readStderr(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		text, err := in.ReadString('\n')
		p.mu.Lock()
		p.lines++
		p.long = max(p.long, len(text))
		p.stderr = append(p.stderr, text...)
		if len(p.stderr) > 2*logKept {
			p.stderr = append([]byte(nil), p.stderr[len(p.stderr)-logKept:]...)
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// log returns the end of what the process wrote to standard error.
func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.stderr)
}

// output returns what the process wrote to standard error and standard output.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.stderr) + "\n" + strings.Join(p.stdout, "\n")
}

// handshake waits for the handshake line and returns its fields.
func (p *process) handshake(ctx context.Context) ([]string, error) {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case line := <-p.line:
		fields := strings.Split(line, "|")
		if len(fields) < 5 {
			return nil, fmt.Errorf("first line on standard output is %q, want 1|%d|unix|PATH|grpc", line, contract.ProtocolVersion)
		}
		return fields, nil
	case <-p.exited:
		return nil, fmt.Errorf("exited with code %d before the handshake", p.code)
	case <-limit.C:
		return nil, fmt.Errorf("no handshake line within %v", startLimit)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// connect reads the handshake line and connects.
func (p *process) connect(ctx context.Context) error {
	fields, err := p.handshake(ctx)
	if err != nil {
		return err
	}
	if fields[2] != "unix" || fields[4] != "grpc" {
		return fmt.Errorf("handshake names %s over %s, want grpc over unix", fields[4], fields[2])
	}
	p.conn, err = grpc.NewClient("unix:"+fields[3],
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(contract.MaxMessageSize), grpc.MaxCallSendMsgSize(contract.MaxMessageSize),
			grpc.ForceCodecV2(contract.NewCodec(nil))))
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	p.PluginServiceClient = pluginv1.NewPluginServiceClient(p.conn)
	return nil
}

// serveGateway serves the GatewayService, with what store has, on its socket.
func (p *process) serveGateway(ctx context.Context, store *memgateway.Service) error {
	if p.gateway != nil {
		return nil
	}
	ln, err := listenUnix(ctx, p.gatewaySocket())
	if err != nil {
		return err
	}
	p.gateway = grpc.NewServer(grpc.MaxRecvMsgSize(contract.MaxMessageSize), grpc.ForceServerCodecV2(contract.NewCodec(nil)))
	pluginv1.RegisterGatewayServiceServer(p.gateway, store)
	go func() { _ = p.gateway.Serve(ln) }()
	return nil
}

func (p *process) gatewaySocket() string { return filepath.Join(p.dir, "gateway.sock") }
func (p *process) httpSocket() string    { return filepath.Join(p.dir, "http.sock") }

// waitExit waits until the process ends and returns the exit code.
func (p *process) waitExit(limit time.Duration) (int, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.exited:
		return p.code, nil
	case <-t.C:
		return 0, fmt.Errorf("still running after %v", limit)
	}
}

func (p *process) signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal: %w", err)
	}
	return nil
}

// stopped waits until every thread of the process stands still, because SIGSTOP takes effect a
// moment after it was sent. Without procfs it waits for a fixed moment.
func (p *process) stopped(ctx context.Context) error {
	for {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		if err != nil {
			return fmt.Errorf("threads: %w", err)
		}
		still := true
		for _, name := range stats {
			text, err := os.ReadFile(name)
			_, state, found := strings.Cut(string(text), ") ")
			still = still && (err != nil || found && strings.HasPrefix(state, "T"))
		}
		if still && len(stats) > 0 {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
			if len(stats) == 0 {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stop kills the process group and removes the plugin's folder.
func (p *process) stop() {
	if p.conn != nil {
		_ = p.conn.Close()
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
	_ = p.stdin.Close()
	if p.gateway != nil {
		p.gateway.Stop()
	}
	_ = os.RemoveAll(p.dir)
}
