package proxy_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/gateway"
	"github.com/parley-gateway/parley/gateway/ops"
	"github.com/parley-gateway/parley/gateway/proxy"
)

const roleVariable = "PARLEY_PROXY_BENCH_ROLE"

// TestMain lets the benchmark run its clients and its plugin as processes of their own, because
// only the gateway's memory is to be measured.
func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "plugin":
		bystander(servePlugin)
	case "client":
		bystander(openMany)
	default:
		goleak.VerifyTestMain(m)
	}
}

// bystander does one such process's work until standard input ends.
func bystander(do func(arg string)) {
	go do(os.Getenv("PARLEY_PROXY_BENCH_ARG"))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

const upgradeAnswer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"

// servePlugin answers every upgrade and keeps the connections open.
func servePlugin(socket string) {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "unix", socket)
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println("ready")
	var held []net.Conn // keeps the connections from being garbage collected, which would close them
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		held = append(held, c)
		go func() {
			br := bufio.NewReaderSize(c, 512)
			for line := "x"; line != "\r\n"; {
				if line, err = br.ReadString('\n'); err != nil {
					return
				}
			}
			_, _ = io.WriteString(c, upgradeAnswer)
		}()
		runtime.KeepAlive(held)
	}
}

// openMany opens sockets as "count,scheme,address" says, sends one frame through each, and keeps
// them open.
func openMany(arg string) {
	args := strings.Split(arg, ",")
	n, _ := strconv.Atoi(args[0])
	var conns []net.Conn
	for range n {
		c, err := new(net.Dialer).DialContext(context.Background(), "tcp", args[2])
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		if args[1] == "https" {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		conns = append(conns, c)
		_, _ = io.WriteString(c, "GET /p/toy/socket HTTP/1.1\r\nHost: chat.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUser-Agent: Mozilla/5.0\r\nOrigin: http://chat.localhost\r\n\r\n")
		b := make([]byte, 12)
		if _, err := io.ReadFull(c, b); err != nil || string(b[9:]) != "101" {
			fmt.Printf("error: %v %q\n", err, b)
			return
		}
		_, _ = c.Write([]byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i'})
	}
	fmt.Println("ready")
	<-make(chan struct{})
	runtime.KeepAlive(conns)
}

func helper(tb testing.TB, role, arg string) {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), exe)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "PARLEY_PROXY_BENCH_ARG="+arg)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		tb.Fatalf("%s: %q, %v", role, line, err)
	}
}

// BenchmarkIdleTunnel reports the gateway's resident memory per idle socket
// that goes through the whole public listener to a plugin. The plugin's and
// the clients' memory is not in it.
func BenchmarkIdleTunnel(b *testing.B) {
	b.Run("http", func(b *testing.B) { benchmarkIdle(b, "http") })
	b.Run("https", func(b *testing.B) { benchmarkIdle(b, "https") })
}

func benchmarkIdle(b *testing.B, scheme string) {
	const sockets = 2000
	socket := filepath.Join(b.TempDir(), "http.sock")
	helper(b, "plugin", socket)
	reg := prometheus.NewRegistry()
	opts := gateway.Options{
		Listen: "127.0.0.1:0", Limits: gateway.Limits{Conns: 2 * sockets}, Log: slog.New(slog.DiscardHandler), Registry: reg, Health: ops.NewHealth(),
		Origins: gateway.Origins{Desk: scheme + "://desk.localhost:0", Chat: scheme + "://chat.localhost:0", Files: scheme + "://files.localhost:0"},
	}
	if scheme == "https" {
		opts.TLSCert, opts.TLSKey = selfSigned(b)
	}
	srv, err := gateway.New(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	h := &host{plugin: &plugin{socket: socket}, routes: map[string]proxy.Route{"socket": {Access: proxy.Public, Upgrade: true}}}
	p := proxy.New(proxy.Options{Host: h, Auth: &desk{}, Log: slog.New(slog.DiscardHandler), Registry: reg})
	srv.Start(gateway.Handlers{Plugins: p, API: http.NotFoundHandler(), Drain: []func(context.Context){p.Drain}})
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
	}()
	for b.Loop() { // one round takes longer than the time that a benchmark gets
		before := resident(b)
		helper(b, "client", fmt.Sprintf("%d,%s,%s", sockets, scheme, srv.Addr()))
		b.ReportMetric(float64(resident(b)-before)/sockets, "RSS-B/socket")
		b.ReportMetric(float64(runtime.NumGoroutine())/sockets, "goroutines/socket")
	}
}

// selfSigned makes a certificate for the chat origin.
func selfSigned(tb testing.TB) (cert, key string) {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"chat.localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		tb.Fatal(err)
	}
	cert, key = filepath.Join(tb.TempDir(), "cert.pem"), filepath.Join(tb.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return cert, key
}

// resident is the process's RSS in bytes after a collection.
func resident(tb testing.TB) int {
	tb.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		tb.Skip("needs procfs")
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		tb.Fatal(err)
	}
	return pages * os.Getpagesize()
}
