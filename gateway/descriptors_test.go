package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/gateway"
	"github.com/parley-gateway/parley/gateway/ops"
)

const starvedVariable = "PARLEY_GATEWAY_TEST_DESCRIPTORS"

// TestMain runs a gateway with few file descriptors instead of the tests when a test has started
// the test binary as that process.
func TestMain(m *testing.M) {
	if n, err := strconv.ParseUint(os.Getenv(starvedVariable), 10, 64); err == nil {
		if err := starved(n); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// starved runs a gateway that may have so many file descriptors until standard input ends.
func starved(descriptors uint64) error {
	ctx := context.Background()
	srv, err := gateway.New(ctx, gateway.Options{
		Listen: "127.0.0.1:0", Limits: gateway.Limits{Conns: 10_000, ConnsPerIP: 10_000, HeaderTimeout: time.Minute},
		Origins: gateway.Origins{Desk: "http://desk.localhost:0", Chat: "http://chat.localhost:0", Files: "http://files.localhost:0"},
		Log:     slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Health: ops.NewHealth(),
	})
	if err != nil {
		return err
	}
	srv.Start(gateway.Handlers{API: says("api")})
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: descriptors, Max: descriptors}); err != nil {
		return err
	}
	fmt.Println(srv.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return srv.Shutdown(ctx)
}

// TestFileDescriptors (FT25): without free descriptors the gateway neither exits nor uses up the
// processor, and serves again once some are free.
func TestFileDescriptors(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads procfs")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), starvedVariable+"=40")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr = strings.TrimSpace(addr)
	request := func(within time.Duration) bool {
		c, err := net.DialTimeout("tcp", addr, within)
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(within))
		_, _ = io.WriteString(c, "GET /api/x HTTP/1.1\r\nHost: desk.localhost\r\nConnection: close\r\n\r\n")
		b, _ := io.ReadAll(c)
		return bytes.HasPrefix(b, []byte("HTTP/1.1 200"))
	}
	if !request(5 * time.Second) {
		t.Fatal("no answer at the start")
	}
	var held []net.Conn
	for range 100 {
		c, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			break // the kernel's queue of connections is full, too
		}
		held = append(held, c)
	}
	before := cpu(t, cmd.Process.Pid)
	if request(500 * time.Millisecond) {
		t.Error("an answer although all descriptors are taken: the test does not provoke what it should")
	}
	if used := cpu(t, cmd.Process.Pid) - before; used > 20 { // ticks of 10 ms, in half a second
		t.Errorf("%d ms of CPU in 500 ms without descriptors: it spins", 10*used)
	}
	for _, c := range held {
		_ = c.Close()
	}
	eventually(t, "it serves again", func() bool { return request(time.Second) })
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
}

// cpu is the user and system time of a process in clock ticks.
func cpu(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatalf("the gateway is gone: %v", err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}
