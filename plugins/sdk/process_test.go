package sdk_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
)

// Environment variables that make the test binary run as another program.
const (
	pluginEnv   = "SDK_TEST_PLUGIN"   // run as a plugin of this kind
	strangerEnv = "SDK_TEST_STRANGER" // a process that tries to connect to these sockets
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(pluginEnv); kind != "" {
		sdk.Serve(testPlugin(kind))
	}
	if sockets := os.Getenv(strangerEnv); sockets != "" {
		os.Exit(stranger(strings.Split(sockets, ",")))
	}
	goleak.VerifyTestMain(m)
}

func testPlugin(kind string) sdk.Plugin {
	a := sdk.Abilities{
		Describer: sdk.DescribeFunc(func(context.Context) (sdk.Manifest, error) {
			m := sdk.Manifest{ID: "test", Version: "1", Delivery: sdk.Connected, Routes: []sdk.Route{{Access: sdk.Public}}}
			if kind == "needs-newer" {
				m.MinHostMinor = 99
			}
			return m, nil
		}),
		Configurer: sdk.ConfigureFunc(func(context.Context, *sdk.Config) error { return nil }),
		Sender:     sdk.SendFunc(func(context.Context, *sdk.SendCommand) sdk.Result { return sdk.Sent() }),
		Handler:    http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") }),
		Attacher: sdk.AttachFunc(func(_ context.Context, h sdk.Host) error {
			switch kind {
			case "needs-config":
				return fmt.Errorf("no port given: %w", sdk.ErrNeedsConfig)
			case "cannot-start":
				return errors.New("no such device")
			case "prints":
				fmt.Println("to standard output")
				h.Logger().Info("hello", "account", "a")
			}
			return nil
		}),
	}
	return a
}

// stranger tries to connect to each socket and returns how many accepted it.
func stranger(sockets []string) int {
	let := 0
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, path := range sockets {
		if strings.HasSuffix(path, "http.sock") {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
			if err != nil {
				continue
			}
			_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
			if answer, _ := io.ReadAll(conn); len(answer) > 0 {
				let++
			}
			_ = conn.Close()
			continue
		}
		conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			continue
		}
		if _, err := pluginv1.NewPluginServiceClient(conn).Describe(ctx, &pluginv1.DescribeRequest{}); err == nil {
			let++
		}
		_ = conn.Close()
	}
	return let
}

// child is a plugin process that the test has started.
type child struct {
	cmd    *exec.Cmd
	dir    string
	socket string
	stdin  io.WriteCloser
	stderr *strings.Builder
	client pluginv1.PluginServiceClient
}

func spawn(t *testing.T, kind string, env ...string) (*child, error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "sdk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &child{dir: dir, stderr: &strings.Builder{}}
	c.cmd = exec.CommandContext(t.Context(), os.Args[0])
	c.cmd.Env = append([]string{
		pluginEnv + "=" + kind, contract.MagicCookieKey + "=" + contract.MagicCookieValue,
		"PLUGIN_PROTOCOL_VERSIONS=1", "PLUGIN_UNIX_SOCKET_DIR=" + dir,
	}, env...)
	c.cmd.Stderr = c.stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return c, err
	}
	c.socket = strings.Split(line, "|")[3]
	conn, err := grpc.NewClient("unix:"+c.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c.client = pluginv1.NewPluginServiceClient(conn)
	return c, nil
}

// end closes the child's standard input, upon which it must exit, and returns the exit code.
func (c *child) end() int {
	_ = c.stdin.Close()
	_ = c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

func TestStrangersAreRefused(t *testing.T) {
	c, err := spawn(t, "plain")
	if err != nil {
		t.Fatal(err)
	}
	web := filepath.Join(c.dir, "http.sock")
	if _, err := c.client.Configure(t.Context(), &pluginv1.ConfigureRequest{HttpSocket: web}); err != nil {
		t.Fatalf("the parent itself: %v", err)
	}
	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = []string{strangerEnv + "=" + c.socket + "," + web}
	if err := other.Run(); err != nil {
		t.Errorf("a stranger was let in: %v", err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", web)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
	if answer, _ := io.ReadAll(conn); !strings.Contains(string(answer), "200 OK") {
		t.Errorf("the parent itself got %q", answer)
	}
	_ = conn.Close()
	if code := c.end(); code != 0 {
		t.Errorf("exit code %d after the end of standard input, want 0", code)
	}
}

func TestExitCodes(t *testing.T) {
	for name, tc := range map[string]struct {
		kind string
		env  []string
		want int
	}{
		"needs a configuration": {"needs-config", nil, contract.ExitConfig},
		"cannot start":          {"cannot-start", nil, 1},
		"other major":           {"plain", []string{"PLUGIN_PROTOCOL_VERSIONS=7,8"}, contract.ExitVersion},
		"no cookie":             {"plain", []string{contract.MagicCookieKey + "="}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := spawn(t, tc.kind, tc.env...)
			if err == nil {
				_, err = c.client.Configure(t.Context(), &pluginv1.ConfigureRequest{})
				if status.Code(err) != codes.FailedPrecondition {
					t.Errorf("Configure: got %v, want FailedPrecondition", err)
				}
			}
			_ = c.cmd.Wait()
			if code := c.cmd.ProcessState.ExitCode(); code != tc.want {
				t.Errorf("exit code %d, want %d; log:\n%s", code, tc.want, c.stderr)
			}
		})
	}
}

func TestAttached(t *testing.T) {
	dir, err := os.MkdirTemp("", "sdk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "attach.sock")
	cmd := exec.CommandContext(t.Context(), os.Args[0]) // standard input is /dev/null
	cmd.Env = []string{pluginEnv + "=plain", contract.AttachEnv + "=" + socket}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := pluginv1.NewPluginServiceClient(conn)
	for i := range 2 { // the second gateway has other sockets than the first
		web := filepath.Join(dir, fmt.Sprintf("http-%d.sock", i))
		if _, err := client.Configure(t.Context(), &pluginv1.ConfigureRequest{HttpSocket: web}, grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
		c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", web)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

func TestNewerHostNeeded(t *testing.T) {
	c, err := spawn(t, "needs-newer")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.client.Describe(t.Context(), &pluginv1.DescribeRequest{HostMinor: contract.Minor})
	if contract.Reason(err) != contract.ReasonVersion || !strings.Contains(err.Error(), "needs contract 1.99 or newer") {
		t.Errorf("describe to an older host: got %v, want a readable refusal", err)
	}
	c.end()
}

func TestLogIsJSON(t *testing.T) {
	c, err := spawn(t, "prints")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.Configure(t.Context(), &pluginv1.ConfigureRequest{}); err != nil {
		t.Fatal(err)
	}
	c.end()
	var line struct{ Time, Level, Msg, Account string }
	if err := json.Unmarshal([]byte(c.stderr.String()), &line); err != nil {
		t.Fatalf("log %q: %v", c.stderr, err)
	}
	if line.Time == "" || line.Level != "INFO" || line.Msg != "hello" || line.Account != "a" {
		t.Errorf("log line %+v", line)
	}
}
