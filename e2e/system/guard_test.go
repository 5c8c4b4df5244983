package system_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clerkPlugin is a third-party plugin that leaves its port to a process of its own,
// which it starts by way of a shell. Who calls the port is told that process's pid.
const clerkPlugin = `package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"

	"github.com/parley-gateway/parley/plugins/sdk"
)

type clerk struct{}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "listen" {
		listen(os.Args[2])
	}
	self, err := os.Executable()
	if err == nil {
		err = exec.Command("/bin/sh", "-c", "\"$0\" listen \"$1\"; exit 1", self, os.Args[1]).Start()
	}
	if err != nil {
		panic(err)
	}
	sdk.Serve(clerk{})
}

func listen(addr string) {
	l, err := net.Listen("tcp", addr)
	for err == nil {
		var c net.Conn
		if c, err = l.Accept(); err == nil {
			_, _ = fmt.Fprintln(c, os.Getpid())
			_ = c.Close()
		}
	}
	panic(err)
}

func (clerk) Describe(context.Context) (sdk.Manifest, error) {
	return sdk.Manifest{ID: "clerk", Name: "Clerk", Version: "1", Delivery: sdk.StoreAndForward}, nil
}

func (clerk) Configure(context.Context, *sdk.Config) error { return nil }

func (clerk) Send(context.Context, *sdk.SendCommand) sdk.Result { return sdk.Sent("1") }
`

// addClerk builds the plugin and returns the address of its port once it is there.
func (d *demo) addClerk() (addr string) {
	d.t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(d.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	addr = l.Addr().String()
	_ = l.Close()
	dir, source := filepath.Join(d.data, "plugins", "clerk"), filepath.Join(d.t.TempDir(), "main.go")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	manifest := fmt.Sprintf("id: clerk\nexec: clerk\nargs: [%q]\ntransport: unix\negress: []\nenv: []\n", addr)
	for path, text := range map[string]string{source: clerkPlugin, filepath.Join(dir, "plugin.yaml"): manifest} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	build := exec.CommandContext(d.t.Context(), "go", "build", "-o", filepath.Join(dir, "clerk"), source)
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		d.t.Fatalf("build: %v\n%s", err, out)
	}
	d.parley("plugin", "add", dir)
	eventually(d.t, "clerk's port", 30*time.Second, func() bool { return d.callClerk(addr) != 0 })
	return addr
}

// callClerk is the pid of the process that has the port; 0 = nobody.
func (d *demo) callClerk(addr string) (pid int) {
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(d.t.Context(), "tcp", addr)
	if err != nil {
		return 0
	}
	defer func() { _ = c.Close() }()
	line, _ := bufio.NewReader(c).ReadString('\n')
	pid, _ = strconv.Atoi(strings.TrimSpace(line))
	return pid
}

// awaitFreePort fails when the port is not free long after the promised second,
// which is for a machine without load.
func (d *demo) awaitFreePort(what, addr string, since time.Time) {
	d.t.Helper()
	eventually(d.t, "free port "+what, 10*time.Second, func() bool {
		var lc net.ListenConfig
		l, err := lc.Listen(d.t.Context(), "tcp", addr)
		if err == nil {
			_ = l.Close()
		}
		return err == nil
	})
	d.t.Logf("port free %v %s", time.Since(since), what)
}

func (d *demo) signal(pid int, sig syscall.Signal) {
	d.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		d.t.Fatalf("signal %v to %d: %v", sig, pid, err)
	}
}

// running reports whether a process has not ended; a zombie has.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

type pluginProcess struct {
	ID            string
	PID, Restarts int
}

func (d *demo) plugins() (list []pluginProcess) {
	d.t.Helper()
	if err := json.Unmarshal(d.parley("plugin", "list", "--json"), &list); err != nil {
		d.t.Fatal(err)
	}
	return list
}

// PR12, FT10: what a plugin's own child holds is free within a second when the
// gateway is killed, without a next gateway and for the next one; and when the demo
// is killed, which stops the gateway in order.
func TestKillFreesPorts(t *testing.T) {
	d := startDemo(t, "")
	addr := d.addClerk()
	first := d.callClerk(addr)

	// The demo sleeps, so that it starts no gateway.
	t.Cleanup(func() { _ = d.cmd.Process.Signal(syscall.SIGCONT) })
	d.signal(d.cmd.Process.Pid, syscall.SIGSTOP)
	gateway := d.child("serve")
	start := time.Now()
	d.signal(gateway, syscall.SIGKILL)
	d.awaitFreePort("after the gateway was killed", addr, start)
	d.signal(d.cmd.Process.Pid, syscall.SIGCONT)
	eventually(t, "port of the next gateway's plugin", 30*time.Second, func() bool { pid := d.callClerk(addr); return pid != 0 && pid != first })

	gateway, sandbox := d.child("serve"), childOf(d.cmd.Process.Pid, " sandbox")
	guard := childOf(gateway, "parley: guard")
	if guard == 0 {
		t.Fatal("the gateway has no guard")
	}
	start = time.Now()
	d.signal(d.cmd.Process.Pid, syscall.SIGKILL)
	d.awaitFreePort("after the demo was killed", addr, start)
	eventually(t, "end of gateway, guard and sandbox", 20*time.Second, func() bool { return !running(gateway) && !running(guard) && !running(sandbox) })
}

// PR12, FT10: a guard that strikes when the next gateway's plugins are there already
// leaves them alone.
func TestGuardSparesNextGateway(t *testing.T) {
	d := startDemo(t, "")
	addr := d.addClerk()
	first, gateway := d.callClerk(addr), d.child("serve")
	guard := childOf(gateway, "parley: guard")
	if guard == 0 {
		t.Fatal("the gateway has no guard")
	}
	d.signal(guard, syscall.SIGSTOP)
	d.signal(gateway, syscall.SIGKILL)
	var second int
	eventually(t, "port of the next gateway's plugin", 30*time.Second, func() bool { second = d.callClerk(addr); return second != 0 && second != first })
	eventually(t, "readiness", 30*time.Second, d.ready)
	before := d.plugins()
	if !running(guard) {
		t.Fatal("the old guard has gone before its time")
	}
	d.signal(guard, syscall.SIGCONT)
	eventually(t, "end of the old guard", 20*time.Second, func() bool { return !running(guard) })
	if now := d.callClerk(addr); now != second {
		t.Errorf("process behind the port: got %d after the old guard's end, want %d", now, second)
	}
	if now := d.plugins(); !slices.Equal(before, now) || len(now) != 3 {
		t.Errorf("plugins after the old guard's end: got %v, want three: %v", now, before)
	}
}
